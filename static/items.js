/** The table `items` as it is followed: which changes were another user's, and the last of them. What this page does to
 * it itself is in writes.js, which comes with the first move of a hand. */
import { signal } from "@preact/signals-core";
import { LiveTable } from "./live.js";

const ORDER = { place: ({ id }) => Number(id), group: ({ status }) => status, descending: true };

export class Items extends LiveTable {
  /** The last change that another user made. @type {import("@preact/signals-core").Signal<{op: string, name: string, at: number} | null>} */
  latest = signal(null);
  /** @type {import("./writes.js").Writes | null} */
  writes = null;

  constructor(client, spec) {
    super(client, "items", { order: ORDER, spec, change: (change, key, before) => this.#told(change, key, before) });
  }

  view(key, row) {
    return this.writes ? this.writes.view(key, row) : row;
  }

  /** Shows a change of another user. */
  tell(op, name, key) {
    this.latest.value = { op, name, at: Date.now() };
    if (key) this.blink(key);
  }

  #told(change, key, before) {
    if (this.writes?.told(change, key)) return;
    const { op, row } = change;
    if (op === "truncate") this.tell(op, "Everything");
    else if (op !== "delete") this.tell(op, row.name, key);
    else if (before) this.tell(op, before.name);
  }
}
