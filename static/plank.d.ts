/** A client of plank: PostgreSQL tables, live, in browsers and in Node.js. docs/CLIENT.md shows how it is used. */

/**
 * Connects, and stays connected until `close()` or a close code that forbids to come back.
 * @param url The address of the WebSocket, `https://example.org/plank/ws`; in a browser relative to the page. `http` and `https`
 *   are read as `ws` and `wss`. Streams and `/livez` are looked for beside it.
 * @throws If `url` is none.
 */
export function connect(url: string | URL, options?: Options): Client;

/**
 * The same text for the same key: under it a row is in `Subscription.rows`. What the text is made of may change.
 * @param key A key as in a change, or a row.
 * @param names The columns of the key (`Subscription.key`), where `key` has others too.
 */
export function keyOf(key: Row, names?: readonly string[]): string;

/** Values as PostgreSQL writes them in JSON; integers beyond `Number.MAX_SAFE_INTEGER` are strings. */
export type Row = Record<string, any>;

export interface Options {
  /**
   * A token, or a function that is asked for one: before each connection, half a minute before the token ends (after half of
   * a life below a minute), and once when the server has refused one. Null or an empty text: none, and a cookie may say who
   * it is. A function that throws counts as a lost connection; one that does not answer for 10 s too.
   */
  auth?: string | (() => string | null | undefined | Promise<string | null | undefined>);
  /** Another implementation; null: streams only. Where there is none it is streams as well. */
  WebSocket?: (new (url: string) => any) | null;
  /** For streams, writes, `/livez`, and to ask why a WebSocket did not open. */
  fetch?: typeof fetch;
  /** The source of the jitter, from 0 to 1. */
  random?: () => number;
  /** An `error` that is about no subscription. */
  onError?: (error: Refusal) => void;
}

export interface State {
  /**
   * `connecting`: a link is being opened, or the server is asked why it was not. `open`: the server has said welcome. `waiting`: the next attempt is at `retry_at`.
   * `closed`: for good.
   */
  phase: "connecting" | "open" | "waiting" | "closed";
  /** When the link was opened or lost, in ms since 1970. Attempts do not move it. */
  since: number;
  /** When the next attempt is, in ms since 1970; only while `waiting`. */
  retry_at: number | null;
  /** Failed attempts in a row; a link that lived for 10 s begins anew. */
  attempt: number;
  /** Why the last link was closed. 1006: it was lost. */
  close: { code: number; reason: string } | null;
  /** What the server calls itself, since its first welcome. */
  server: string | null;
  transport: "ws" | "sse";
}

export class Client {
  private constructor();
  /** A new object with each change. */
  readonly state: State;
  /** Calls `listener` with the present state at once and with each later one, also when the network comes or goes. */
  onState(listener: (state: State) => void): () => void;
  /** To write a table, as PostgreSQL reads its name. Nothing is sent yet. */
  table(name: string): Table;
  /** Lasts until `close()` or `ended`, across all connections. */
  subscribe(spec: Spec, handlers?: Handlers): Subscription;
  /** Ends the wait for the next attempt now. */
  reconnect(): void;
  /** For good; loops over its subscriptions end. */
  close(): void;
}

/**
 * Writes, each in one transaction and once, however often it has to be sent: for up to a minute, while the server or the network is
 * away. Writes of the same row by this client are carried out in their order.
 *
 * Subscriptions of the same table show a write in `rows` at once, and have its key in `pending` until they have passed it. Then the
 * promise resolves: with the row as the write left it, null where the client may not see it. It waits for at most 30 s after the
 * answer, and not for a subscription that was closed or refused. When it rejects, with a `WriteError`, `rows` is what it was.
 *
 * Values are those of JSON; a `bigint` and numbers like `Infinity` are sent as text, which PostgreSQL reads.
 */
export interface Table {
  insert(values: Row): Promise<Row | null>;
  /** At most 1,000, all or none. */
  insert(values: readonly Row[]): Promise<(Row | null)[]>;
  /**
   * @param key All columns of the primary key, as in a change.
   * @param values Those that change.
   */
  update(key: Row, values: Row, options?: WriteOptions): Promise<Row | null>;
  /** Inserts a row, or changes the one with its primary key. */
  upsert(values: Row): Promise<Row | null>;
  upsert(values: readonly Row[]): Promise<(Row | null)[]>;
  /** Resolves with the row as it was. */
  delete(key: Row, options?: WriteOptions): Promise<Row | null>;
}

export interface WriteOptions {
  /** What the row must have, say `{ version: 3 }`: plain values of some columns. Else it is refused, with status 412. */
  ifMatch?: Row;
}

/** Why nothing was written; its `name` is `WriteError`. */
export interface WriteError extends Error {
  name: "WriteError";
  /** Of HTTP. 404: there is no such row; 409: another row is in the way; 412: `ifMatch`; 0: no answer. */
  status: number;
  /** An SQLSTATE, or one of docs/REST.md. `outcome_unknown`: a minute was not enough, and it may have been written. */
  code: string;
  /** The column that it is about, where one is known. */
  column: string | null;
  details: string | null;
  hint: string | null;
  /** Which of several rows. */
  index: number;
}

