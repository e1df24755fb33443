/**
 * One table of any size on the page: a run of its rows around what is seen, read from the server in pages, and kept as it is there by
 * one subscription. Changes of rows outside the run are counted, and not read. It writes nothing, and knows no view.
 */
import { batch, signal } from "@preact/signals-core";
import { Feed } from "./feed.js";
import { following, orderText, readOrder, reversed, withKey } from "./order.js";
import { keyOf } from "./plank.js";
import { Reader } from "./reader.js";
import { countRows } from "./rest.js";
import { Run, RUN_MAX } from "./run.js";

const PAGE = 200;
/** Rows beyond what is seen that are read before they are needed. */
const AHEAD = 60;
/** Drawings, as in live.js. */
const FRAME_MS = 50;
/** Where only PostgreSQL knows the order, the run is read again, but not more often. */
const REFRESH_MS = 1_000;
const RETRY_MS = 3_000;
const COUNT_EVERY_MS = 30_000;
/** Up to here a count is exact. */
const COUNTED_MAX = 10_000;

export class Pages extends Run {
  /** As of a LiveTable: waiting, loading, catching, live, refused, ended. */
  phase = signal("waiting");
  failure = signal(null);
  refusal = signal(null);
  loaded = signal(0);
  /** Whether there ever were rows to show, if only none. */
  known = signal(false);
  as_of = signal(null);
  tick = signal(0);
  /** The filter of the rows that are shown. */
  filter_shown = null;

  #table;
  #feed;
  #reader;
  #told;
  #is_busy = false;
  /** Counts the lists: an answer about another one is thrown away. */
  #list = 0;
  /** Changes that came while rows are read. */
  #held = null;
  #timers = {};
  #drawn_at = 0;
  #counted_at = 0;

  /** @param {{filter?: string, order?: string, change?: (change: object, key: string, before: object | undefined) => void}} options */
  constructor(client, table, { filter = "", order = "", change } = {}) {
    super(table.key);
    this.#table = table;
    this.#told = change;
    this.#feed = new Feed(client, table.table, this);
    this.#reader = new Reader(table.table, this);
    this.terms = withKey(readOrder(order, table), table);
    this.#feed.follow(filter);
  }

  get filter() {
    return this.#feed.filter;
  }

  get has_key() {
    return this.#table.key.length > 0;
  }

