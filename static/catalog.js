/**
 * The tables as the server lists them, how many rows each has, and how often it changes. One for the whole page; it asks while a view
 * looks at it, and keeps what it knows.
 */
import { signal } from "@preact/signals-core";
import { metrics, tables as readTables } from "./http.js";
import { countRows } from "./rest.js";

/** New tables are watched from psql, and no message tells the page. */
const TABLES_EVERY_MS = 5_000;
const COUNTS_EVERY_MS = 30_000;
/** Tables that are counted at a time. */
const COUNTED_AT_ONCE = 4;
const RATES_EVERY_MS = 3_000;
/** Two minutes. */
export const SAMPLES_MAX = 40;
const REFUSED_EVERY_MS = 60_000;

const CHANGES = /^plank_changes_total\{([^}]*)\} (\S+)/gm;

/** @typedef {{table: string, key: string[], columns: import("./values.js").Column[], old_rows: boolean, writable: boolean, may: string[]}} Table */

export class Catalog {
  /** Null until it is known. @type {import("@preact/signals-core").Signal<Table[] | null>} */
  tables = signal(null);
  /** Why it is not known now, in a sentence. */
  failure = signal(null);
  /** @type {import("@preact/signals-core").Signal<Map<string, number>>} */
  counts = signal(new Map());
  /** Changes per minute, the newest last; null while plank does not show its figures. @type {import("@preact/signals-core").Signal<Map<string, number[]> | null>} */
  rates = signal(new Map());
  #watchers = new Map();
  #totals = null;
  #read_at = 0;

  /** Keeps it up to date until the function that comes back is called. @param {"tables" | "counts" | "rates"} what */
  watch(what) {
    const watcher = this.#watchers.get(what) ?? { count: 0 };
    this.#watchers.set(what, watcher);
    watcher.count += 1;
    if (watcher.count === 1) this.#go(what, watcher);
    return () => {
      watcher.count -= 1;
      if (watcher.count === 0) clearTimeout(watcher.timer);
    };
  }

  close() {
    for (const watcher of this.#watchers.values()) {
      watcher.count = -Infinity;
      clearTimeout(watcher.timer);
    }
  }

  async #go(what, watcher) {
    const round = (watcher.round = {});
    const wait_ms = document.hidden ? RATES_EVERY_MS : await { tables: this.#tables, counts: this.#counts, rates: this.#rates }[what](watcher);
    if (watcher.count > 0 && watcher.round === round) watcher.timer = setTimeout(() => this.#go(what, watcher), wait_ms);
  }

  #tables = async (watcher) => {
    try {
      const tables = await readTables();
      if (watcher.count < 0) return 0;
      this.failure.value = null;
      // The same answer is no news.
      if (JSON.stringify(tables) !== JSON.stringify(this.tables.value)) this.tables.value = tables;
    } catch ({ status, message }) {
      this.failure.value = status === 0 ? "The server does not answer." : status === 503 ? "The database is away." : message;
    }
    return TABLES_EVERY_MS;
  };

  #counts = async (watcher) => {
    const names = (this.tables.value ?? []).map(({ table }) => table);
    const waiting = [...names];
    const work = async () => {
      for (let name = waiting.shift(); name !== undefined && watcher.count > 0; name = waiting.shift()) {
        const counted = await countRows(name).catch(() => null);
        if (counted !== null && watcher.count > 0) this.counts.value = new Map(this.counts.value).set(name, counted);
      }
    };
    await Promise.all(Array.from({ length: COUNTED_AT_ONCE }, work));
    // What is not listed yet is counted as soon as it is.
    return names.length ? COUNTS_EVERY_MS : 200;
  };

  #rates = async () => {
    const text = await metrics().catch(() => null);
    // A proxy mostly keeps them to itself.
    if (text === null) {
      this.rates.value = null;
      return REFUSED_EVERY_MS;
    }
    const totals = new Map();
    for (const [, labels, value] of text.matchAll(CHANGES)) {
      const table = labels.match(/table="((?:[^"\\]|\\.)*)"/)?.[1].replace(/\\(.)/g, "$1");
      totals.set(table, (totals.get(table) ?? 0) + Number(value));
    }
    const minutes = (Date.now() - this.#read_at) / 60_000;
    if (this.#totals) {
      const rates = new Map();
      for (const { table } of this.tables.value ?? []) {
        const added = Math.max(0, (totals.get(table) ?? 0) - (this.#totals.get(table) ?? 0));
        rates.set(table, [...(this.rates.value?.get(table) ?? []), added / minutes].slice(-SAMPLES_MAX));
      }
      this.rates.value = rates;
    }
    this.#totals = totals;
    this.#read_at = Date.now();
    return RATES_EVERY_MS;
  };
}
