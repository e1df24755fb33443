/**
 * plank.js: the browser's side of the WebSocket protocol `plank.v1`. This file and link.js, no dependency, no build step.
 *
 * Owns one socket at a time: it connects, subscribes, puts batches together, notices a dead link and comes back
 * when link.js says so. It never touches the page and never keeps rows: what a change means is its caller's business.
 *
 * ```js
 * const client = connect("ws");
 * client.onState((state) => console.log(state.phase));
 * client.subscribe({ table: "items" }, { changes: (batch) => console.log(batch.changes) });
 * ```
 */

import { isFinal, retryWait, Silence } from "./link.js";

/** A connection that lived this long was a good one: the next loss starts the back-off anew. */
const STABLE_MS = 10_000;
/** A server that accepts the socket and says nothing must not hold the page in "connecting". */
const WELCOME_MAX_MS = 10_000;
/** Silence of this many heartbeats means that the link is dead, whatever the socket says. */
const SILENCE_HEARTBEATS = 2.5;

/**
 * @typedef {"connecting" | "open" | "waiting" | "closed"} Phase
 * `connecting`: a socket is being opened. `open`: the server said welcome. `waiting`: the next attempt is at
 * `retry_at`. `closed`: for good, by `close()` or by a close code that forbids to come back unchanged.
 *
 * @typedef {object} State
 * @property {Phase} phase
 * @property {number} since When the connection was opened or lost, in ms since 1970: attempts do not move it.
 * @property {number | null} retry_at When the next attempt starts, in ms since 1970; only while `waiting`.
 * @property {number} attempt Failed attempts in a row.
 * @property {{code: number, reason: string} | null} close Why the last socket was closed.
 * @property {string | null} server What the server calls itself, once it said welcome.
 *
 * @typedef {{op: "insert" | "update" | "delete" | "truncate", key?: Record<string, any> | null, row?: Record<string, any>,
 *   seq?: number, xid?: string, at?: string}} Change
 *
 * @typedef {object} Handlers
 * @property {(message: {table: string, key: string[], cursor: string}) => void} [live] Every change that is written
 *   from now on will arrive. Called again after each reconnect: what happened in between must be loaded.
 * @property {(batch: {changes: Change[], cursor: string}) => void} [changes] One complete batch, never a part of one.
 * @property {() => void} [down] The connection was lost; `live` follows when it is back, unless the phase is `closed`.
 * @property {(message: {reason: string}) => void} [reset] The stream broke; `live` follows, and what there is must be loaded again.
 * @property {(message: {code: string, message: string}) => void} [error] The subscription was refused.
 * @property {() => void} [ended] The server ended the subscription, because its table is not watched any more.
 *
 * @typedef {object} Options
 * @property {typeof WebSocket} [WebSocket] Another implementation, for tests and for servers.
 * @property {() => number} [random] The source of the jitter, between 0 and 1.
 * @property {(message: {code: string, message: string}) => void} [onError] An `error` of no subscription.
 */

/**
 * Connects, and stays connected until `close()`.
 * @param {string | URL} url Absolute, or relative to the page; `http` and `https` are read as `ws` and `wss`.
 * @param {Options} [options]
 * @returns {Client}
 */
export function connect(url, options = {}) {
  return new Client(url, options);
}

/** What a client wants to see. It outlives every socket: each reconnect subscribes again. */
class Subscription {
  /** The place in the change log up to which everything was handed over. @type {string | null} */
  cursor = null;
  /** Whether the server has confirmed it on the present socket. */
  live = false;
  /** @type {string | null} */
  topic = null;

  constructor(client, id, spec, handlers) {
    this.client = client;
    this.id = id;
    this.spec = spec;
    this.handlers = handlers;
  }

  /** Asks again on the present socket, after the server refused it. */
  renew() {
    this.client._subscribe(this);
  }

  close() {
    this.client._unsubscribe(this);
  }
}

/** @see connect */
export class Client {
  /** @type {State} */
  state = { phase: "connecting", since: Date.now(), retry_at: null, attempt: 0, close: null, server: null };

