/**
 * The table `items` as signals: what the server lists, kept up to date by what the socket brings.
 *
 * Owns the rows and the rules by which they meet: nothing older ever replaces something newer, and a delete is never
 * undone by an answer that was under way. It never renders, and never asks the user anything.
 */
import { batch, computed, signal } from "@preact/signals";
import * as api from "./api.js";

/** Ids of deleted rows that are remembered against late answers; far more than can be under way. */
const DELETED_MAX = 10_000;
const LOAD_RETRY_FIRST_MS = 500;
const LOAD_RETRY_MAX_MS = 10_000;

/**
 * One row on the page. It keeps its identity for as long as the row is shown, so that only that row is drawn again.
 * @typedef {object} Entry
 * @property {number} id
 * @property {import("@preact/signals").Signal<api.Item>} row
 * @property {import("@preact/signals").Signal<{count: number, at: number}>} flash The changes that somebody else made:
 *   how many, and when the last one came.
 * @property {import("@preact/signals").Signal<boolean>} editing
 * @property {import("@preact/signals").Signal<boolean>} gone Deleted by somebody else while being edited here.
 */

export class LiveItems {
  /** `waiting` for the socket, `loading` the list, `live`, `failed` to load (tries again), or `ended` by the server. */
  phase = signal("waiting");
  /** Why it failed, and when it is tried again. @type {import("@preact/signals").Signal<{sentence: string, retry_at: number} | null>} */
  failure = signal(null);
  /** Rows listed so far by the present load. */
  listed = signal(0);
  /** Whether there ever was a complete list: before that, "no rows" would be a guess. */
  known = signal(false);
  /** When the rows on the page were last known to be all there is; only meaningful while not live. */
  as_of = signal(null);
  /** The last change that somebody else made. */
  latest = signal(null);
  /** Newest first. @type {import("@preact/signals").Signal<Entry[]>} */
  entries = signal([]);
  counts = computed(() => {
    const counts = { all: 0, open: 0, active: 0, done: 0 };
    for (const { row, gone } of this.entries.value) {
      if (gone.value) continue;
      counts.all += 1;
      counts[row.value.status] += 1;
    }
    return counts;
  });

  /** @type {Map<number, Entry>} */
  #by_id = new Map();
  /** Whether rows came or went since `entries` was last made. */
  #stale = false;
  #deleted = new Set();
  /** Changes that came while the list was loading; null when there is no load. */
  #buffer = null;
  /** Ends the present load: a newer one, or a lost connection, makes it void. */
  #load = new AbortController();
  #retry_timer = 0;
  /** Requests of this page under way, and the flashes held back until it is known whose changes they are. */
  #own_pending = 0;
  #held = [];
  #removing = new Set();

  /** @param {import("./plank.js").Client} client */
  constructor(client) {
    const subscription = client.subscribe(
      { table: "items" },
      {
        live: () => this.#start(),
        changes: ({ changes }) => this.#changes(changes),
        down: () => this.#stop("waiting"),
        reset: () => this.#stop("waiting"),
        ended: () => this.#stop("ended"),
        error: ({ message }) => {
          this.#stop("failed");
          this.#later(0, message, () => subscription.renew());
        },
      },
    );
  }

