/**
 * `plankCollectionOptions`: a collection that is a table. Batches go in whole, so a live query never shows half of a transaction; writes go
 * out by /rest, and an optimistic row leaves when the change that it became is there.
 */
import { keyOf } from "plank-client";
import { filterOf } from "./filter.js";

/** Errors of a filter that plank does not serve, where more rows do as well. */
const TOO_MUCH = ["bad_filter", "too_dear"];

/** What changes of a batch come to: rows by key, undefined for one that is gone. */
function net(changes, nameOf, read) {
  const rows = new Map();
  let is_cleared = false;
  for (const { op, key, row } of changes) {
    if (op === "truncate") {
      rows.clear();
      is_cleared = true;
    } else if (op === "delete") rows.set(nameOf(read(key)), undefined);
    else {
      const value = read(row);
      rows.set(nameOf(value), value);
    }
  }
  return { rows, is_cleared };
}

/** One run of `sync`: the subscriptions, and which rows each of them has. */
class Run {
  #config;
  #params;
  #subsets = new Map();
  /** Keys of the rows that the collection was given. It shows some only later, while a write of its own is on its way. */
  #given;
  /** The place that has been committed. */
  cursor = null;

  constructor(config, params) {
    this.#config = config;
    this.#params = params;
    // Those that a persisted collection begins with.
    this.#given = new Set(params.collection._state.syncedData.keys());
  }

  /** The table, or what `filter` says of it, from `since` on. */
  eager(since) {
    const { markReady, markError, truncate, collection } = this.#params;
    const end = this.#follow(this.#config.filter, {
      since,
      whole: (rows, cursor) => {
        if (rows) this.#commit(rows, cursor, truncate);
        markReady();
      },
      batch: ({ rows, is_cleared }, cursor) => this.#commit(rows, cursor, is_cleared && truncate),
      failed: (error) => collection.status === "loading" && markError(error),
    });
    this.#subsets.set("the table", { rows: new Map(), end });
  }

  /** Until `cleanup`. */
  close() {
    for (const { end } of this.#subsets.values()) end();
    this.#subsets.clear();
  }

  load(where) {
    const filter = this.#filter(where);
    let subset = this.#subsets.get(filter);
    if (!subset) {
      subset = { refs: 0, rows: new Map(), end: () => {} };
      subset.ready = new Promise((resolve, reject) => this.#load(subset, filter, resolve, reject));
      this.#subsets.set(filter, subset);
      subset.ready.then(() => (subset.is_ready = true), () => this.#subsets.delete(filter));
    }
    subset.refs += 1;
    return subset.is_ready ? true : subset.ready;
  }

  unload(where) {
    const filter = this.#filter(where);
    const subset = this.#subsets.get(filter);
    if (!subset || --subset.refs > 0) return;
    this.#subsets.delete(filter);
    subset.end();
    this.#apply(subset, new Map([...subset.rows.keys()].map((key) => [key, undefined])), this.cursor);
  }

  #filter(where) {
    const { filter } = this.#config;
    return [filter, filterOf(where)].filter(Boolean).join("&");
  }

  #load(subset, filter, resolve, reject) {
    const gone = (rows) => [...subset.rows.keys()].filter((key) => !rows.get(key)).map((key) => [key, undefined]);
    subset.end = this.#follow(filter, {
      whole: (rows, cursor) => {
        if (rows) this.#apply(subset, new Map([...gone(rows), ...rows]), cursor);
        resolve();
      },
      batch: ({ rows, is_cleared }, cursor) => this.#apply(subset, new Map([...(is_cleared ? gone(rows) : []), ...rows]), cursor),
      failed: (error) => {
        if (!TOO_MUCH.includes(error.code) || filter === (this.#config.filter ?? "")) return reject(error);
        subset.end();
        this.#load(subset, this.#config.filter ?? "", resolve, reject);
      },
    });
  }

  /** A row stays as long as one subset has it. */
  #apply(subset, rows, cursor) {
    const changed = new Map();
    for (const [key, row] of rows) {
      if (row) subset.rows.set(key, row);
      else if (!subset.rows.delete(key)) continue;
      if (row || ![...this.#subsets.values()].some((each) => each.rows.has(key))) changed.set(key, row);
    }
    this.#commit(changed, cursor);
  }

  /** One sync transaction: rows by key, undefined for one that is gone. */
  #commit(rows, cursor, truncate) {
    const { begin, write, commit, metadata } = this.#params;
    this.cursor = cursor;
    if (truncate) this.#given.clear();
    const messages = [...rows].flatMap(([key, value]) => {
      const is_there = this.#given.has(key);
      if (value) this.#given.add(key);
      else this.#given.delete(key);
      if (value) return { type: is_there ? "update" : "insert", value };
      return is_there ? { type: "delete", key } : [];
    });
    if (!messages.length && !truncate) return;
    begin();
    if (truncate) truncate();
    for (const message of messages) write(message);
    metadata?.collection.set("cursor", cursor);
    commit();
  }

  /** One subscription. `whole` gets the rows of a snapshot, or null where it went on from `since`. */
  #follow(filter, { since, whole, batch, failed }) {
    const { client, table, columns, getKey, read } = this.#config;
    let pieces = null;
    const forget = () => (pieces = null);
    const subscription = client.subscribe({ table, columns, filter: filter || undefined, snapshot: true, since }, {
      snapshot: ({ rows }) => void (pieces ??= []).push(...rows.map(read)),
      live: ({ cursor }) => {
        const rows = pieces && new Map(pieces.map((row) => [getKey(row), row]));
        forget();
        whole(rows, cursor);
      },
      changes: ({ changes, cursor }) => batch(net(changes, getKey, read), cursor),
      down: forget,
      reset: forget,
      error: ({ code, message }) => failed(Object.assign(new Error(message), { code })),
      ended: () => failed(Object.assign(new Error(`${table} is not watched any more`), { code: "unwatched" })),
    });
    const stop = client.onState(({ phase, close }) => {
      if (phase === "closed") failed(Object.assign(new Error(close?.reason || "the client is closed"), { code: `${close?.code ?? "closed"}` }));
    });
    return () => {
      stop();
      subscription.close();
    };
  }
}

