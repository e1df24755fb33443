/** One table as it is looked at: its rows, its changes, what is written to it, and where the reader is in it. */
import { signal } from "@preact/signals-core";
import { ChangeLog } from "./changelog.js";
import { Edits } from "./edits.js";
import { Pages } from "./pages.js";
import { recent } from "./past.js";

const HOUR_MIN = 60;

export class ShownTable {
  /** What happened to the rows that pass the filter; another one when another filter is in force. */
  log = new ChangeLog();
  /** The cell that the keys are in. @type {import("@preact/signals-core").Signal<{index: number, key: string | null, name: string} | null>} */
  active = signal(null);
  /** Keys of the rows that are chosen. @type {import("@preact/signals-core").Signal<Set<string>>} */
  selected = signal(new Set());
  /** The cell whose value is being typed. @type {import("@preact/signals-core").Signal<{key: string, name: string, text?: string} | null>} */
  editing = signal(null);

  /** The row that is to be scrolled to. @type {import("@preact/signals-core").Signal<{index: number} | null>} */
  sought = signal(null);

  #client;
  #filter;
  #stop;

  /** @param {import("./catalog.js").Table} table */
  constructor(client, table, filter, order) {
    this.#client = client;
    this.#filter = filter;
    this.table = table;
    this.pages = new Pages(client, table, { filter, order, change: (...told) => this.#hear(...told) });
    this.edits = new Edits(client, table);
    this.#history();
    this.#stop = this.pages.tick.subscribe(() => this.#look());
  }

  /** A filter that is refused leaves the one before in force. */
  #look() {
    if (this.pages.filter === this.#filter) return;
    this.#filter = this.pages.filter;
    this.log = new ChangeLog();
    this.#history();
  }

  #hear(change, key, before) {
    this.#look();
    this.log.add(change, before);
    if (key) this.edits.heard(key);
  }

  async #history() {
    const { log } = this;
    const { changes } = await recent(this.#client, this.table.table, HOUR_MIN, this.#filter);
    if (log !== this.log) return;
    log.addBefore(changes);
    this.pages.draw();
  }

  may(op) {
    return this.table.key.length > 0 && (this.table.may ?? []).includes(op);
  }

  /** Whether a value of the column may be typed here. */
  mayEdit(column) {
    return this.may("update") && !column.fixed && !this.table.key.includes(column.name);
  }

  /** A row as the page shows it, with what is being written. */
  rowOf({ key, row }) {
    const shown = { ...row };
    for (const name of Object.keys(row)) {
      const cell = this.edits.cell(key, name);
      if (cell && cell.state !== "refused") shown[name] = cell.value;
    }
    return shown;
  }

  go(index, name) {
    const at = Math.max(0, Math.min(this.pages.total - 1, index));
    this.active.value = { index: at, key: this.pages.rows[at - this.pages.start]?.key ?? null, name };
  }

  /** Where the active row is now; it may have moved. */
  activeIndex() {
    const active = this.active.value;
    if (!active) return -1;
    const index = active.key === null ? -1 : this.pages.indexOf(active.key);
    return index < 0 ? Math.min(active.index, this.pages.total - 1) : index;
  }

  activeEntry() {
    return this.pages.rows[this.activeIndex() - this.pages.start];
  }

  choose(key, is_on = !this.selected.value.has(key)) {
    const next = new Set(this.selected.value);
    if (is_on) next.add(key);
    else next.delete(key);
    this.selected.value = next;
  }

  /** The rows that are chosen, else the active one. */
  chosen() {
    const entries = [...this.selected.value].map((key) => this.pages.get(key)).filter(Boolean);
    const active = this.activeEntry();
    return entries.length ? entries : active ? [active] : [];
  }

  unchoose() {
    this.selected.value = new Set();
  }

  close() {
    this.#stop();
    this.pages.close();
  }
}
