/**
 * What this page does to the items: a change is shown at once, and taken back when the server says no.
 *
 * Owns the changes that are under way, as layers over what the socket brings, and knows which changes are our own. A
 * layer goes when the socket has brought what the answer said, or soon after: the table always wins.
 */
import { batch } from "@preact/signals-core";
import * as api from "./api.js";
import { keyOf } from "./plank.js";

/** How long an answer may be ahead of the socket. */
const SETTLE_MS = 3_000;

/**
 * What this page says of a row that the socket does not say yet.
 * @typedef {object} Layer
 * @property {object | null} patch Members that differ; null for a deleted row.
 * @property {boolean} [is_whole] Whether `patch` is a row by itself.
 * @property {number | null} version That of the answer; null while there is none.
 * @property {number} [timer]
 */

export class Writes {
  /** @type {import("./items.js").Items} */
  #items;
  /** @type {Map<string, Layer>} */
  #layers = new Map();
  /** Requests under way, and the changes that wait until it is known whose they are. */
  #under_way = 0;
  #held = [];
  /** The last request for each row: the next one has to wait for the version that it brings. */
  #queues = new Map();
  #drafts = 0;

  constructor(items) {
    this.#items = items;
  }

  /** A row under its layer; undefined when it is not to be shown. */
  view(key, row) {
    const layer = this.#layers.get(key);
    if (layer && layer.version !== null && row?.version >= layer.version) this.#peel(key);
    else if (layer) return layer.patch === null ? undefined : row ? { ...row, ...layer.patch } : layer.is_whole ? layer.patch : undefined;
    return row;
  }

  /** Whether a change of the row has not been answered. */
  isPending(key) {
    return this.#layers.get(key)?.version === null;
  }

  async create(body) {
    const key = `draft-${(this.#drafts += 1)}`;
    const now = new Date().toISOString();
    this.#lay(key, { patch: { description: null, status: "open", data: {}, version: 0, updated_at: now, ...body, id: Infinity }, is_whole: true, version: null });
    try {
      return await this.#own(() => api.create(body), (row) => this.#answered(keyOf({ id: row.id }), row));
    } finally {
      this.#peel(key);
      this.#show(key);
    }
  }

  /** Changes some members of a row. @param {object} patch @param {number} [version] The one that was looked at. */
  patch(key, patch, version) {
    return this.#write(key, patch, version, (id, current) => api.patch(id, current, patch));
  }

  /** Writes a row anew: a merge could not take a member out of its data. */
  replace(key, body, version) {
    return this.#write(key, body, version, (id, current) => api.put(id, current, body));
  }

  remove(key, version) {
    return this.#write(key, null, version, (id, current) => api.remove(id, current));
  }

  /**
   * Takes note of a change that the socket brings, before it is applied.
   * @returns {boolean} Whether it is ours, or may be: then nobody is told of it yet.
   */
  told({ op, row }, key) {
    if (op === "truncate") {
      for (const [at, { version }] of [...this.#layers]) if (version !== null) this.#peel(at);
      return false;
    }
    const layer = this.#layers.get(key);
    if (op === "delete") {
      if (layer && layer.version !== null) this.#peel(key);
      return layer?.patch === null;
    }
    if (layer && layer.version === row.version) return true;
    // The socket often brings our own change before the answer does. A row like one that is being created most likely is it.
    if (op === "insert") this.#meet(row);
    if (this.#under_way > 0) this.#held.push({ key, op, row });
    return this.#under_way > 0;
  }

  #meet({ name }) {
    for (const [key, layer] of this.#layers) {
      if (!layer.is_whole || layer.version !== null || layer.patch.name !== name) continue;
      this.#peel(key);
      this.#show(key);
      return;
    }
  }

  async #write(key, patch, seen, send) {
    const stored = this.#items.stored(key);
    const row = this.#items.rows.get(key)?.row ?? stored;
    const version = seen ?? row?.version;
    // A row that has left the filter is still there for the server.
    const id = row?.id ?? JSON.parse(key);
    const before = this.#queues.get(key);
    const waiting = patch && this.isPending(key) ? this.#layers.get(key).patch : null;
    this.#lay(key, { patch: patch && { ...waiting, ...patch }, version: null });
    const mine = (async () => {
      const answer = await before;
      return this.#own(() => send(id, answer?.version ?? version), (answered) => this.#queues.get(key) === mine && this.#answered(key, answered));
    })();
    this.#queues.set(key, mine);
    try {
      return await mine;
    } catch (problem) {
      this.#peel(key);
      this.#show(key);
      throw problem;
    } finally {
      if (this.#queues.get(key) === mine) this.#queues.delete(key);
    }
  }

  /** Runs a request of this page. Nobody is told of a change until the answer has said which one was ours. */
  async #own(request, answered) {
    this.#under_way += 1;
    let row;
    try {
      row = await request();
      answered(row);
      return row;
    } finally {
      this.#under_way -= 1;
      if (row) this.#held = this.#held.filter(({ row: { id, version } }) => id !== row.id || version !== row.version);
      if (this.#under_way === 0) batch(() => this.#held.splice(0).forEach(({ op, row: { name }, key }) => this.#items.tell(op, name, key)));
      this.#items.draw();
    }
  }

  /** The answer is ahead of the socket, or behind it. A deleted row has none. */
  #answered(key, row) {
    this.#lay(key, row ? { patch: row, is_whole: true, version: row.version } : { patch: null, version: Infinity });
    const settle = () => {
      if (this.#items.phase.value !== "live") return this.#later(key, settle);
      this.#peel(key);
      this.#show(key);
    };
    this.#later(key, settle);
  }

  #later(key, action) {
    const layer = this.#layers.get(key);
    if (layer) layer.timer = setTimeout(action, SETTLE_MS);
  }

  #lay(key, layer) {
    this.#peel(key);
    this.#layers.set(key, layer);
    this.#show(key);
  }

  #peel(key) {
    clearTimeout(this.#layers.get(key)?.timer);
    this.#layers.delete(key);
  }

  #show(key) {
    this.#items.put(key, this.#items.stored(key));
    this.#items.draw();
  }
}
