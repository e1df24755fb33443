/**
 * Rows in an order and in groups, kept that way while they come, change and go. Pure: no page, no network.
 *
 * A change costs a binary search and the move of a part of one array; a flood of them is sorted once instead.
 */

/** From this many changes at once on, one sort is cheaper than a place for each. */
const FLOOD_MIN = 400;

/**
 * @typedef {object} Entry One row on the page; it keeps its identity while it is there.
 * @property {string} key What `keyOf` makes of the row's key.
 * @property {Record<string, any>} row
 * @property {string} group
 * @property {any} place What it is sorted by.
 */

/** Any two JSON values in one order: numbers, then texts, null last. */
export function compare(a, b) {
  if (a === b) return 0;
  if (a === null || b === null) return a === null ? 1 : -1;
  if (typeof a !== typeof b) return typeof a < typeof b ? -1 : 1;
  return a < b ? -1 : 1;
}

/** Whether two values, or two rows, say the same. */
export const isSame = (a, b) => a === b || JSON.stringify(a) === JSON.stringify(b);

/** What a value is sorted by: an object by its text, a number as a number, also one that came as a string. */
export function placeOf(value, is_number) {
  if (value === undefined || value === null) return null;
  if (is_number && !Number.isNaN(Number(value))) return Number(value);
  return typeof value === "object" ? JSON.stringify(value) : value;
}

export class Rows {
  /** @type {Map<string, Entry>} */
  #entries = new Map();
  /** @type {Map<string, Entry[]>} */
  #groups = new Map();
  #place;
  #group;
  #sign;
  /** Whether the groups have to be made anew before they are shown. */
  #loose = false;

  /**
   * @param {{place: (row: any) => any, group?: (row: any) => string, descending?: boolean}} order
   */
  constructor(order) {
    this.order(order);
  }

  order({ place, group = () => "", descending = false }) {
    this.#place = place;
    this.#group = group;
    this.#sign = descending ? -1 : 1;
    for (const entry of this.#entries.values()) Object.assign(entry, { place: place(entry.row), group: group(entry.row) });
    this.#loose = true;
  }

  get size() {
    return this.#entries.size;
  }

  get(key) {
    return this.#entries.get(key);
  }

  keys() {
    return this.#entries.keys();
  }

  values() {
    return this.#entries.values();
  }

  /** The rows of a group in their order; the array must not be kept. @returns {Entry[]} */
  list(group = "") {
    if (this.#loose) this.#settle();
    return this.#groups.get(group) ?? [];
  }

  /** Where a row stands in its group, or -1. */
  indexOf(entry) {
    if (!entry || this.#entries.get(entry.key) !== entry) return -1;
    return this.#find(this.list(entry.group), entry);
  }

  /** Announces that so many changes come: whether they are given a place each, or all are sorted once. */
  expect(count) {
    if (count >= FLOOD_MIN) this.#loose = true;
  }

  set(key, row) {
    const entry = this.#entries.get(key);
    const place = this.#place(row);
    const group = this.#group(row);
    if (!entry) {
      const fresh = { key, row, place, group };
      this.#entries.set(key, fresh);
      if (!this.#loose) this.#insert(fresh);
      return fresh;
    }
    entry.row = row;
    if (entry.place === place && entry.group === group) return entry;
    if (!this.#loose) this.#remove(entry);
    entry.place = place;
    entry.group = group;
    if (!this.#loose) this.#insert(entry);
    return entry;
  }

  delete(key) {
    const entry = this.#entries.get(key);
    if (!entry) return;
    if (!this.#loose) this.#remove(entry);
    this.#entries.delete(key);
  }

  clear() {
    this.#entries.clear();
    this.#groups.clear();
  }

  #compare(a, b) {
    return this.#sign * compare(a.place, b.place) || compare(a.key, b.key);
  }

  #settle() {
    this.#loose = false;
    this.#groups.clear();
    for (const entry of this.#entries.values()) {
      const list = this.#groups.get(entry.group);
      if (list) list.push(entry);
      else this.#groups.set(entry.group, [entry]);
    }
    for (const list of this.#groups.values()) list.sort((a, b) => this.#compare(a, b));
  }

  /** Where the entry is, or where it belongs. */
  #find(list, entry) {
    let low = 0;
    let high = list.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#compare(list[middle], entry) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #insert(entry) {
    const list = this.#groups.get(entry.group);
    if (list) list.splice(this.#find(list, entry), 0, entry);
    else this.#groups.set(entry.group, [entry]);
  }

  #remove(entry) {
    const list = this.#groups.get(entry.group);
    list.splice(this.#find(list, entry), 1);
  }
}
