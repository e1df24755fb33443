import type { ReactElement, ReactNode } from "react";
import type { Client, Options, Row, State } from "./dist/plank.js";
import type { Live, LiveRow, Query } from "./live.js";

export type { Live, LiveRow, Query, Status } from "./live.js";

export type ProviderProps = { children?: ReactNode } & (
  | { /** The caller's: it is not closed. */ client: Client; url?: undefined; auth?: undefined; options?: undefined }
  | {
      client?: undefined;
      /** As `connect` takes it. The client lives as long as the provider, and only in a browser. */
      url: string;
      /** A token, or a function that gets one. Another one needs no new connection: it is used when the old one ends. */
      auth?: Options["auth"] | null;
      /** Those of `connect`, as they were first. */
      options?: Omit<Options, "auth">;
    }
);

/** Makes a client for `url`, or hands `client` on, to the hooks beneath it. */
export function PlankProvider(props: ProviderProps): ReactElement;

/** The client, for writes; null before the page is there. */
export function usePlank(): Client | null;

export interface SuspenseOptions {
  /**
   * A component waits (`<Suspense>`) while its rows are `loading`; later it never does, and what is refused is in `error`. A server that
   * renders does not wait, and neither does a component before its provider has made a client: both have the empty state. With `client`
   * given to the provider it waits from its first rendering.
   */
  suspense?: boolean;
}

/**
 * The rows of a query, live. Components that ask for the same share one subscription, which ends a second after the last of them.
 * While a server renders the page it is the empty state. Null: nothing is asked for.
 */
export function useRows<T = Row>(query: Query | null, options?: SuspenseOptions): Live<T>;

/**
 * The row with this key.
 * @param key All columns of the primary key.
 */
export function useRow<T = Row>(table: string, key: Row | null, options?: Pick<Query, "columns"> & SuspenseOptions): LiveRow<T>;

/** The state of the connection. */
export function useConnection(): State;
