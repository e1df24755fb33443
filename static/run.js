/**
 * A run of rows out of a list of any length: where it stands in the list, and how it changes. Pure: no page, no network.
 *
 * `rows` are those from `start` on, in the order, without a gap; `total` is how long the list is. Both ends say whether the list goes on.
 */
import { compareRows } from "./order.js";
import { keyOf } from "./plank.js";
import { isSame } from "./rows.js";

/** Rows that are kept at most: those that are seen, and some screens around. */
export const RUN_MAX = 1_000;

/** @typedef {{key: string, row: object, flash?: {at: number, count: number, names: Set<string> | null}}} Entry */

export class Run {
  /** @type {Entry[]} */
  rows = [];
  start = 0;
  total = 0;
  /** Whether `start` is counted; else it is about there. */
  is_exact = true;
  /** Changes of rows outside of it. */
  beyond = 0;
  /** @type {import("./order.js").Term[]} */
  terms = [];
  is_at_start = true;
  is_at_end = false;
  /** The rows that are seen. */
  seen = [0, 40];
  /** By how many rows they have moved. */
  moved = 0;
  #names;
  #at = new Map();

  /** @param {string[]} names The columns of the key. */
  constructor(names) {
    this.#names = names;
  }

  get end() {
    return this.start + this.rows.length;
  }

  get(key) {
    return this.#at.get(key);
  }

  /** Where a row of the run is in the list, or -1. */
  indexOf(key) {
    const at = this.rows.indexOf(this.#at.get(key));
    return at < 0 ? -1 : this.start + at;
  }

  takeMoved() {
    const { moved } = this;
    this.moved = 0;
    return moved;
  }

  #keyOf(row, at) {
    return this.#names.length ? keyOf(row, this.#names) : keyOf({ at });
  }

  #entryOf(row, at) {
    const key = this.#keyOf(row, at);
    const entry = this.#at.get(key) ?? { key };
    entry.row = row;
    this.#at.set(key, entry);
    return entry;
  }

  /** In the place of all rows. */
  put(rows, start, { at_start, at_end }) {
    const before = this.#at;
    this.#at = new Map();
    this.rows = rows.map((row, at) => {
      const entry = before.get(this.#keyOf(row, at));
      if (entry) this.#at.set(entry.key, entry);
      return this.#entryOf(row, at);
    });
    this.start = start;
    this.is_at_start = at_start;
    this.is_at_end = false;
    if (at_start) this.is_exact = true;
    this.total = Math.max(this.total, this.end);
    if (at_end) this.#ended();
  }

  append(rows, is_last) {
    for (const row of rows) {
      const entry = this.#entryOf(row, this.rows.length);
      if (!this.rows.includes(entry)) this.rows.push(entry);
    }
    this.total = Math.max(this.total, this.end + (is_last ? 0 : 1));
    if (is_last) this.#ended();
    this.#trim(true);
  }

  prepend(rows, is_first) {
    const fresh = rows.map((row, at) => this.#entryOf(row, at)).filter((entry) => !this.rows.includes(entry));
    this.rows.unshift(...fresh);
    this.start -= fresh.length;
    this.is_at_start = is_first;
    // It was about there, and now it is known.
    const off = is_first ? -this.start : Math.max(0, 1 - this.start);
    if (off) this.#shift(off);
    if (is_first) this.is_exact = true;
    this.#trim(false);
  }

  clear() {
    this.rows = [];
    this.#at.clear();
    this.start = this.total = 0;
    this.is_at_start = this.is_at_end = true;
  }

  /** The last row is known: from the beginning on it is counted, else the end is where it was thought to be. */
  #ended() {
    this.is_at_end = true;
    if (this.is_exact) this.total = this.end;
    else if (this.end !== this.total) this.#shift(this.total - this.end);
  }

  #shift(by) {
    this.start += by;
    this.moved += by;
    this.#fit();
  }

  /** A run that is thought to be behind the end is before it. */
  #fit() {
    if (this.is_at_start) this.total = Math.max(this.total, this.end);
    const over = this.end - this.total;
    if (over <= 0) return;
    const back = Math.min(over, this.start);
    this.start -= back;
    this.moved -= back;
    this.total = Math.max(this.total, this.end);
  }

  /** What is far away is forgotten. */
  #trim(is_front) {
    const more = this.rows.length - RUN_MAX;
    if (more <= 0) return;
    const gone = is_front ? this.rows.splice(0, more) : this.rows.splice(-more);
    for (const { key } of gone) this.#at.delete(key);
    if (is_front) {
      this.start += more;
      this.is_at_start = false;
    } else this.is_at_end = false;
  }

  /** @returns {boolean} False where only PostgreSQL knows the place of the row. */
  apply({ op, row, old }, key) {
    const entry = this.#at.get(key);
    if (op === "insert" && !entry) this.total += 1;
    if (op === "delete") {
      this.total = Math.max(0, this.total - 1);
      if (entry) this.#remove(entry);
      else {
        this.beyond += 1;
        if (old && this.#isBefore(old)) this.#shift(-1);
      }
      this.#fit();
      return true;
    }
    if (!entry) {
      if (op === "update" && old && this.#isBefore(old)) this.#shift(-1);
      return this.#place({ key, row });
    }
    const names = new Set(Object.keys(row).filter((name) => !isSame(entry.row[name], row[name])));
    const has_moved = this.terms.some(({ column }) => names.has(column.name));
    entry.row = row;
    if (names.size) this.blink(entry, names);
    if (!has_moved) return true;
    this.#remove(entry);
    return this.#place(entry);
  }

  #remove(entry) {
    const at = this.rows.indexOf(entry);
    this.#at.delete(entry.key);
    if (at < 0) return;
    this.rows.splice(at, 1);
    if (this.start + at < this.seen[0]) this.moved -= 1;
  }

  /** Whether a row that the run does not have is somewhere before it. */
  #isBefore(row) {
    return !this.is_at_start && this.rows.length > 0 && compareRows(this.terms, row, this.rows[0].row) < 0;
  }

  /** Puts a row where it belongs, if that is within the run. */
  #place(entry) {
    const { rows, terms } = this;
    const to_first = rows.length ? compareRows(terms, entry.row, rows[0].row) : 0;
    const to_last = rows.length ? compareRows(terms, entry.row, rows.at(-1).row) : 0;
    if (to_first === null || to_last === null) return false;
    const is_before = to_first < 0 && !this.is_at_start;
    if (is_before || (to_last > 0 && !this.is_at_end)) {
      this.beyond += 1;
      if (is_before) this.#shift(1);
      return true;
    }
    let [low, high] = [0, rows.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const order = compareRows(terms, rows[middle].row, entry.row);
      if (order === null) return false;
      if (order < 0) low = middle + 1;
      else high = middle;
    }
    rows.splice(low, 0, entry);
    this.#at.set(entry.key, entry);
    this.#fit();
    // At the very beginning new rows are what one wants to see.
    if (this.start + low < this.seen[0]) this.moved += 1;
    this.blink(entry, null);
    this.#trim(this.seen[0] > this.start + RUN_MAX / 2);
    return true;
  }

  /** Lets cells flash: those of the names, or all. */
  blink(entry, names) {
    entry.flash = { at: Date.now(), count: (entry.flash?.count ?? 0) + 1, names };
  }
}
