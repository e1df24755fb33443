import type { Refusal, Row, Spec } from "./dist/plank.js";

/** What `subscribe` takes. The rows are always asked for. */
export type Query = Omit<Spec, "snapshot" | "since">;

/**
 * `loading`: no rows yet. `live`: `rows` is the table. `stale`: it is what it was when the connection was lost, or is loaded anew.
 * `refused`: `error` says why. `ended`: the table is not watched any more.
 */
export type Status = "loading" | "live" | "stale" | "refused" | "ended";

/** Neither it nor `rows` ever changes: there is another one after a batch. */
export interface Live<T = Row> {
  readonly rows: readonly T[];
  readonly status: Status;
  readonly error: Refusal | null;
}

export interface LiveRow<T = Row> {
  /** Null when there is none, and while it is not known. */
  readonly row: T | null;
  readonly status: Status;
  readonly error: Refusal | null;
}
