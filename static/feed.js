/**
 * The subscription beneath a list of rows that are read in pages: one that is in force, and one that is to take its place. It says in the
 * list's `phase` how sure the list is.
 */

/** Refusals that another request may mend; all others are the reader's to mend. */
const PASSING = ["busy", "forbidden", "unreadable", "unknown_table"];
/** A subscription that was refused is asked for again: what it needs may come. */
const RENEW_MS = 5_000;

export class Feed {
  /** What is in force, and what was asked for last. */
  filter = "";
  wanted = "";
  #client;
  #table;
  /** @type {import("./pages.js").Pages} */
  #list;
  #shown = null;
  #next = null;
  #renewal = 0;

  constructor(client, table, list) {
    this.#client = client;
    this.#table = table;
    this.#list = list;
  }

  /** What is followed stays until the other one is there, and if it is refused. */
  follow(filter) {
    this.#next?.close();
    this.#next = null;
    this.#list.refusal.value = null;
    this.wanted = filter;
    if (this.#shown && filter === this.filter) return;
    const subscription = this.#follow(filter);
    if (this.#shown) this.#next = subscription;
    else {
      this.#shown = subscription;
      this.filter = filter;
    }
  }

  close() {
    clearTimeout(this.#renewal);
    this.#next?.close();
    this.#shown?.close();
    this.#next = this.#shown = null;
  }

  #follow(filter) {
    const list = this.#list;
    let is_fresh = true;
    const isShown = () => subscription === this.#shown;
    const handlers = {
      live: () => {
        if (subscription === this.#next) this.#promote(filter);
        if (!isShown()) return;
        if (is_fresh) {
          list.phase.value = "loading";
          if (list.known.value && list.filter_shown === filter) list.again();
          else list.fresh();
          list.filter_shown = filter;
        } else if (subscription.catching_up) list.phase.value = "catching";
        else list.lively();
        is_fresh = false;
      },
      caught_up: () => isShown() && list.phase.value === "catching" && list.lively(),
      changes: ({ changes }) => {
        if (isShown()) list.hear(changes);
      },
      down: () => isShown() && list.down("waiting"),
      reset: () => {
        is_fresh = true;
        if (isShown()) list.down("loading");
      },
      ended: () => isShown() && list.down("ended"),
      error: ({ code, message }) => {
        const is_passing = PASSING.includes(code) && isShown();
        this.#refuse(subscription, message, is_passing);
        // What may not be seen any more must not stay to be seen.
        if (code === "unknown_table" && isShown()) list.forget();
        if (is_passing) this.#renewal = setTimeout(() => subscription.renew(), RENEW_MS);
      },
    };
    const spec = { table: this.#table, ...(filter && { filter }) };
    const subscription = this.#client.subscribe(spec, handlers);
    return subscription;
  }

  #promote(filter) {
    this.#shown?.close();
    this.#shown = this.#next;
    this.#next = null;
    this.filter = filter;
  }

  #refuse(subscription, sentence, is_passing) {
    const list = this.#list;
    if (subscription === this.#next) {
      this.#next = null;
      list.refusal.value = sentence;
    } else if (subscription === this.#shown) {
      list.down("refused");
      list.failure.value = sentence;
      if (is_passing || list.known.value) return;
      // A table that never was shown has nothing to keep, so that the next filter takes its place at once.
      this.#shown = null;
    }
    // Else it would be asked for again after each reconnect.
    subscription.close();
  }
}
