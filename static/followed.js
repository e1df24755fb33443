/** One row that is followed: what it is now, and what happened to it. */
import { signal } from "@preact/signals-core";
import { ChangeLog } from "./changelog.js";
import { recent } from "./past.js";
import { readRows, whereKey } from "./rest.js";

const DAY_MIN = 1440;
const RETRY_MS = 3_000;

export class FollowedRow {
  /** Undefined until it is known, null where there is no such row. */
  row = signal(undefined);
  /** Whether it was there and is gone. */
  is_gone = signal(false);
  /** Moves with the history. */
  tick = signal(0);
  log = new ChangeLog();
  /** From when on the history is whole; null until it is read. */
  since = signal(null);
  #subscription;
  #timer = 0;
  #reading = null;

  /** @param {object} key By the names of its columns. */
  constructor(client, table, key) {
    this.table = table;
    this.filter = whereKey(key);
    let is_first = true;
    this.#subscription = client.subscribe(
      { table, filter: this.filter },
      {
        live: () => {
          this.#read();
          if (is_first) this.#history(client);
          is_first = false;
        },
        changes: ({ changes }) => this.#hear(changes),
        error: () => (this.row.value ??= null),
      },
    );
  }

  close() {
    this.#subscription.close();
    this.#reading = {};
    clearTimeout(this.#timer);
  }

  async #read() {
    const reading = (this.#reading = {});
    try {
      const [row = null] = await readRows(this.table, [this.filter, "limit=1"]);
      if (reading === this.#reading) this.#set(row);
    } catch {
      if (reading === this.#reading) this.#timer = setTimeout(() => this.#read(), RETRY_MS);
    }
  }

  #set(row) {
    this.is_gone.value = row === null && !!this.row.value;
    if (row || !this.row.value) this.row.value = row;
  }

  #hear(changes) {
    // What is being read may be from before.
    if (this.#reading) this.#reading = {};
    for (const change of changes) {
      this.log.add(change, this.row.value ?? undefined);
      this.#set(change.op === "delete" || change.op === "truncate" ? null : change.row);
    }
    this.tick.value += 1;
  }

  async #history(client) {
    const from = Date.now();
    const { changes, since } = await recent(client, this.table, DAY_MIN, this.filter);
    this.log.addBefore(changes);
    this.since.value = since ?? from;
    this.tick.value += 1;
  }
}
