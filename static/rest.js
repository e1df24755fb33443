/** Rows of any table, with all digits of their numbers. */
import { parse } from "./exact.js";
import { answer, request } from "./http.js";

const at = (table) => `rest/${encodeURIComponent(table)}`;

/** At most 1,000 rows. @param {string[]} query Parameters as in an address. @returns {Promise<object[]>} */
export async function readRows(table, query) {
  const { text } = await answer("GET", `${at(table)}?${query.filter(Boolean).join("&")}`);
  return parse(text);
}

/** How many rows there are: counted up to 10,000, else as the planner has it. @returns {Promise<number>} */
export async function countRows(table, filter = "") {
  const more = { prefer: "count=estimated" };
  const { headers } = await answer("HEAD", `${at(table)}?${filter ? `${filter}&` : ""}limit=1`, { more }).catch((problem) => {
    // None at all, and nothing was asked for beyond.
    if (problem.status === 416) return { headers: new Headers({ "content-range": "*/0" }) };
    throw problem;
  });
  return Number(headers.get("content-range")?.split("/")[1] ?? 0);
}

/** Some writes, all or none. @returns {Promise<{row: object | null}[]>} */
export const writeAll = (operations) => {
  const more = { "idempotency-key": [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("") };
  return request("POST", "rest", { body: operations, more });
};

/** The condition that finds one row by its key. */
export const whereKey = (key) =>
  Object.entries(key)
    .map(([name, value]) => `${encodeURIComponent(name)}=eq.${encodeURIComponent(value)}`)
    .join("&");