  show(filter, order) {
    const terms = withKey(readOrder(order, this.#table), this.#table);
    const is_other = orderText(terms) !== orderText(this.terms);
    this.terms = terms;
    if (filter !== this.#feed.wanted) this.#feed.follow(filter);
    if (is_other) this.fresh();
  }

  close() {
    this.#feed.close();
    this.#list += 1;
    for (const timer of Object.values(this.#timers)) clearTimeout(timer);
  }

  /** These are seen now: whatever is missing is read. */
  need(first, last) {
    this.seen = [first, last];
    this.#step();
  }

  /** Another list, from its beginning. */
  fresh() {
    this.#restart();
    this.#reader.forget();
    this.beyond = this.total = 0;
    this.#load("top");
  }

  /** The same list, of which something was missed. */
  again() {
    this.#restart();
    this.#load(this.rows.length ? "same" : "top");
  }

  #restart() {
    this.#list += 1;
    this.#is_busy = false;
    this.#counted_at = 0;
  }

  /** Goes to the first row that is not before a value of the order's first column. @returns {Promise<number>} Its index. */
  async seek(text) {
    const [term] = this.terms;
    const place = { [term.column.name]: text };
    this.#restart();
    const list = this.#list;
    const rows = await this.#reader.read(following([term], place, true)[0], this.terms, PAGE);
    const before = [this.filter, following(reversed([term]), place)[0]].filter(Boolean).join("&");
    const counted = await countRows(this.#table.table, before);
    if (list !== this.#list) return -1;
    this.put(rows, Math.min(counted, Math.max(0, this.total - rows.length)), { at_start: counted === 0, at_end: rows.length < PAGE });
    this.is_exact = counted < COUNTED_MAX;
    this.#draw();
    return this.start;
  }

  #step() {
    if (this.#is_busy || !this.known.value || !this.has_key || this.phase.value === "refused") return;
    const [first, last] = this.seen;
    if (last <= this.start - PAGE || first >= this.end + PAGE) this.#load("jump", Math.max(0, first - AHEAD));
    else if (!this.is_at_end && last + AHEAD > this.end) this.#load("next");
    else if (!this.is_at_start && first - AHEAD < this.start) this.#load("previous");
  }

  async #load(what, index) {
    const list = this.#list;
    this.#is_busy = true;
    this.#held = [];
    clearTimeout(this.#timers.load);
    try {
      const put = await this.#loaders[what](index);
      if (list !== this.#list) return;
      put();
      this.#is_busy = false;
      this.known.value = true;
      const held = this.#held;
      this.#held = null;
      // The answer has what came meanwhile, or not: in both cases it is what the row is now.
      for (const [change, key] of held) this.#apply(change, key);
      if (this.phase.value === "loading") this.lively();
      this.#draw();
      this.#count();
      this.#step();
    } catch (problem) {
      if (list !== this.#list) return;
      this.#is_busy = false;
      this.#held = null;
      if (problem.status === 400) this.failure.value = problem.message;
      else if (problem.status !== 401) this.#timers.load = setTimeout(() => this.#load(what, index), RETRY_MS);
    }
  }

  /** Each reads, and says how the run takes it. */
  #loaders = {
    top: async () => {
      const limit = this.has_key ? PAGE : RUN_MAX;
      const rows = await this.#reader.read(null, this.terms, limit);
      return () => this.put(rows, 0, { at_start: true, at_end: rows.length < limit || !this.has_key });
    },
    bottom: async () => {
      const rows = (await this.#reader.read(null, reversed(this.terms), PAGE)).reverse();
      const is_all = rows.length < PAGE;
      return () => this.put(rows, is_all ? 0 : Math.max(0, this.total - rows.length), { at_start: is_all, at_end: true });
    },
    same: async () => {
      if (!this.has_key || this.is_at_start) return this.#loaders.top();
      const limit = Math.max(PAGE, Math.min(RUN_MAX, this.rows.length));
      const rows = await this.#reader.behind(this.terms, this.rows[0].row, limit, true);
      if (!rows.length) return this.#loaders.bottom();
      return () => this.put(rows, this.start, { at_start: false, at_end: rows.length < limit });
    },
    next: async () => {
      if (!this.rows.length) return this.#loaders.top();
      const rows = await this.#reader.behind(this.terms, this.rows.at(-1).row, PAGE);
      return () => this.append(rows, rows.length < PAGE);
    },
    previous: async () => {
      if (!this.rows.length) return this.#loaders.top();
      const rows = (await this.#reader.behind(reversed(this.terms), this.rows[0].row, PAGE)).reverse();
      return () => this.prepend(rows, rows.length < PAGE);
    },
    jump: async (index) => {
      if (index < PAGE) return this.#loaders.top();
      if (index > this.total - PAGE) return this.#loaders.bottom();
      const [rows, is_exact] = await this.#reader.at(this.terms, index, this.total, PAGE);
      if (!rows.length) return this.#loaders.bottom();
      return () => {
        this.is_exact = is_exact;
        this.put(rows, index, { at_start: false, at_end: false });
      };
    },
  };

  async #count() {
    if (!this.has_key || Date.now() - this.#counted_at < COUNT_EVERY_MS) return;
    this.#counted_at = Date.now();
    const list = this.#list;
    const counted = await countRows(this.#table.table, this.filter).catch(() => null);
    // The run knows better what it has counted itself.
    if (list !== this.#list || counted === null || (this.is_at_end && this.is_exact)) return;
    this.total = Math.max(counted, this.end + (this.is_at_end ? 0 : 1));
    this.#draw();
  }

  /** A batch, as the feed has it. */
  hear(changes) {
    for (const change of changes) {
      const key = change.key ? keyOf(change.key, this.#table.key) : null;
      this.#told?.(change, key, this.get(key)?.row);
      if (!this.has_key) this.#refresh();
      else if (change.op === "truncate") this.#truncate();
      else if (this.#held) this.#held.push([change, key]);
      else this.#apply(change, key);
    }
    this.draw();
  }

  #truncate() {
    this.clear();
    if (this.#held) this.#held = [];
    // What is being read may be from before.
    if (this.#is_busy) this.again();
  }

  #apply(change, key) {
    if (!this.apply(change, key)) this.#refresh();
  }

  /** Reads the run again, since only PostgreSQL knows where a row belongs. */
  #refresh() {
    this.#timers.refresh ??= setTimeout(() => {
      this.#timers.refresh = undefined;
      if (this.#is_busy) this.#refresh();
      else this.#load(this.rows.length ? "same" : "top");
    }, REFRESH_MS);
  }

  /** The rows may not be seen any more. */
  forget() {
    this.#restart();
    this.clear();
    this.known.value = false;
    this.as_of.value = null;
    this.draw();
  }

  lively() {
    batch(() => {
      this.phase.value = "live";
      this.failure.value = this.as_of.value = null;
      this.#draw();
    });
  }

  down(phase) {
    if (this.phase.value === "live") this.as_of.value = Date.now();
    this.phase.value = phase;
  }

  draw() {
    this.#timers.draw ??= setTimeout(() => this.#draw(), Math.max(0, this.#drawn_at + FRAME_MS - Date.now()));
  }

  #draw() {
    clearTimeout(this.#timers.draw);
    this.#timers.draw = undefined;
    this.#drawn_at = Date.now();
    this.tick.value += 1;
  }
}
