/** Requests to the server, and the shape of an error. */
import { note } from "./mine.js";

/** A server that accepts a request and never answers must not leave a button busy for ever. */
const ANSWER_MAX_MS = 15_000;

let signed_out = () => {};

/** Whom to tell that the server wants to know who is asking. */
export const onSignedOut = (action) => (signed_out = action);

/** A proxy's error page is no JSON, and its status is all that there is to say. */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/**
 * An answer: its text, and its headers.
 * @throws {Error & {status: number, errors: {field: string, detail: string}[]}} What the server said is wrong (RFC 9457);
 *   `status` is 0 when there was no answer.
 */
export async function answer(method, path, { body, version, bearer, accept = "application/json", more = {} } = {}) {
  const headers = { accept, ...more };
  if (body) headers["content-type"] = "application/json";
  if (version) headers["if-match"] = `"${version}"`;
  if (bearer) headers.authorization = `Bearer ${bearer}`;
  let status = 0;
  let text = "";
  // A path with these would end, or lose them.
  path = path.replace(/[#\s]/g, encodeURIComponent);
  try {
    const response = await fetch(path, { method, headers, body: JSON.stringify(body), signal: AbortSignal.timeout(ANSWER_MAX_MS), cache: "no-store" });
    note(response);
    text = await response.text();
    status = response.status;
    if (response.ok) return { text, headers: response.headers };
  } catch {
    status = 0;
  }
  if (status === 401 && !bearer) signed_out();
  const { title, detail, errors = [], ...rest } = parse(text) ?? {};
  throw Object.assign(new Error(detail || title || `The server answered ${status}.`), rest, { status, errors });
}

export const send = async (...of) => (await answer(...of)).text;

export const request = async (...of) => parse(await send(...of));

/** Who is asking. @returns {Promise<{auth: boolean, sub?: string, role?: string, exp?: number} | null>} */
export const session = () => request("GET", "api/session");

/** The server's own figures, as OpenMetrics text. */
export const metrics = () => send("GET", "metrics", { accept: "*/*" });

/** Which topics send the most. @returns {Promise<{total: number, topics: object[]}>} */
export const activity = () => request("GET", "api/activity");

/** @returns {Promise<import("./catalog.js").Table[]>} */
export const tables = async () => (await request("GET", "api/tables")).tables;

/** Whether the server's own view of the database is live. Unknown counts as yes: only a clear no is shown. */
export const ready = () =>
  send("GET", "readyz").then(
    () => true,
    ({ status }) => status !== 503,
  );