/** Of a table of plank what `createCollection` takes. */
export function plankCollectionOptions({ client, table, key = ["id"], filter, columns, parse = {}, syncMode = "eager", ...rest }) {
  const parsers = Object.entries(parse);
  const read = (row) => {
    const value = { ...row };
    for (const [name, parser] of parsers) if (value[name] != null) value[name] = parser(value[name]);
    return value;
  };
  const getKey = (row) => (key.length === 1 ? row[key[0]] : keyOf(row, key));
  const config = { client, table, filter, columns, getKey, read };
  const keyOfRow = (row) => Object.fromEntries(key.map((name) => [name, row[name]]));
  const writer = client.table(table);
  let run = null;
  let imported = null;
  const sync = {
    sync(params) {
      const own = (run = new Run(config, params));
      const cleanup = () => own.close();
      if (syncMode === "on-demand") {
        params.markReady();
        return { cleanup, loadSubset: ({ where }) => own.load(where), unloadSubset: ({ where }) => own.unload(where) };
      }
      const kept = imported?.cursor ?? params.metadata?.collection.get("cursor");
      // Without its rows a cursor is no place to go on from.
      own.eager(params.collection._state.syncedData.size ? kept : undefined);
      return { cleanup };
    },
    exportSyncMeta: () => (run?.cursor ? { cursor: run.cursor } : undefined),
    importSyncMeta: (meta) => (imported = meta),
    rowUpdateMode: "full",
  };
  return {
    ...rest,
    getKey,
    syncMode,
    sync,
    onInsert: async ({ transaction }) => {
      await writer.insert(transaction.mutations.map(({ modified }) => modified));
    },
    onUpdate: async ({ transaction }) => {
      await Promise.all(transaction.mutations.map(({ original, changes }) => writer.update(keyOfRow(original), changes)));
    },
    onDelete: async ({ transaction }) => {
      await Promise.all(transaction.mutations.map(({ original }) => writer.delete(keyOfRow(original))));
    },
  };
}
