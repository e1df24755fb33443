/**
 * The HTTP side of the page: `api/items` and `readyz`. Owns the shape of requests and errors, and no state.
 */

/** Rows of one page of the listing; the server's own maximum. */
const PAGE_ROWS = 200;
/** A server that accepts a request and never answers must not leave a button busy for ever. */
const ANSWER_MAX_MS = 15_000;

/**
 * @typedef {object} Item
 * @property {number} id
 * @property {string} name
 * @property {string | null} description
 * @property {"open" | "active" | "done"} status
 * @property {Record<string, any>} data
 * @property {number} version
 * @property {string} created_at
 * @property {string} updated_at
 */

/** What went wrong, as the server said it (RFC 9457), or status 0 when there was no answer. */
export class Problem extends Error {
  /**
   * @param {number} status
   * @param {{title?: string, detail?: string, errors?: {field: string, detail: string}[]}} body
   * @param {number | null} [retry_after_s]
   */
  constructor(status, body, retry_after_s = null) {
    super(body.detail || body.title || `The server answered ${status}.`);
    this.status = status;
    this.retry_after_s = retry_after_s;
    /** The detail by field, for the ones that a form can show beside its inputs. @type {Record<string, string>} */
    this.fields = Object.fromEntries((body.errors ?? []).map(({ field, detail }) => [field, detail]));
  }

  /** A sentence for people, with what it means for their work. */
  get sentence() {
    if (this.status === 0) return "The server can't be reached. Nothing was saved.";
    if (this.status === 503) return "The database is away. Nothing was saved; try again in a moment.";
    if (this.status === 429) return "Too many requests. Nothing was saved; try again in a moment.";
    if (this.status === 401 || this.status === 403) return "You are not allowed to do this.";
    return this.message;
  }
}

async function request(method, path, { body, version, signal } = {}) {
  const headers = { accept: "application/json" };
  if (body !== undefined) headers["content-type"] = "application/json";
  if (version !== undefined) headers["if-match"] = `"${version}"`;
  const deadline = AbortSignal.timeout(ANSWER_MAX_MS);
  let response;
  let text;
  try {
    response = await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, deadline]) : deadline,
      cache: "no-store",
    });
    text = await response.text();
  } catch {
    throw new Problem(0, {});
  }
  const parsed = parse(text);
  if (response.ok) return parsed;
  const retry_after_s = Number(response.headers.get("retry-after"));
  throw new Problem(response.status, parsed ?? {}, retry_after_s > 0 ? retry_after_s : null);
}

/** A proxy's error page is no JSON, and its status is all that there is to say. */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/**
 * All rows, page by page.
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<Item[]>}
 */
export async function* pages(signal) {
  let after = null;
  do {
    const query = new URLSearchParams({ limit: String(PAGE_ROWS) });
    if (after !== null) query.set("after", after);
    const page = await request("GET", `api/items?${query}`, { signal });
    yield page.items;
    after = page.next ?? null;
  } while (after !== null);
}

/** @returns {Promise<Item>} */
export const read = (id) => request("GET", `api/items/${id}`);

/** @returns {Promise<Item>} */
export const create = (body) => request("POST", "api/items", { body });

/** Merges `body` into the row, if it still is the given version. @returns {Promise<Item>} */
export const patch = (id, version, body) => request("PATCH", `api/items/${id}`, { body, version });

/** Replaces the row, if it still is the given version. @returns {Promise<Item>} */
export const put = (id, version, body) => request("PUT", `api/items/${id}`, { body, version });

export const remove = (id, version) => request("DELETE", `api/items/${id}`, { version });

/** Whether the server's own view of the database is live. Unknown counts as yes: only a clear no is shown. */
export async function ready() {
  try {
    await request("GET", "readyz");
    return true;
  } catch (problem) {
    return problem.status !== 503;
  }
}
