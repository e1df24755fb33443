import type { CollectionConfig, SyncMode } from "@tanstack/db";
import type { Client, Row } from "plank-client";

export interface PlankConfig<T extends object>
  extends Omit<CollectionConfig<T, string | number>, "sync" | "getKey" | "syncMode" | "onInsert" | "onUpdate" | "onDelete" | "schema"> {
  client: Client;
  /** As PostgreSQL reads a name. A collection that is written needs a table that the client may write. */
  table: string;
  /** The columns of the primary key, in its order; `["id"]` without it. The key of a row is its value, or `keyOf` of several. */
  key?: readonly (keyof T & string)[];
  /** Only these rows, as in `subscribe`. */
  filter?: string;
  /** Only these columns and the key. */
  columns?: readonly (keyof T & string)[];
  /** What values of these columns become, say `{ at: (text) => new Date(text) }`; null stays. Writes send a Date as ISO 8601. */
  parse?: { [Column in keyof T & string]?: (value: any) => T[Column] };
  /** `eager`, the default: the whole table. `on-demand`: what live queries ask for, as far as a filter can say it. */
  syncMode?: SyncMode;
}

/**
 * What `createCollection` takes. Each batch is one sync transaction; a snapshot replaces the rows. Writes are those of `client.table`: they are
 * sent again until it is known what became of them, and a handler ends when the collection has the change. Several rows that are inserted are
 * one write; several that are updated or deleted are one write each.
 */
export function plankCollectionOptions<T extends object = Row>(config: PlankConfig<T>): CollectionConfig<T, string | number> & { schema?: never };