  #url;
  #options;
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {Map<string, Subscription>} By their own id. */
  #subscriptions = new Map();
  /** Frames carry the topic, not our id: two subscriptions to the same thing share one. */
  #topics = new Map();
  #listeners = new Set();
  #ids = 0;
  #retry_timer = 0;
  /** The longest silence that is in order, by what `welcome` promised. */
  #heartbeat_max_ms = WELCOME_MAX_MS;
  #silence = new Silence(
    () => this.#ask(),
    () => this.#lost(4002, "nothing was heard"),
  );

  constructor(url, options) {
    this.#url = socketUrl(url);
    this.#options = options;
    globalThis.addEventListener?.("online", this.#wake);
    globalThis.addEventListener?.("offline", this.#tell);
    globalThis.document?.addEventListener("visibilitychange", this.#wake);
    this.#open();
  }

  /**
   * @param {{table: string, filter?: string, columns?: string[]}} spec
   * @param {Handlers} handlers
   * @returns {Subscription}
   */
  subscribe(spec, handlers) {
    const subscription = new Subscription(this, `s${++this.#ids}`, spec, handlers);
    this.#subscriptions.set(subscription.id, subscription);
    this._subscribe(subscription);
    return subscription;
  }

  /**
   * Calls `listener` with the present state at once, and with every later one.
   * @param {(state: State) => void} listener
   * @returns {() => void} Stops it.
   */
  onState(listener) {
    this.#listeners.add(listener);
    listener(this.state);
    return () => this.#listeners.delete(listener);
  }

  /** Ends the wait for the next attempt now. */
  reconnect() {
    if (this.state.phase === "waiting") this.#open();
  }

  /** Closes for good. */
  close() {
    globalThis.removeEventListener?.("online", this.#wake);
    globalThis.removeEventListener?.("offline", this.#tell);
    globalThis.document?.removeEventListener("visibilitychange", this.#wake);
    this.#drop();
    this.#forget();
    this.#set({ phase: "closed", since: Date.now(), retry_at: null });
  }

  _subscribe({ id, spec }) {
    this.#send({ ...spec, type: "subscribe", id });
  }

  _unsubscribe(subscription) {
    if (!this.#subscriptions.delete(subscription.id)) return;
    this.#leave(subscription);
    this.#send({ type: "unsubscribe", id: subscription.id });
  }

  #open() {
    clearTimeout(this.#retry_timer);
    const Socket = this.#options.WebSocket ?? WebSocket;
    const socket = new Socket(this.#url);
    this.#socket = socket;
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code, reason }) => this.#lost(code, reason);
    this.#silence.heard(WELCOME_MAX_MS);
    this.#set({ phase: "connecting", retry_at: null });
  }

  /** Lets go of the socket without waiting for its close event, which a dead link delays for minutes. */
  #drop() {
    clearTimeout(this.#retry_timer);
    this.#silence.stop();
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #lost(code, reason) {
    this.#drop();
    const { phase, since } = this.state;
    const was_open = phase === "open";
    const was_stable = was_open && Date.now() - since >= STABLE_MS;
    const attempt = was_stable ? 0 : this.state.attempt;
    const is_final = isFinal(code);
    const wait_ms = retryWait({ code, reason }, attempt, this.#options.random ?? Math.random);
    if (!is_final) this.#retry_timer = setTimeout(() => this.#open(), wait_ms);
    this.#set({
      phase: is_final ? "closed" : "waiting",
      since: was_open ? Date.now() : since,
      retry_at: is_final ? null : Date.now() + wait_ms,
      attempt: attempt + 1,
      close: { code, reason },
    });
    this.#forget();
  }

  /** Nothing of a lost connection may leak into the next one: an unfinished batch will be sent again whole. */
  #forget() {
    this.#topics.clear();
    for (const subscription of [...this.#subscriptions.values()]) {
      const was_live = subscription.live;
      subscription.live = false;
      subscription.topic = null;
      if (was_live) subscription.handlers.down?.();
    }
  }

  #send(message) {
    if (this.state.phase === "open") this.#socket.send(JSON.stringify(message));
  }

  #receive(data) {
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      // The server's mistake and not ours, so not 1007: the next connection may do better.
      return this.#lost(1006, "a message that is no JSON");
    }
    if (message.type === "welcome") return this.#welcome(message);
    this.#silence.heard(this.#heartbeat_max_ms);
    if (message.type === "changes") return this.#changes(message);
    if (message.type === "heartbeat") return this.#heartbeat(message);
    const subscription = this.#subscriptions.get(message.id);
    if (subscription) return this.#answer(subscription, message);
    if (message.type === "error") this.#options.onError?.(message);
  }

  #welcome({ heartbeat_s, server }) {
    if (heartbeat_s > 0) this.#heartbeat_max_ms = heartbeat_s * 1000 * SILENCE_HEARTBEATS;
    this.#silence.heard(this.#heartbeat_max_ms);
    this.#set({ phase: "open", since: Date.now(), retry_at: null, server: server ?? null });
    for (const subscription of this.#subscriptions.values()) this._subscribe(subscription);
  }

  #answer(subscription, message) {
    const { handlers } = subscription;
    if (message.type === "subscribed") {
      subscription.live = true;
      subscription.topic = message.topic;
      subscription.cursor = message.cursor ?? subscription.cursor;
      const topic = this.#topics.get(message.topic) ?? { members: new Set(), unfinished: [] };
      topic.members.add(subscription);
      this.#topics.set(message.topic, topic);
      handlers.live?.(message);
    } else if (message.type === "reset") {
      // A reset is the whole topic's: no member will see the rest of a batch that was under way.
      const topic = this.#topics.get(subscription.topic);
      if (topic) topic.unfinished = [];
      this.#leave(subscription);
      subscription.cursor = null;
      handlers.reset?.(message);
    } else if (message.type === "unsubscribed") {
      this.#subscriptions.delete(subscription.id);
      this.#leave(subscription);
      handlers.ended?.();
    } else if (message.type === "error") {
      handlers.error?.(message);
    }
  }

  #leave(subscription) {
    const topic = this.#topics.get(subscription.topic);
    topic?.members.delete(subscription);
    if (topic?.members.size === 0) this.#topics.delete(subscription.topic);
    subscription.live = false;
    subscription.topic = null;
  }

  #changes({ topic: name, changes, cursor, last }) {
    const topic = this.#topics.get(name);
    // Frames of a topic that was just left are still on their way for a moment.
    if (!topic) return;
    // Not by spreading: a batch may have more changes than a call may have arguments.
    topic.unfinished = topic.unfinished.length ? topic.unfinished.concat(changes) : changes;
    if (last !== true) return;
    const batch = { changes: topic.unfinished, cursor };
    topic.unfinished = [];
    for (const subscription of [...topic.members]) {
      subscription.handlers.changes?.(batch);
      // After the handler: a cursor must never be ahead of what was applied.
      subscription.cursor = cursor;
    }
  }

  /** A heartbeat holds for all subscriptions of the socket, so that a quiet one's cursor never ages out. */
  #heartbeat({ cursor }) {
    if (!cursor) return;
    for (const subscription of this.#subscriptions.values()) if (subscription.live) subscription.cursor = cursor;
  }

  /** Any message is an answer. */
  #ask() {
    if (this.state.phase !== "open") return false;
    this.#send({ type: "ping" });
    return true;
  }

  /** The network or the page was away, and the socket may be dead without knowing. */
  #wake = () => {
    this.#tell();
    if (globalThis.document?.visibilityState === "hidden") return;
    if (this.state.phase === "waiting") this.#open();
    else if (this.state.phase === "open") this.#silence.probe();
  };

  #tell = () => {
    for (const listener of [...this.#listeners]) listener(this.state);
  };

  #set(change) {
    this.state = { ...this.state, ...change };
    this.#tell();
  }
}

function socketUrl(url) {
  const absolute = new URL(url, globalThis.document?.baseURI);
  absolute.protocol = absolute.protocol.replace(/^http/, "ws");
  return absolute.href;
}
