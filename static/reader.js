/** Reads rows of a list from the server: from its ends, behind a row, and at a place. It keeps no rows. */
import { following, orderText, reversed } from "./order.js";
import { readRows } from "./rest.js";

/** @typedef {import("./order.js").Term[]} Terms The key is among them. */

export class Reader {
  #table;
  /** Has the filter. @type {{filter: string}} */
  #list;
  /** The first and the last value of a key of integers. */
  #ends = null;

  constructor(table, list) {
    this.#table = table;
    this.#list = list;
  }

  /** What was read of the ends of another list. */
  forget() {
    this.#ends = null;
  }

  /** @param {string | null} condition @param {Terms} terms @param {number} limit @param {string} [more] A parameter. */
  read(condition, terms, limit, more) {
    const order = terms.length && `order=${encodeURIComponent(orderText(terms))}`;
    return readRows(this.#table, [this.#list.filter, condition, order, `limit=${limit}`, more]);
  }

  /** Rows behind one, by one request or two. @param {boolean} [is_with] The row itself as well. */
  async behind(terms, row, limit, is_with) {
    const rows = [];
    for (const condition of following(terms, row, is_with)) {
      rows.push(...(await this.read(condition, terms, limit - rows.length)));
      if (rows.length >= limit) break;
    }
    return rows;
  }

  /** Rows at a place of a list of so many. @returns {Promise<[object[], boolean]>} Them, and whether the place is counted. */
  async at(terms, index, total, limit) {
    return (await this.#between(terms, index, total, limit)) ?? (await this.#skipping(terms, index, total, limit));
  }

  /** Where the order is that of a key of integers: found by the index at once, however many there are. */
  async #between(terms, index, total, limit) {
    const [{ column }, more] = terms;
    if (more || this.#list.filter || !/int/.test(column.type)) return null;
    const end = async (order) => Number((await this.read(`select=${encodeURIComponent(column.name)}`, order, 1))[0]?.[column.name]);
    this.#ends ??= Promise.all([end(terms), end(reversed(terms))]).catch(() => []);
    const [from, to] = await this.#ends;
    if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to)) return null;
    const value = Math.round(from + ((to - from) * index) / total);
    return [await this.behind(terms, { [column.name]: value }, limit, true), false];
  }

  /** Counted by PostgreSQL from the nearer end. */
  async #skipping(terms, index, total, limit) {
    const from_end = Math.max(0, total - index - limit);
    if (from_end > index) return [await this.read(null, terms, limit, `offset=${index}`), true];
    return [(await this.read(null, reversed(terms), limit, `offset=${from_end}`)).reverse(), false];
  }
}