  /** From here on every change arrives, so whatever is listed now can be brought up to date. */
  #start() {
    this.#stop("loading");
    this.#buffer = [];
    this.#list(0);
  }

  #stop(phase) {
    clearTimeout(this.#retry_timer);
    this.#load.abort();
    this.#buffer = null;
    batch(() => {
      if (this.phase.value === "live") this.as_of.value = Date.now();
      this.phase.value = phase;
      this.failure.value = null;
    });
  }

  /**
   * The load: all pages, then the changes that came meanwhile, in one step, so that no half state is ever shown.
   * Everything that is known about getting a first state is in here.
   */
  async #list(attempt) {
    const load = (this.#load = new AbortController());
    const rows = new Map();
    try {
      this.listed.value = 0;
      for await (const page of api.pages(load.signal)) {
        for (const row of page) rows.set(row.id, row);
        this.listed.value = rows.size;
      }
    } catch (problem) {
      if (load.signal.aborted) return;
      const sentence = problem.status === 503 ? "The database is away." : problem.status === 0 ? "The list can't be loaded." : problem.message;
      this.phase.value = "failed";
      this.#later(attempt, sentence, () => this.#list(attempt + 1), problem.retry_after_s);
      return;
    }
    if (load.signal.aborted) return;
    const buffered = this.#buffer;
    this.#buffer = null;
    this.#step(() => {
      this.#replace(rows);
      for (const change of buffered) this.#apply(change);
      this.phase.value = "live";
      this.failure.value = null;
      this.known.value = true;
    });
  }

  #later(attempt, sentence, action, retry_after_s = null) {
    const bound_ms = Math.min(LOAD_RETRY_MAX_MS, LOAD_RETRY_FIRST_MS * 2 ** attempt);
    const wait_ms = Math.min(LOAD_RETRY_MAX_MS, Math.max(Math.random() * bound_ms, (retry_after_s ?? 0) * 1000));
    this.failure.value = { sentence, retry_at: Date.now() + wait_ms };
    this.#retry_timer = setTimeout(action, wait_ms);
  }

  #changes(changes) {
    if (this.#buffer) this.#buffer = this.#buffer.concat(changes);
    else this.#step(() => changes.forEach((change) => this.#apply(change)));
  }

  /** Many rows, one drawing. */
  #step(action) {
    batch(() => {
      action();
      if (!this.#stale) return;
      this.#stale = false;
      this.entries.value = [...this.#by_id.values()].sort((a, b) => b.id - a.id);
    });
  }

  /** The list was read after the subscription went live, so it is newer than all that an earlier connection brought. */
  #replace(rows) {
    const first = !this.known.value;
    for (const id of [...this.#by_id.keys()]) if (!rows.has(id)) this.#drop(id);
    for (const [id, row] of rows) {
      this.#deleted.delete(id);
      const entry = this.#by_id.get(id);
      const changed = entry?.row.value.version !== row.version;
      this.#put(row);
      if (changed && !first) this.#flash(id, row.version);
    }
  }

  #apply({ op, key, row, own }) {
    if (op === "truncate") {
      for (const id of [...this.#by_id.keys()]) {
        this.#forget(id);
        this.#drop(id);
      }
    } else if (op === "delete") {
      const known = this.#by_id.get(key.id);
      this.#forget(key.id);
      this.#drop(key.id);
      if (!own && known && !this.#removing.has(key.id)) this.latest.value = { op, id: key.id, name: known.row.value.name, at: Date.now() };
    } else {
      // The answer to a request of ours may come after somebody else's delete; a change never does.
      if (own && this.#deleted.has(row.id)) return;
      this.#deleted.delete(row.id);
      const known = this.#by_id.get(row.id);
      // A row that is gone says nothing about a new one under its id, whose versions begin anew.
      if (known && !known.gone.value && known.row.value.version >= row.version) return;
      this.#put(row);
      if (!own) this.#flash(row.id, row.version, op);
    }
  }

  #put(row) {
    const entry = this.#by_id.get(row.id);
    if (entry) {
      entry.row.value = row;
      entry.gone.value = false;
      return;
    }
    const fresh = { id: row.id, row: signal(row), flash: signal({ count: 0, at: 0 }), editing: signal(false), gone: signal(false) };
    this.#by_id.set(row.id, fresh);
    this.#stale = true;
  }

  #drop(id) {
    const entry = this.#by_id.get(id);
    if (!entry) return;
    // What somebody is typing is not thrown away because somebody else deleted the row.
    if (entry.editing.value) {
      entry.gone.value = true;
      return;
    }
    this.#by_id.delete(id);
    this.#stale = true;
  }

  #forget(id) {
    this.#deleted.add(id);
    if (this.#deleted.size > DELETED_MAX) this.#deleted.delete(this.#deleted.values().next().value);
  }

  #flash(id, version, op = "update") {
    if (this.#own_pending > 0) {
      this.#held.push({ id, version, op });
      return;
    }
    const entry = this.#by_id.get(id);
    if (!entry) return;
    entry.flash.value = { count: entry.flash.value.count + 1, at: Date.now() };
    this.latest.value = { op, id, name: entry.row.value.name, at: Date.now() };
  }

  /**
   * Runs a request of this page. The socket often brings our own change before the answer does, so nothing flashes
   * until the answer has said which one was ours.
   */
  async #own(request) {
    this.#own_pending += 1;
    let row = null;
    try {
      row = await request();
      return row;
    } finally {
      this.#own_pending -= 1;
      if (row) this.#held = this.#held.filter(({ id, version }) => id !== row.id || version !== row.version);
      if (row) this.settle(row);
      if (this.#own_pending === 0) {
        const held = this.#held;
        this.#held = [];
        batch(() => held.forEach(({ id, version, op }) => this.#flash(id, version, op)));
      }
    }
  }

  /** Takes in what an answer said. A load under way gets it too, since its list may have been read before. */
  settle(row) {
    this.#settle({ op: "update", row, own: true });
  }

  #settle(change) {
    this.#buffer?.push(change);
    this.#step(() => this.#apply(change));
  }

  create(body) {
    return this.#own(() => api.create(body));
  }

  patch(id, version, body) {
    return this.#own(() => api.patch(id, version, body));
  }

  put(id, version, body) {
    return this.#own(() => api.put(id, version, body));
  }

  async remove(id, version) {
    this.#removing.add(id);
    try {
      await api.remove(id, version);
      this.#settle({ op: "delete", key: { id }, own: true });
    } finally {
      this.#removing.delete(id);
    }
  }

  /** What the row is now, or null when it is gone. */
  async reread(id) {
    try {
      const row = await api.read(id);
      this.settle(row);
      return row;
    } catch (problem) {
      if (problem.status !== 404) throw problem;
      this.#settle({ op: "delete", key: { id }, own: true });
      return null;
    }
  }

  /** Closes the editor; a row that was only kept for it goes now. @param {Entry} entry */
  close(entry) {
    this.#step(() => {
      entry.editing.value = false;
      if (entry.gone.value) this.#drop(entry.id);
    });
  }
}
