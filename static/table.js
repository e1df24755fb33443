/**
 * What `client.table()` writes: sent to /rest until it is known what became of it, and shown in `rows` at once.
 *
 * `Layers` are the writes under way over the rows of one subscription. They are lifted before a batch is applied and laid again
 * behind it, so what comes from the server always lies beneath them, in its own order. A write leaves when its subscription has
 * passed it: when a change of its transaction came, or by a receipt, for it may change nothing that the subscription shows.
 */
import { beside, keyOf, parse, tell } from "./plank.js";

/** A request that is not answered by then is sent again. */
const ATTEMPT_MAX_MS = 15_000;
/** For so long a write is sent again. */
const WRITE_MAX_MS = 60_000;
const RETRY_FIRST_MS = 250;
const RETRY_MAX_MS = 10_000;
const HINT_JITTER_MS = 250;
/** For so long after its answer a write waits for its subscriptions. */
const RECEIPT_MAX_MS = 30_000;
const LOOK_AGAIN_MS = 1_000;
/** Transactions that came while an answer was awaited. One that is forgotten has a receipt all the same. */
const SEEN_MAX = 10_000;

/** The server could not say more now, or something before it. 409 with this code: the same request is under way. */
const PASSING = [408, 429, 502, 503, 504];
const UNDER_WAY = "PGRST409";
/** What a problem names that is no column. */
const PARTS = ["body", "op", "table", "key", "values", "match", "filter", "Prefer", "Idempotency-Key"];

export class WriteError extends Error {
  name = "WriteError";

  constructor(status, { code = "", message, detail, details = null, hint = null, errors, index = 0 }, operations = []) {
    super(message ?? detail ?? `the server has answered with ${status}`);
    const { field = null } = errors?.[0] ?? {};
    const { values = {} } = operations[index] ?? {};
    const column = field in values || !PARTS.includes(field) ? field : null;
    Object.assign(this, { status, code, column, details, hint, index });
  }
}

/** JSON has no such numbers; PostgreSQL reads them from text. */
const plain = (_, value) => (typeof value === "bigint" || (typeof value === "number" && !Number.isFinite(value)) ? `${value}` : value);

/** A name as PostgreSQL reads it. */
function canonical(name) {
  const parts = [...name.matchAll(/"((?:[^"]|"")*)"|([^".]+)/g)].map(([, quoted, bare]) => quoted?.replaceAll('""', '"') ?? bare.toLowerCase());
  return JSON.stringify(parts[1] === undefined ? ["public", ...parts] : parts);
}

function operationsOf(table, op, first, second, third) {
  const list = op === "insert" || op === "upsert" ? [first].flat().map((values) => ({ op, table, values })) : null;
  const [values, options] = op === "update" ? [second, third] : [undefined, second];
  // As it will come back, whatever is made of the caller's objects.
  return parse(JSON.stringify(list ?? [{ op, table, key: first, values, match: options?.ifMatch }], plain));
}

/** The last request for each row: the next one has to be behind it. */
const queues = new WeakMap();
let count = 0;

export async function write(client, table, op, ...given) {
  const operations = operationsOf(table, op, ...given);
  if (!operations.length) return [];
  const wanted = canonical(table);
  const subscriptions = [...client._subscriptions.values()].filter(({ spec }) => canonical(spec.table) === wanted);
  const written = { id: (count += 1), operations, answer: null, met: new Set(), layers: new Set() };
  for (const subscription of subscriptions) (subscription._writes ??= new Layers(client, subscription)).add(written);
  try {
    const names = subscriptions.find(({ key }) => key?.length)?.key;
    written.answer = await inTurn(client, wanted, operations, names);
  } catch (error) {
    for (const layers of written.layers) layers.remove(written);
    throw error;
  }
  await receipt(written);
  const { rows } = written.answer;
  return Array.isArray(given[0]) ? rows : rows[0];
}

