import type { Client, Row, State } from "./dist/plank.js";
import type { Live, LiveRow, Query } from "./live.js";

export type { Live, LiveRow, Query, Status } from "./live.js";

/** What `$store` reads. */
export interface Readable<T> {
  subscribe(run: (value: T) => void): () => void;
}

/** The rows of a query, live, while something reads the store. A `client` of null, on a server that renders: the empty state. */
export function rows<T = Row>(client: Client | null, query: Query): Readable<Live<T>>;

/** The row with this key, which has all columns of the primary key. */
export function row<T = Row>(client: Client | null, table: string, key: Row, options?: Pick<Query, "columns">): Readable<LiveRow<T>>;

/** The state of the connection. */
export function connection(client: Client): Readable<State>;
