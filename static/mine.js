/**
 * Which changes this page has made. The answer to a write names its transaction, and so does each of its changes. Who made the others
 * is in no log.
 */
import { signal } from "@preact/signals-core";

/** Transactions that are remembered, the newest. */
const MADE_MAX = 1_000;
/** Their numbers, as texts. @type {import("@preact/signals-core").Signal<Set<string>>} */
export const made = signal(new Set());

/** Takes note of an answer of the server; most are of no write. @param {{headers: Headers}} response */
export function note({ headers }) {
  const xid = headers?.get("plank-xid");
  if (!xid) return;
  made.value = new Set([...made.value, xid].slice(-MADE_MAX));
}

/** `fetch`, for the client, whose answers are taken note of. */
export async function fetchNoted(...request) {
  const response = await fetch(...request);
  note(response);
  return response;
}