function inTurn(client, table, operations, names) {
  if (!queues.has(client)) queues.set(client, new Map());
  const queue = queues.get(client);
  const rows = new Set();
  for (const { key, values } of operations) {
    if (key || names?.every((name) => name in values)) rows.add(`${table} ${key ? keyOf(key) : keyOf(values, names)}`);
  }
  const before = [...rows].map((row) => queue.get(row));
  const sent = Promise.allSettled(before).then(() => send(client, operations));
  for (const row of rows) queue.set(row, sent);
  return sent.finally(() => {
    for (const row of rows) if (queue.get(row) === sent) queue.delete(row);
  });
}

function receipt(written) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, RECEIPT_MAX_MS);
    written.until = Date.now() + RECEIPT_MAX_MS;
    written.passed = () => {
      clearTimeout(timer);
      resolve();
    };
    if (!written.layers.size) written.passed();
    for (const layers of [...written.layers]) layers.answered(written);
  });
}

/** Not `randomUUID`: a page that came without TLS has none. */
const newKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** Sends it until it is known what became of it; by the key it is written once. */
async function send(client, operations) {
  const { random = Math.random, auth } = client._options;
  const request = { body: JSON.stringify(operations), key: newKey() };
  const end = Date.now() + WRITE_MAX_MS;
  let may_renew = !!auth?.call;
  for (let attempt = 0; ; attempt += 1) {
    const { status, headers, said } = await once(client, request).catch(({ message }) => ({ status: 0, said: { message } }));
    if (status === 200) {
      return { rows: said, cursor: headers.get("plank-cursor"), xid: headers.get("plank-xid") };
    }
    if (status === 401 && may_renew) {
      // Another token may help, once.
      may_renew = false;
      client._known = null;
      continue;
    }
    const is_passing = !status || PASSING.includes(status) || (status === 409 && said.code === UNDER_WAY);
    if (!is_passing) throw new WriteError(status, said, operations);
    const hint_ms = Number(headers?.get("retry-after")) * 1000;
    const wait_ms = hint_ms ? hint_ms + random() * HINT_JITTER_MS : random() * Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** attempt);
    if (Date.now() + wait_ms >= end) {
      const { message } = new WriteError(status, said);
      throw new WriteError(status, { code: "outcome_unknown", message: `${message}; it is not known whether it was written` });
    }
    await new Promise((resolve) => setTimeout(resolve, wait_ms));
  }
}

/** One request, with its body: that may be cut off as well. */
async function once(client, { body, key }) {
  const abort = new AbortController();
  let timer;
  const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error("the server does not answer")), ATTEMPT_MAX_MS)));
  const asked = (async () => {
    const token = await (client._known ?? client._token());
    const headers = { "content-type": "application/json", "idempotency-key": key, ...(token && { authorization: `Bearer ${token}` }) };
    const response = await client._fetch(beside(client._url, "rest"), { method: "POST", headers, body, signal: abort.signal });
    const text = await response.text();
    const { status } = response;
    // An answer from something in between may be no JSON.
    return { status, headers: response.headers, said: status === 200 ? parse(text).map(({ row }) => row) : problem(text) };
  })();
  try {
    return await Promise.race([asked, late]);
  } finally {
    clearTimeout(timer);
    abort.abort();
  }
}

function problem(text) {
  try {
    return parse(text) ?? {};
  } catch {
    return {};
  }
}

const same = (a, b) =>
  a && b && typeof a === "object" && typeof b === "object"
    ? Object.keys(a).length === Object.keys(b).length && Object.keys(a).every((name) => same(a[name], b[name]))
    : `${a}` === `${b}`;

const isNew = ({ op }) => op === "insert" || op === "upsert";

class Layers {
  #client;
  #subscription;
  /** In the order in which they were asked for. */
  #writes = [];
  /** The rows beneath, by key; undefined where there is none. */
  #beneath = new Map();
  /** All of them, where they have an order: of a window. */
  #order = null;
  /** Transactions of which changes came. */
  #seen = new Set();
  /** The write whose receipt was asked for, one at a time: a pong does not say which. */
  #asked = null;
  /** Writes whose change a stream is known to bring. */
  #coming = new Set();

