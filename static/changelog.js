/** What happened to a table lately, with old and new values. Pure: no page, no network. */

import { isSame } from "./rows.js";

/** Changes that are kept: what an eye may scroll back to. */
const CHANGES_MAX = 200;
/** Rows that are remembered as they were last told: an update does not say what was before it. */
const ROWS_MAX = 1_000;

/**
 * @typedef {object} Entry
 * @property {number} id
 * @property {number} seq Its number in the log.
 * @property {string} xid Its transaction.
 * @property {"insert" | "update" | "delete" | "truncate"} op
 * @property {string | null} cause
 * @property {number} at
 * @property {Record<string, any> | null} key
 * @property {{name: string, before?: any, after?: any}[]} values Of an update those that differ; else all.
 * @property {boolean} is_unpaired Whether it is an update of a row of which the page did not know the old values.
 */

export class ChangeLog {
  /** Newest first. @type {Entry[]} */
  entries = [];
  total = 0;
  /** Those that were told as history. */
  #past = new Set();
  /** The newest row of each key. @type {Map<string, object>} */
  #rows = new Map();

  /** @param {object} change As the socket brings it. @param {object | undefined} before The row as the page had it. */
  add(change, before) {
    const { op, cause = null, key, row, old, at, seq, xid } = change;
    if (this.#past.has(seq)) return;
    const was = old ?? before ?? (op === "update" ? this.#rows.get(JSON.stringify(key)) : undefined);
    this.#remember(op, key, row);
    const names = Object.keys(row ?? was ?? {});
    const is_paired = op === "update" && was !== undefined;
    const values = names
      .map((name) => ({ name, ...(op !== "insert" && was && name in was && { before: was[name] }), ...(op !== "delete" && { after: row?.[name] }) }))
      .filter(({ name, before: old_value, after }) => !is_paired || (!isSame(old_value, after) && !(key && name in key)));
    this.total += 1;
    this.entries.unshift({ id: this.total, seq, xid, op, cause, at: Date.parse(at), key, values, is_unpaired: op === "update" && !is_paired });
    if (this.entries.length > CHANGES_MAX * 2) this.entries.length = CHANGES_MAX;
  }

  /** What happened before. @param {object[]} changes The newest last. */
  addBefore(changes) {
    const older = new ChangeLog();
    for (const { seq } of changes) this.#past.add(seq);
    const told = new Set(this.entries.map(({ seq }) => seq));
    for (const change of changes) if (!told.has(change.seq)) older.add(change);
    this.entries.push(...older.entries.map((entry) => ({ ...entry, id: -entry.seq })));
    this.entries.length = Math.min(this.entries.length, CHANGES_MAX * 2);
    for (const [name, row] of older.#rows) if (!this.#rows.has(name)) this.#rows.set(name, row);
  }

  #remember(op, key, row) {
    if (op === "truncate") this.#rows.clear();
    if (!key) return;
    const name = JSON.stringify(key);
    this.#rows.delete(name);
    if (op === "delete") return;
    this.#rows.set(name, row);
    if (this.#rows.size > ROWS_MAX) this.#rows.delete(this.#rows.keys().next().value);
  }

  /** @returns {Entry[]} */
  get latest() {
    return this.entries.slice(0, CHANGES_MAX);
  }
}
