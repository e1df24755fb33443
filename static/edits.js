/**
 * What this page writes to a table: each value is shown at once, and taken back with the server's reason when it is refused.
 *
 * Owns the values that are under way, as layers over the rows of the page, and what can be undone. A write names the values that it
 * was made on, so that it never covers what another user has written meanwhile.
 */
import { signal } from "@preact/signals-core";
import { sentenceOf } from "./api.js";
import { readRows, whereKey, writeAll } from "./rest.js";
import { kindOf } from "./values.js";

const UNDO_MAX = 50;
/** Rows of one batch. */
export const ROWS_MAX = 1_000;
/** For so long a value that was written is shown over a row that has not come. */
const WRITTEN_MAX_MS = 5_000;
/** Types without `=`, or whose values are not the same after a way through text. */
const UNMATCHED = /^(json$|real|double|xml|point|box|line|path|polygon|circle)/;

/** `written`: the server has it, and the row has yet to come. @typedef {{value: any, state: "pending" | "written" | "refused", reason?: string}} Cell */
/** @typedef {{row: object, key: object, values: object, current: object | null}} Conflict */

export class Edits {
  /** Moves when there is something else to show. */
  tick = signal(0);
  /** @type {import("@preact/signals-core").Signal<Conflict | null>} */
  conflict = signal(null);
  #client;
  #table;
  /** @type {Map<string, Map<string, Cell>>} */
  #cells = new Map();
  /** Rows that are being deleted. */
  #going = new Set();
  #undo = [];

  /** @param {import("./catalog.js").Table} table */
  constructor(client, table) {
    this.#client = client;
    this.#table = table;
  }

  /** @returns {Cell | undefined} */
  cell(key, name) {
    return this.#cells.get(key)?.get(name);
  }

  isGoing(key) {
    return this.#going.has(key);
  }

  keyOf(row) {
    return Object.fromEntries(this.#table.key.map((name) => [name, row[name]]));
  }

  get can_undo() {
    return this.#undo.length > 0;
  }

  #draw() {
    this.tick.value += 1;
  }

  /** Writes some values of a row. @returns {Promise<boolean>} Whether it was written. */
  async update(entry, values, { is_sure = false, is_undo = false } = {}) {
    const { key, row } = entry;
    const before = Object.fromEntries(Object.keys(values).map((name) => [name, row[name] ?? null]));
    this.#lay(key, values, { state: "pending" });
    try {
      await this.#client.table(this.#table.table).update(this.keyOf(row), values, is_sure ? {} : { ifMatch: this.#matching(before) });
      this.#lift(key, Object.keys(values));
      if (!is_undo) this.#keep({ op: "update", key: this.keyOf({ ...row, ...values }), values: before });
      return true;
    } catch (problem) {
      if (problem.status === 412 || problem.status === 404) {
        this.#lift(key, Object.keys(values));
        const [current = null] = await readRows(this.#table.table, [whereKey(this.keyOf(row)), "limit=1"]).catch(() => [row]);
        this.conflict.value = { key, row, values, current };
        return false;
      }
      const names = problem.column in values ? [problem.column] : Object.keys(values);
      this.#lift(key, Object.keys(values));
      this.#lay(key, Object.fromEntries(names.map((name) => [name, values[name]])), { state: "refused", reason: sentenceOf(problem) });
      return false;
    } finally {
      this.#draw();
    }
  }

  #matching(values) {
    return Object.fromEntries(Object.entries(values).filter(([name]) => {
      const column = this.#table.columns.find((one) => one.name === name);
      return column && !UNMATCHED.test(column.type) && kindOf(column) !== "json" && kindOf(column) !== "array";
    }));
  }

  /** The server's rows show through again. */
  #lift(key, names) {
    const layer = this.#cells.get(key);
    for (const name of names) layer?.delete(name);
    if (!layer?.size) this.#cells.delete(key);
  }

  /** A refusal has been read. */
  dismiss(key, name) {
    if (this.cell(key, name)?.state !== "refused") return;
    this.#lift(key, [name]);
    this.#draw();
  }

  /** @returns {Promise<object>} The row as it was written. @throws a WriteError */
  async insert(values) {
    const row = await this.#client.table(this.#table.table).insert(values);
    if (row && this.#table.key.length) this.#keep({ op: "delete", key: this.keyOf(row) });
    return row;
  }

  /** Some rows, all or none. @throws a WriteError, with the `index` of the row that is refused */
  async insertAll(rows) {
    const written = await this.#client.table(this.#table.table).insert(rows);
    const undo = written.filter(Boolean).map((row) => ({ op: "delete", key: this.keyOf(row) }));
    if (this.#table.key.length && undo.length === written.length) this.#keep(...undo);
    return written;
  }

  /** The same values in several rows, all or none. @throws what is refused, which then stands at its cells */
  async updateAll(entries, values) {
    const names = Object.keys(values);
    const before = entries.map(({ row }) => Object.fromEntries(names.map((name) => [name, row[name] ?? null])));
    const operations = entries.map(({ row }, at) => ({ op: "update", table: this.#table.table, key: this.keyOf(row), values, match: this.#matching(before[at]) }));
    for (const { key } of entries) this.#lay(key, values, { state: "pending" });
    try {
      await writeAll(operations);
    } catch (problem) {
      for (const { key } of entries) this.#lift(key, names);
      this.#lay(entries[problem.index ?? 0].key, values, { state: "refused", reason: sentenceOf(problem) });
      throw problem;
    }
    for (const { key } of entries) this.#lay(key, values, { state: "written" });
    setTimeout(() => entries.forEach(({ key }) => this.heard(key)), WRITTEN_MAX_MS);
    this.#keep(...entries.map(({ row }, at) => ({ op: "update", key: this.keyOf({ ...row, ...values }), values: before[at] })));
  }

  #lay(key, values, cell) {
    const layer = this.#cells.get(key) ?? new Map();
    this.#cells.set(key, layer);
    for (const [name, value] of Object.entries(values)) layer.set(name, { value, ...cell });
    this.#draw();
  }

  /** A change of the row has come, or must have: what was written is in it. */
  heard(key) {
    const layer = this.#cells.get(key);
    if (!layer) return;
    const written = [...layer].filter(([, { state }]) => state === "written").map(([name]) => name);
    if (!written.length) return;
    this.#lift(key, written);
    this.#draw();
  }

  /** Some rows, all or none. */
  async remove(entries) {
    for (const { key } of entries) this.#going.add(key);
    this.#draw();
    try {
      await writeAll(entries.map(({ row }) => ({ op: "delete", table: this.#table.table, key: this.keyOf(row) })));
      const open = this.#table.columns.filter(({ fixed }) => !fixed).map(({ name }) => name);
      const restored = entries.map(({ row }) => ({ op: "insert", values: Object.fromEntries(open.filter((name) => name in row).map((name) => [name, row[name]])) }));
      if (this.#table.may.includes("insert")) this.#keep(...restored);
    } finally {
      for (const { key } of entries) this.#going.delete(key);
      this.#draw();
    }
  }

  #keep(...operations) {
    this.#undo.push(operations.map((operation) => ({ ...operation, table: this.#table.table })));
    if (this.#undo.length > UNDO_MAX) this.#undo.shift();
    this.#draw();
  }

  /** Takes the last write back, as another write. */
  async undo() {
    const operations = this.#undo.pop();
    if (!operations) return;
    this.#draw();
    try {
      await writeAll(operations);
    } catch (problem) {
      this.#undo.push(operations);
      throw problem;
    } finally {
      this.#draw();
    }
  }
}
