import type { ComputedRef, MaybeRefOrGetter, ShallowRef } from "vue";
import type { Client, Row, State } from "./dist/plank.js";
import type { Live, LiveRow, Query } from "./live.js";

export type { Live, LiveRow, Query, Status } from "./live.js";

/** The rows of a query, live, as long as the component. A `client` of null, on a server that renders: the empty state. */
export function useRows<T = Row>(client: Client | null, query: MaybeRefOrGetter<Query | null>): Readonly<ShallowRef<Live<T>>>;

/** The row with this key, which has all columns of the primary key. */
export function useRow<T = Row>(
  client: Client | null,
  table: string,
  key: MaybeRefOrGetter<Row | null>,
  options?: Pick<Query, "columns">,
): ComputedRef<LiveRow<T>>;

/** The state of the connection. */
export function useConnection(client: Client): Readonly<ShallowRef<State>>;