  constructor(client, subscription) {
    this.#client = client;
    this.#subscription = subscription;
    this.#watch();
  }

  add(written) {
    this.#writes.push(written);
    written.layers.add(this);
    this.#redraw();
  }

  /** It was refused. */
  remove(written) {
    this.#take(written);
    this.#redraw();
  }

  answered(written) {
    if (this.#isOver() || !written.answer.xid || this.#seen.has(written.answer.xid)) this.#take(written);
    this.#redraw();
    this.#ask();
  }

  /** `rows` is as the server says. */
  lift() {
    const { rows, pending } = this.#subscription;
    if (this.#order) {
      rows.clear();
      for (const each of this.#order) rows.set(...each);
      this.#order = null;
      this.#beneath.clear();
    }
    for (const [key, row] of this.#beneath) {
      if (row) rows.set(key, row);
      else rows.delete(key);
    }
    this.#beneath.clear();
    pending.clear();
  }

  /** These changes were applied. */
  lay(changes) {
    if (!this.#writes.length) return;
    for (const change of changes) {
      if (change.xid) this.#seen.add(change.xid);
      if (change.row && change.op !== "update") this.#meet(change.row);
    }
    for (const written of this.#writes) if (this.#seen.has(written.answer?.xid)) this.#take(written);
    for (const xid of this.#seen) if (this.#seen.size > SEEN_MAX) this.#seen.delete(xid);
    this.#draw();
  }

  /** Before the subscription does; true for what is not about it. */
  hears({ type, code }) {
    const { live, catching_up } = this.#subscription;
    if (type === "subscribed" || type === "reset") {
      this.#asked = null;
      this.#coming.clear();
    }
    const written = !catching_up && (type === "pong" || (type === "error" && code === "bad_cursor" && live)) && this.#asked;
    if (written) this.#asked = null;
    if (this.#writes.includes(written)) {
      this.#take(written);
      this.#redraw();
    }
    // Behind what the subscription makes of it.
    if (type === "subscribed" || type === "pong" || written) queueMicrotask(() => this.#ask());
    return !!written;
  }

  /** Nothing will be heard of writes by a subscription that has ended, or was refused. */
  async #watch() {
    for (let is_over = false; !is_over; ) {
      is_over = await (async () => {
        for await (const piece of this.#subscription) void piece;
        return true;
      })().catch(() => false);
      for (const written of this.#writes) if (written.answer) this.#take(written);
      if (this.#beneath.size) this.#redraw();
    }
  }

  #isOver() {
    const { _subscriptions, state } = this.#client;
    const { id, _asked } = this.#subscription;
    return !_subscriptions.has(id) || state.phase === "closed" || (state.phase === "open" && !_asked);
  }

  #take(written) {
    this.#writes = this.#writes.filter((each) => each !== written);
    if (!this.#writes.length) this.#seen.clear();
    written.layers.delete(this);
    if (written.answer && !written.layers.size) written.passed();
  }

  /** Whether the subscription has passed a write that shows no change in it. */
  #ask() {
    const { id, live, catching_up } = this.#subscription;
    if (this.#asked || !live || catching_up) return;
    const written = this.#writes.find((each) => each.answer && !this.#coming.has(each));
    if (!written) return;
    if (this.#client.state.transport === "sse") {
      this.#asked = written;
      this.#look(written);
    } else if (this.#client._send({ type: "ping", id, cursor: written.answer.cursor })) this.#asked = written;
  }

  /** A stream can't be asked. The log can: what it has behind the place of the subscription is still to come. */
  async #look(written) {
    const { spec, cursor } = this.#subscription;
    const is_derived = spec.order || spec.columns?.includes("count");
    const query = new URLSearchParams({ table: spec.table, ...(spec.columns && { columns: spec.columns.join() }) });
    // A window does not say of which transaction it is, and is there in a moment.
    const is_coming = is_derived ? false : await this.#isBehind(`${query}&${spec.filter ?? ""}`, cursor, written).catch(() => null);
    if (this.#asked !== written) return;
    this.#asked = null;
    const is_known = is_coming !== null || Date.now() >= written.until;
    if (is_coming) this.#coming.add(written);
    else if (is_known && this.#writes.includes(written)) {
      this.#take(written);
      this.#redraw();
    }
    if (is_known) this.#ask();
    else setTimeout(() => this.#ask(), LOOK_AGAIN_MS);
  }

  async #isBehind(query, since, { answer: { xid }, until }) {
    const token = this.#client._known;
    const headers = token ? { authorization: `Bearer ${token}` } : {};
    for (;;) {
      const address = beside(this.#client._url, `api/changes?${query}&since=${encodeURIComponent(since)}`);
      const response = await this.#client._fetch(address, { headers, cache: "no-store", signal: AbortSignal.timeout(ATTEMPT_MAX_MS) });
      if (!response.ok) throw new Error(`${response.status}`);
      const { changes, cursor, more } = parse(await response.text());
      if (changes.some((change) => change.xid === xid)) return true;
      if (!more || Date.now() >= until) return false;
      since = cursor;
    }
  }

  #redraw() {
    this.lift();
    this.#draw();
    tell(this.#subscription.handlers, "pending");
  }

  #draw() {
    const { spec, key, rows } = this.#subscription;
    // A write to the table says nothing of its counts.
    if (!spec.snapshot || !key?.length || spec.columns?.includes("count")) return;
    if (spec.order) this.#order = [...rows];
    for (const written of this.#writes) written.operations.forEach((operation, at) => this.#show(written, operation, at));
  }

  #show(written, operation, at) {
    const { rows, key } = this.#subscription;
    const { op, key: of, values } = operation;
    // Undefined: not answered; null: not to be seen.
    const row = written.answer?.rows[at];
    if (isNew(operation)) {
      const name = this.#keyOfNew(written, operation, at);
      const before = rows.get(name);
      const is_there = before && op === "insert" && !row;
      if (row === null || (!row && written.met.has(at)) || is_there || !(before || this.#fits(row ?? values))) return;
      this.#put(name, this.#seenOf(row ?? { ...before, ...values }), op);
      return;
    }
    const name = keyOf(of, key);
    const before = rows.get(name);
    if (!before) return;
    const after = op === "update" ? this.#seenOf(row ?? { ...before, ...values }) : undefined;
    const moved = after && keyOf(after, key);
    if (after && moved !== name) this.#put(moved, after, op);
    this.#put(name, moved === name ? after : undefined, op);
  }

  /** The server may choose the key: until it has, the row has one that is no JSON. */
  #keyOfNew({ id, answer }, { values }, at) {
    const { key } = this.#subscription;
    const row = answer?.rows[at] ?? values;
    return key.every((name) => name in row) ? keyOf(row, key) : `new ${id}.${at}`;
  }

  #put(name, row, op) {
    const { rows, pending } = this.#subscription;
    if (!this.#beneath.has(name)) this.#beneath.set(name, rows.get(name));
    if (row) rows.set(name, row);
    else rows.delete(name);
    pending.set(name, op);
  }

  /** Those columns that the subscription has. */
  #seenOf(row) {
    const { spec, key } = this.#subscription;
    if (!spec.columns) return row;
    return Object.fromEntries(Object.entries(row).filter(([name]) => spec.columns.includes(name) || key.includes(name)));
  }

  /** Whether a new row surely passes the filter; only PostgreSQL knows all of its types. */
  #fits(row) {
    const terms = [...new URLSearchParams(this.#subscription.spec.filter ?? "")];
    return terms.every(([name, text]) => row[name] != null && text === `eq.${row[name]}`);
  }

  /** A new row often comes before the answer that tells its key: it is not to be there twice. */
  #meet(row) {
    for (const written of this.#writes) {
      if (written.answer) continue;
      const at = written.operations.findIndex(
        (operation, at) => isNew(operation) && !written.met.has(at) && Object.entries(operation.values).every(([name, value]) => !(name in row) || same(row[name], value)),
      );
      if (at < 0) continue;
      written.met.add(at);
      return;
    }
  }
}
