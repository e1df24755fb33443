/** When a link is given up, and when and whether it is tried again; and how its messages are read. It knows no message. */

/** A server that accepts the link and says nothing must not hold the page in "connecting". */
export const WELCOME_MAX_MS = 10_000;
/** The first and the longest bound of the wait before a reconnect, which is drawn below it. */
const RETRY_FIRST_MS = 250;
const RETRY_MAX_MS = 10_000;
/** The most that a server may ask for, and what is drawn on top of it. */
const HINT_MAX_MS = 60_000;
const HINT_JITTER_MS = 250;
/** How long an answer to a ping may take. */
const PROBE_MAX_MS = 5_000;

/** Silence of two and a half heartbeats means that the link is dead, whatever the socket says. */
export const silenceMax = ({ heartbeat_s }) => heartbeat_s * 2500;

/** The address `path` beside that of the WebSocket. */
export const beside = (url, path) => new URL(path, url.href.replace("ws", "http"));

/** Whether a server answers where the WebSocket at `url` should be. */
export async function isAlive(url, fetch) {
  try {
    return (await fetch(beside(url, "livez"), { signal: AbortSignal.timeout(PROBE_MAX_MS) })).ok;
  } catch {
    return false;
  }
}

/** The codes with which a server that goes down says when to come back. */
const HINTING_CODES = [1001, 1012];
/** The client's own mistakes: the same again would end the same way. */
const MISTAKE_CODES = [1002, 1003, 1007, 1008, 1009];

/** A string, which is passed over, or a number. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*/g;

/** JSON, with integers that a JavaScript number would round as strings: two keys must not become one. */
export function parse(text) {
  const exact = (token) => (/^-?\d{16,}$/.test(token) && !Number.isSafeInteger(+token) ? `"${token}"` : token);
  return JSON.parse(/\d{16}/.test(text) ? text.replace(TOKEN, exact) : text);
}

/** Whether a close code forbids to come back unchanged; `src/wire/close.rs` says what each one means. */
export const isFinal = (code) => MISTAKE_CODES.includes(code) || (code >= 4500 && code <= 4999);

/** How many ms to wait after this close, and `attempt` failed attempts in a row before it. */
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

  /** `ask` sends what has to be answered; false while there is nobody to ask. */
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
