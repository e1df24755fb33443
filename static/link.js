/**
 * When a link is given up, and when and whether it is tried again: what in plank.js is only about time and close codes.
 *
 * Owns the timer of a silence. It never touches a socket, and knows no message.
 */

/** Upper bounds of the first and of the longest wait before a reconnect; the real wait is drawn below them. */
const RETRY_FIRST_MS = 250;
const RETRY_MAX_MS = 10_000;
/** The most that a server may ask for, and what is drawn on top of it. */
const HINT_MAX_MS = 60_000;
const HINT_JITTER_MS = 250;
/** How long an answer to a ping may take. */
const PROBE_MAX_MS = 5_000;

/** The codes with which a server that goes down says when to come back. */
const HINTING_CODES = [1001, 1012];
/** The client's own mistakes: the same again would end the same way. */
const MISTAKE_CODES = [1002, 1003, 1007, 1008, 1009];

/** Whether a close code forbids to come back unchanged; `src/wire/close.rs` says what each one means. */
export function isFinal(code) {
  return MISTAKE_CODES.includes(code) || (code >= 4500 && code <= 4999);
}

/**
 * How long to wait before the next attempt.
 * @param {{code: number, reason: string}} close Why there has to be one.
 * @param {number} attempt Failed attempts in a row, without this one.
 * @param {() => number} random Between 0 and 1.
 */
export function retryWait({ code, reason }, attempt, random) {
  const hint_ms = HINTING_CODES.includes(code) ? hinted(reason) : null;
  if (hint_ms !== null) return hint_ms + random() * HINT_JITTER_MS;
  // Full jitter: a thousand pages that lost the same server must not come back in the same millisecond.
  return random() * Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** attempt);
}

/** A reason of `{"retry_ms":N}` is the server's wish; anything else is for humans, and null here. */
function hinted(reason) {
  try {
    const { retry_ms } = JSON.parse(reason);
    return Number.isFinite(retry_ms) && retry_ms >= 0 ? Math.min(retry_ms, HINT_MAX_MS) : null;
  } catch {
    return null;
  }
}

/** Asks in the middle of a silence, and calls it death at its end. */
export class Silence {
  #ask;
  #dead;
  #timer = 0;
  /** The bound of the present silence, when it was last broken, and whether it was asked about since. */
  #max_ms = 0;
  #heard_at = 0;
  #asked = false;

  /**
   * @param {() => boolean} ask Sends what has to be answered; false while there is nobody to ask yet.
   * @param {() => void} dead
   */
  constructor(ask, dead) {
    this.#ask = ask;
    this.#dead = dead;
  }

  /** Starts a new silence. One timer that re-arms itself is cheaper than one per message. */
  heard(max_ms) {
    const is_watched = this.#timer !== 0 && max_ms === this.#max_ms;
    this.#heard_at = Date.now();
    this.#max_ms = max_ms;
    this.#asked = false;
    if (!is_watched) this.#watch(max_ms / 2);
  }

  /** Asks now, and grants only a short silence. */
  probe() {
    this.heard(PROBE_MAX_MS);
    this.#asked = this.#ask();
  }

  stop() {
    clearTimeout(this.#timer);
    this.#timer = 0;
  }

  #watch(wait_ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#judge(), wait_ms);
  }

  #judge() {
    const max_ms = this.#max_ms;
    const quiet_ms = Date.now() - this.#heard_at;
    if (quiet_ms < max_ms / 2) return this.#watch(max_ms / 2 - quiet_ms);
    if (!this.#asked && this.#ask()) {
      this.#asked = true;
      // After a sleep of the machine both moments have passed: the server still gets the time to answer.
      return this.#watch(Math.max(max_ms - quiet_ms, PROBE_MAX_MS));
    }
    if (quiet_ms < max_ms) return this.#watch(max_ms - quiet_ms);
    this.#dead();
  }
}
