/**
 * One watched table on the page: a subscription, and its rows in an order, drawn at most every FRAME_MS.
 *
 * Owns what is known of the table and how sure that is. It never writes, and knows no view.
 */
import { batch, signal } from "@preact/signals-core";
import { keyOf } from "./plank.js";
import { isSame, Rows } from "./rows.js";

/** More drawings in a second than this makes 20 are no easier to read, and take the time of the hands. */
const FRAME_MS = 50;
/** More rows than a page should hold: it asks for a filter instead. */
const ROWS_MAX = 500_000;
/** As long as the animation in style.css. */
const FLASH_MS = 2_400;
/** More that flash at the same time say nothing to an eye. */
const FLASHES_MAX = 24;
/** A subscription that was refused is asked for again: what it needs may come. */
const RENEW_MS = 5_000;

/** Refusals that another request may mend; all others are the reader's to mend. */
const PASSING = ["busy", "forbidden", "unreadable", "unknown_table"];

/**
 * What happened while the page was away.
 * @typedef {{since: number, until: number, insert: number, update: number, delete: number, truncate: number, keys: Set<string>}} Missed
 */

export class LiveTable {
  /**
   * `waiting` for the server, `loading` rows, `catching` up, `live`, `refused`, `crowded` (more rows than a page can
   * hold), or `ended` by the server.
   */
  phase = signal("waiting");
  /** Why it is not live, in a sentence. @type {import("@preact/signals-core").Signal<string | null>} */
  failure = signal(null);
  /** Why the filter that was asked for last is not in force. @type {import("@preact/signals-core").Signal<string | null>} */
  refusal = signal(null);
  /** Rows that have come of a snapshot, or changes of a catch-up. */
  loaded = signal(0);
  /** Whether there ever was a complete table: before that, "no rows" would be a guess. */
  known = signal(false);
  /** When the rows were last known to be all there is; null while they are. */
  as_of = signal(null);
  /** Moves when there is something new to draw. */
  tick = signal(0);
  /** @type {import("@preact/signals-core").Signal<Missed | null>} */
  missed = signal(null);
  /** The primary key; empty without one, null until it is known. @type {string[] | null} */
  key = null;
  /** The rows as they are shown. */
  rows;
  /** What is in force, and what was asked for last: the filter and the columns. */
  spec = {};
  wanted = {};

  /** When each row flashed last, and how often. @type {Map<string, {at: number, count: number}>} */
  #flashes = new Map();
  #client;
  #table;
  #options;
  #has_rows;
  /** The subscription that is shown, and one that is to take its place. */
  #shown = null;
  #next = null;
  #away_at = null;
  #drawn_at = 0;
  #timer = 0;
  #renewal = 0;

  /**
   * @param {import("./plank.js").Client} client
   * @param {string} table
   * @param {{order: ConstructorParameters<typeof Rows>[0], spec?: object, change?: Function, live?: Function, snapshot?: boolean}} options
   *   `change(change, key, before)` is told of each change before it is applied. Without `snapshot` the rows are the
   *   caller's: `live` says when they have to be read.
   */
  constructor(client, table, { order, spec = {}, snapshot = true, ...options }) {
    this.#client = client;
    this.#table = table;
    this.#options = options;
    this.#has_rows = snapshot;
    this.rows = new Rows(order);
    this.show(spec);
  }