export interface Spec {
  /** As PostgreSQL reads a name: `items`, `sales."Order Lines"`. */
  table: string;
  /** `status=eq.open&total=gte.3`, percent-decoded like a query string: docs/PROTOCOL.md, Filters. */
  filter?: string;
  /** Those to see; key columns always come. With `count` the rows are counted by the others: docs/PROTOCOL.md, Counts. */
  columns?: readonly string[];
  /** With `limit`: only the first rows in this order, `placed_at.desc,id`: docs/PROTOCOL.md, Windows. `rows` is in this order. */
  order?: string;
  /** From 1 to 1,000. */
  limit?: number;
  /** Whether `rows` is kept, and what there is comes before what happens. */
  snapshot?: boolean;
  /** A cursor to begin at. `rows` then has only what has changed since, until a reset. */
  since?: string | null;
  /** Of each key the newest change is enough. Streams give them all. */
  conflate?: boolean;
}

export interface Change {
  op: "insert" | "update" | "delete" | "truncate";
  /** Null for `truncate`, and in a table without a primary key. */
  key: Row | null;
  /** `insert`, `update`: the row as it is now. */
  row?: Row;
  /** `delete`: the row as it was. */
  old?: Row;
  /** `update`: it is an `insert` or `delete` because of the filter. `window`: because the row moves into the window or out of it. */
  cause?: "update" | "window";
  /** Of a window: the place of the row after this change. */
  index?: number;
  /** Names this change for ever. Windows and counts have neither this nor the next two. */
  seq?: number;
  xid?: string;
  /** When the transaction began, UTC. */
  at?: string;
  /** The trace that the writer belongs to (W3C Trace Context), where it named one. */
  traceparent?: string;
}

export interface Batch {
  /** May be empty. */
  changes: Change[];
  /** Where to go on once they are applied. */
  cursor: string;
}

/** What a loop over a subscription gets: batches, and what happened to `rows` between them. */
export type Piece =
  | (Batch & { snapshot?: undefined; reset?: undefined })
  /** `rows` is that of a snapshot. */
  | { changes: []; cursor: string; snapshot: true; reset?: undefined }
  /** What was there is void, and changes may be missing; with `snapshot` another piece follows when `rows` is new. */
  | { changes: []; cursor: null; reset: Reason; snapshot?: undefined };

export type Reason = "expired" | "epoch" | "schema" | "window";

export interface Refusal {
  code: string;
  message: string;
}

/** An exception in one of them is reported as an unhandled rejection, and stops nothing. */
export interface Handlers {
  /** From here on every change arrives. Again after each reconnect and reset: `rows` is the table as of `cursor`. */
  live?(message: { table: string; key: string[]; cursor: string }): void;
  /** What was missed has come, after a reconnect or a snapshot: `rows` is the table as it is. */
  caught_up?(count: { changes: number }): void;
  /** A part of a snapshot, as it comes. It is void when `reset` or `down` comes before `live`; `rows` changes at `live`. */
  snapshot?(message: { rows: Row[]; more: boolean; cursor: string }): void;
  /** A whole batch, which `rows` has already. */
  changes?(batch: Batch): void;
  /** `rows` has changed by a write of this client: it is shown, or taken back, or shown as the server has it. */
  pending?(): void;
  /** The link was lost. `live` follows and what was missed, unless the phase is `closed`. */
  down?(): void;
  /** The stream broke: what was there is void. `live` follows; without `snapshot` it is the caller who has to load again. */
  reset?(message: { reason: Reason }): void;
  /** It was refused. `renew()` asks again, and so does each reconnect. */
  error?(error: Refusal): void;
  /** The table is not watched any more. */
  ended?(): void;
}

export interface Subscription extends AsyncIterable<Piece> {
  /**
   * With `snapshot`, the table (as filtered) by `keyOf` of its key; always the same map. It changes by whole batches, and by
   * whole snapshots, and by writes of this client (`Client.table`). Empty for a table without a primary key. Of a window it is in its
   * order; a row that this client has inserted stands at the end until the window has it.
   */
  readonly rows: Map<string, Row>;
  /**
   * The keys in `rows` of writes that the subscription has not passed, and what they do. A deleted row is not in `rows` any more. A
   * row whose key the server will choose has one of this client until then.
   */
  readonly pending: Map<string, "insert" | "update" | "upsert" | "delete">;
  /** The columns of the primary key, once live; `[]` without one. */
  readonly key: string[] | null;
  /** Whether the present link has confirmed it. */
  readonly live: boolean;
  /** That of the last whole batch. */
  readonly cursor: string | null;
  /** Whether it has asked for what it missed, or for a snapshot, and is not where the table is yet. */
  readonly catching_up: boolean;
  /** How many changes have come since the last reconnect or reset, until it had caught up. */
  readonly caught_up: number;
  /** Ends it; loops over it end. */
  close(): void;
  /** Asks again after `error`. */
  renew(): void;
}