  /** Shows other rows or columns; what was shown stays until they are there, and if they are refused. */
  show(spec) {
    this.#next?.close();
    this.refusal.value = null;
    this.wanted = spec;
    this.#next = this.#follow(spec);
    if (!this.#shown) this.#promote();
  }

  close() {
    clearTimeout(this.#timer);
    clearTimeout(this.#renewal);
    this.#shown?.close();
    this.#next?.close();
  }

  /** Says that something is to be drawn, soon: a page that draws each change by itself does nothing else. */
  draw() {
    if (this.#timer) return;
    const wait_ms = Math.max(0, this.#drawn_at + FRAME_MS - Date.now());
    this.#timer = setTimeout(() => this.#draw(), wait_ms);
  }

  #draw() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#drawn_at = Date.now();
    this.tick.value += 1;
  }

  /** The class of a row that has just changed. Two names, so that a second change starts it again. */
  flash(key) {
    const flash = this.#flashes.get(key);
    if (!flash || Date.now() - flash.at > FLASH_MS) return "";
    return flash.count % 2 ? "flash-odd" : "flash-even";
  }

  /** Lets a row flash. */
  blink(key) {
    const at = Date.now();
    for (const [old, flash] of this.#flashes) {
      if (at - flash.at <= FLASH_MS) break;
      this.#flashes.delete(old);
    }
    const count = (this.#flashes.get(key)?.count ?? 0) + 1;
    if (count === 1 && this.#flashes.size >= FLASHES_MAX) return;
    // Behind the others again: they stand in the order of their times.
    this.#flashes.delete(key);
    this.#flashes.set(key, { at, count });
  }

  /** What a row of the table looks like on the page, or undefined when it is not shown. For a class with more to say. */
  view(_key, row) {
    return row;
  }

  /** Puts a row as it is to be shown. */
  put(key, row) {
    const seen = this.view(key, row);
    if (seen === undefined) this.rows.delete(key);
    else this.rows.set(key, seen);
  }

  /** The row as the server has it. */
  stored(key) {
    return this.#shown?.rows.get(key);
  }

  #promote() {
    this.#shown?.close();
    this.#shown = this.#next;
    this.#next = null;
    this.spec = this.wanted;
  }

  #follow(spec) {
    let is_fresh = true;
    let count = 0;
    const handlers = {
      snapshot: ({ rows }) => {
        is_fresh = true;
        count += rows.length;
        if (count > ROWS_MAX) return this.#refuse(subscription, "crowded", `The table has more than ${ROWS_MAX.toLocaleString()} rows. A filter makes it fewer.`);
        if (this.#shown !== subscription) return;
        this.loaded.value = count;
        if (this.phase.value !== "live") this.phase.value = "loading";
      },
      live: () => {
        count = 0;
        const is_other = subscription === this.#next;
        if (is_other) this.#promote();
        if (subscription !== this.#shown) return;
        this.key = subscription.key ?? [];
        batch(() => {
          if (is_fresh && this.#has_rows) this.#replace(subscription, !is_other && this.known.value);
          this.#lively(subscription.catching_up);
        });
        this.#options.live?.();
        is_fresh = false;
      },
      caught_up: () => subscription === this.#shown && this.phase.value === "catching" && this.#lively(false),
      changes: ({ changes }) => {
        if (subscription === this.#shown) batch(() => this.#apply(changes, subscription.catching_up && this.#away_at !== null));
      },
      down: () => {
        count = 0;
        if (subscription === this.#shown) this.#down("waiting");
      },
      reset: () => {
        count = 0;
        is_fresh = true;
        if (subscription === this.#shown) this.#down("loading");
      },
      ended: () => subscription === this.#shown && this.#down("ended"),
      error: ({ code, message }) => {
        const is_passing = PASSING.includes(code) && subscription === this.#shown;
        this.#refuse(subscription, "refused", message, is_passing);
        // What may not be seen any more must not stay to be seen.
        if (code === "unknown_table" && subscription === this.#shown) this.#clear();
        if (is_passing) this.#renewal = setTimeout(() => subscription.renew(), RENEW_MS);
      },
    };
    const subscription = this.#client.subscribe({ table: this.#table, snapshot: this.#has_rows, ...spec }, handlers);
    return subscription;
  }

  #refuse(subscription, phase, sentence, is_passing) {
    if (subscription === this.#next) {
      this.#next = null;
      this.refusal.value = sentence;
    } else if (subscription === this.#shown) {
      this.#down(phase);
      this.failure.value = sentence;
      if (is_passing || (this.known.value && phase !== "crowded")) return;
      // A table that never was shown has nothing to keep, so that the next filter takes its place at once.
      this.#shown = null;
    }
    // Else it would be asked for again after each reconnect.
    subscription.close();
  }

  #clear() {
    for (const key of [...this.rows.keys()]) this.put(key, undefined);
    this.#away_at = this.as_of.value = null;
    this.known.value = false;
    this.draw();
  }

  #lively(is_behind) {
    this.phase.value = is_behind ? "catching" : "live";
    if (!is_behind) this.#away_at = this.as_of.value = null;
    this.failure.value = null;
    if (this.#has_rows) this.known.value = true;
    this.loaded.value = 0;
    // At once: what says "Live" must not be beside rows from before.
    this.#draw();
  }

  #down(phase) {
    if (this.phase.value === "live") this.as_of.value = Date.now();
    if (this.known.value) this.#away_at ??= Date.now();
    this.phase.value = phase;
    this.loaded.value = 0;
  }

  /** A snapshot takes the place of all rows in one step. */
  #replace(subscription, is_same) {
    const is_missed = is_same && this.#away_at !== null;
    const gone = new Set(this.rows.keys());
    this.rows.expect(Infinity);
    for (const [key, row] of subscription.rows) {
      const before = this.rows.get(key)?.row;
      if (is_missed && !(before && isSame(before, row))) this.#miss(before ? "update" : "insert", key);
      gone.delete(key);
      this.put(key, row);
    }
    for (const key of gone) {
      if (is_missed) this.#miss("delete", key);
      this.put(key, undefined);
    }
    this.#away_at = null;
  }

  #apply(changes, is_late) {
    this.rows.expect(changes.length);
    for (const change of changes) {
      const key = change.key ? keyOf(change.key, this.key) : null;
      const before = key === null ? undefined : this.rows.get(key)?.row;
      if (is_late) this.#miss(change.op, key);
      this.#options.change?.(change, key, before, is_late);
      if (change.op === "truncate") for (const gone of [...this.rows.keys()]) this.put(gone, undefined);
      else if (key !== null) this.put(key, change.op === "delete" ? undefined : change.row);
    }
    if (this.phase.value === "catching") this.loaded.value += changes.length;
    this.draw();
  }

  #miss(op, key) {
    // What was missed before, and has not been seen, stays.
    const missed = this.missed.value ?? { since: this.#away_at, until: 0, insert: 0, update: 0, delete: 0, truncate: 0, keys: new Set() };
    missed[op] += 1;
    if (key !== null && op !== "delete") missed.keys.add(key);
    missed.until = Date.now();
    // A new object: a signal tells nobody of a change inside of one.
    this.missed.value = { ...missed };
  }
}
