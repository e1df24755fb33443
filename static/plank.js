/**
 * A client of plank: docs/CLIENT.md says how to use it, plank.d.ts what its members mean. It owns one link at a time, puts
 * batches together, keeps rows, and comes back with its cursors; when and whether is decided in link.js.
 */
import { isAlive, isFinal, parse, retryWait, Silence, silenceMax, WELCOME_MAX_MS } from "./link.js";

/** A link that lived this long was a good one: the next loss starts the back-off anew. */
const STABLE_MS = 10_000;
/** So many WebSockets in a row that never said welcome, beside a server that answers: something blocks them. */
const BLOCKED_ATTEMPTS = 3;
/** A token is renewed so long before its end, or after half of a short life; never more often than the second. */
const RENEW_MS = 30_000;
const RENEW_MIN_MS = 5_000;
const TIMER_MAX_MS = 2 ** 31 - 1;
/** A link that is back, and brings nothing for so long, has brought all that was missed. */
const CAUGHT_UP_MS = 500;

export const connect = (url, options) => new Client(url, options);

export const keyOf = (key, names = Object.keys(key)) => JSON.stringify([...names].sort().map((name) => key[name]));

/** A mistake in a handler is reported as uncaught, and stops nothing else. */
function tell(handlers, name, message) {
  try {
    handlers[name]?.(message);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

/** A link of the chain of batches: a reader holds the one that it waits for. */
function pending() {
  const link = {};
  link.promise = new Promise((resolve) => (link.resolve = resolve));
  return link;
}

/** What a client wants to see. It outlives every link. */
class Subscription {
  rows = new Map();
  key = null;
  live = false;
  caught_up = 0;
  catching_up = false;
  /** Whether the present link was asked for it. */
  _asked = false;
  #client;
  #topic;
  #unfinished = [];
  /** Of a snapshot under way. */
  #pieces = null;
  #next = pending();
  #timer;
  #back_at;

  constructor(client, id, spec, handlers) {
    this.#client = client;
    this.cursor = spec.since ?? null;
    Object.assign(this, { id, spec, handlers });
  }

  renew() {
    this.#client._subscribe(this);
  }

  close() {
    this.#client._unsubscribe(this);
  }

  async *[Symbol.asyncIterator]() {
    for (let link = this.#next; ; ) {
      const { batch, error, next } = await link.promise;
      if (error) throw Object.assign(new Error(error.message), { code: error.code });
      if (!batch) return;
      yield batch;
      link = next;
    }
  }

  /** Hands on a batch, or an error, or the end, which stays. */
  _push(batch, error) {
    const next = pending();
    this.#next.resolve({ batch, error, next });
    if (batch || error) this.#next = next;
  }

  /** Nothing of a lost link may leak into the next one: what is unfinished will be sent again whole. */
  _forget() {
    this._asked = this.live = false;
    this.#unfinished = [];
    this.#topic = this.#pieces = null;
    this.#count(false);
  }

  _hear(message) {
    const { handlers } = this;
    const { type, topic, cursor, changes, last } = message;
    if (type === "changes") {
      // Frames of a topic that was just left are still on their way for a moment.
      if (topic !== this.#topic) return;
      // Not by spreading: a batch may have more changes than a call may have arguments.
      this.#unfinished = this.#unfinished.concat(changes);
      if (!last) return;
      const batch = { changes: this.#unfinished, cursor };
      this.#unfinished = [];
      this.#apply(batch);
    } else if (type === "heartbeat") {
      if (this.live && cursor) this.cursor = cursor;
    } else if (type === "snapshot") {
      (this.#pieces ??= []).push(message.rows);
      tell(handlers, "snapshot", message);
    } else if (type === "subscribed") {
      this.#count(this.cursor !== null && !this.#pieces);
      Object.assign(this, { live: true, key: message.key, cursor });
      this.#topic = topic;
      const has_snapshot = this.#replace();
      tell(handlers, "live", message);
      if (has_snapshot) this._push({ changes: [], cursor, snapshot: true });
    } else if (type === "reset") {
      this._forget();
      this._asked = true;
      this.cursor = null;
      tell(handlers, "reset", message);
      this._push({ changes: [], cursor: null, reset: message.reason });
    } else if (type === "unsubscribed") {
      this._forget();
      tell(handlers, "ended");
      this.close();
    } else if (type === "error") {
      this._forget();
      tell(handlers, "error", message);
      this._push(null, message);
    }
  }

  /** In one step, and only now, when the key is known: the rows are never half of a table. */
  #replace() {
    const pieces = this.#pieces;
    if (!pieces) return false;
    this.#pieces = null;
    this.rows.clear();
    if (this.key.length) for (const rows of pieces) for (const row of rows) this.rows.set(keyOf(row, this.key), row);
    return true;
  }

  #apply(batch) {
    const { rows, key } = this;
    const { changes } = batch;
    if (this.spec.snapshot && key.length) {
      for (const { op, key: of, row } of changes) {
        if (op === "truncate") rows.clear();
        else if (op === "delete") rows.delete(keyOf(of, key));
        else rows.set(keyOf(of, key), row);
      }
    }
    if (this.catching_up) {
      const missed = changes.filter(({ at }) => !(Date.parse(at) >= this.#back_at)).length;
      this.caught_up += missed;
      this.#count(missed === changes.length);
    }
    tell(this.handlers, "changes", batch);
    // After the handler: a cursor must never be ahead of what was applied.
    this.cursor = batch.cursor;
    this._push(batch);
  }

  /** Counts what was missed. The protocol does not say where that ends: a change that began later, or a pause, does. */
  #count(goes_on) {
    clearTimeout(this.#timer);
    const was = this.catching_up;
    this.catching_up = goes_on;
    if (goes_on && !was) [this.caught_up, this.#back_at] = [0, Date.now()];
    if (goes_on) this.#timer = setTimeout(() => this.#count(false), CAUGHT_UP_MS);
    else if (was && this.live) tell(this.handlers, "caught_up", { changes: this.caught_up });
  }
}

export class Client {
  state = { phase: "connecting", since: Date.now(), retry_at: null, attempt: 0, close: null, server: null, transport: "ws" };
  #url;
  #options;
  #link;
  /** By their own id. */
  #subscriptions = new Map();
  #listeners = new Set();
  #ids = 0;
  #retry_timer;
  #renew_timer;
  /** WebSockets in a row that never said welcome, and whether a stream is next for it. */
  #failures = 0;
  #is_blocked = false;
  /** Whether a token was refused, and none has been taken since. */
  #is_refused = false;
  /** The longest silence that is in order, by what `welcome` promised. */
  #silence_max_ms = WELCOME_MAX_MS;
  #silence = new Silence(
    () => this.#send({ type: "ping" }),
    () => this.#lost(4002, "nothing was heard"),
  );

  constructor(url, options = {}) {
    this.#url = new URL(url, globalThis.document?.baseURI);
    this.#url.protocol = this.#url.protocol.replace("http", "ws");
    this.#options = options;
    this.#listen("addEventListener");
    this.#open();
  }

  subscribe(spec, handlers = {}) {
    const subscription = new Subscription(this, `s${++this.#ids}`, spec, handlers);
    this.#subscriptions.set(subscription.id, subscription);
    subscription.renew();
    return subscription;
  }

  onState(listener) {
    this.#listeners.add(listener);
    listener(this.state);
    return () => this.#listeners.delete(listener);
  }

  reconnect() {
    if (this.state.phase === "waiting") this.#open();
  }

  close() {
    this.#listen("removeEventListener");
    this.#drop();
    this.#set({ phase: "closed", since: Date.now(), retry_at: null });
    this.#forget(true);
  }

  #listen(method) {
    globalThis[method]?.("online", this.#wake);
    globalThis[method]?.("offline", this.#tell);
    globalThis.document?.[method]("visibilitychange", this.#wake);
  }

  _subscribe(subscription) {
    const { id, spec, cursor } = subscription;
    if (subscription._asked || !this.#subscriptions.has(id)) return;
    subscription._asked = this.#send({ ...spec, type: "subscribe", id, since: cursor ?? undefined });
  }

  _unsubscribe(subscription) {
    const { id } = subscription;
    if (!this.#subscriptions.delete(id)) return;
    if (subscription._asked) this.#send({ type: "unsubscribe", id });
    subscription._forget();
    subscription._push();
  }

  #open() {
    clearTimeout(this.#retry_timer);
    const { WebSocket: Socket = globalThis.WebSocket, auth } = this.#options;
    const is_stream = !Socket || this.#is_blocked;
    // After a stream a WebSocket has its chance again: it may have been a server that was full.
    this.#is_blocked = false;
    const attempt = (this.#link = {});
    const dial = ([token, module]) => {
      if (this.#link !== attempt) return;
      const link = (this.#link = module ? new module.Stream(this.#url, this.#fetch) : new Socket(this.#url.href));
      link.onopen = () => token && link.send(JSON.stringify({ type: "auth", token }));
      link.onmessage = ({ data }) => this.#receive(data);
      link.onclose = ({ code, reason }) => this.#lost(code, reason);
      // Not always is it followed by a close: not in Node.js, when the handshake fails.
      link.onerror = () => this.#lost(1006, "");
    };
    this.#silence.heard(WELCOME_MAX_MS);
    if (is_stream || auth?.call) {
      const failed = ({ message }) => this.#link === attempt && this.#lost(1006, message);
      Promise.all([this.#token(), is_stream && import("./stream.js")]).then(dial, failed);
    } else dial([auth]);
    this.#set({ phase: "connecting", retry_at: null, transport: is_stream ? "sse" : "ws" });
  }

  async #token() {
    const { auth } = this.#options;
    return auth?.call ? auth() : auth;
  }

  #fetch = (...request) => (this.#options.fetch ?? fetch)(...request);

  /** Lets go of the link without waiting for its close event, which a dead one delays for minutes. */
  #drop() {
    clearTimeout(this.#retry_timer);
    clearTimeout(this.#renew_timer);
    this.#silence.stop();
    const link = this.#link;
    this.#link = null;
    if (!link) return;
    link.onopen = link.onmessage = link.onclose = null;
    // An error that nobody listens to ends some programs.
    link.onerror = () => {};
    link.close?.();
  }

  #lost(code, reason) {
    this.#drop();
    const { random = Math.random, auth } = this.#options;
    const { phase, since, transport } = this.state;
    const now = Date.now();
    const was_open = phase === "open";
    const attempt = was_open && now - since >= STABLE_MS ? 0 : this.state.attempt;
    // Another token may help, once.
    const may_renew = [4501, 4502].includes(code) && auth?.call && !this.#is_refused;
    if (may_renew) this.#is_refused = true;
    const is_final = isFinal(code) && !may_renew;
    const wait_ms = retryWait({ code, reason }, attempt, random);
    if (!is_final) this.#retry_timer = setTimeout(() => this.#open(), wait_ms);
    if (transport === "ws" && !was_open && ++this.#failures >= BLOCKED_ATTEMPTS) {
      isAlive(this.#url, this.#fetch).then((is_alive) => (this.#is_blocked = is_alive && this.state.phase === "waiting"));
    }
    this.#set({
      phase: is_final ? "closed" : "waiting",
      since: was_open ? now : since,
      retry_at: is_final ? null : now + wait_ms,
      attempt: attempt + 1,
      close: { code, reason },
    });
    this.#forget(is_final, { code, message: reason || `closed with ${code}` });
  }

  #forget(is_over, error) {
    for (const subscription of [...this.#subscriptions.values()]) {
      const was_live = subscription.live;
      subscription._forget();
      if (was_live) tell(subscription.handlers, "down");
      if (is_over) subscription._push(null, error);
    }
  }

  /** Whether there is somebody to send it to. */
  #send(message) {
    const is_open = this.state.phase === "open";
    if (is_open) this.#link.send(JSON.stringify(message));
    return is_open;
  }

  /** `data` is text of a WebSocket, or the message itself of a stream. */
  #receive(data) {
    let message = data;
    try {
      if (!data.type) message = parse(data);
    } catch {
      // The server's mistake and not ours, so not 1007: the next link may do better.
      return this.#lost(1006, "a message that is no JSON");
    }
    const { type, id } = message;
    const subscription = this.#subscriptions.get(id);
    if (message.heartbeat_s > 0) this.#silence_max_ms = silenceMax(message);
    this.#silence.heard(this.#silence_max_ms);
    if (type === "welcome") this.#welcome(message);
    else if (type === "authenticated") this.#authenticated(message);
    else if (subscription) subscription._hear(message);
    else if (type === "error") tell(this.#options, "onError", message);
    // What carries no id is shared by those of a topic, or by all.
    else if (id === undefined) for (const each of [...this.#subscriptions.values()]) each._hear(message);
    if (type === "subscribed") this.#is_refused = false;
  }

  #welcome({ server = null }) {
    const { phase, since, transport } = this.state;
    if (transport === "ws") this.#failures = 0;
    // Each stream has a welcome of its own; the link is open since the first.
    this.#set({ phase: "open", since: phase === "open" ? since : Date.now(), retry_at: null, server });
    for (const subscription of this.#subscriptions.values()) this._subscribe(subscription);
  }

  #authenticated({ exp }) {
    const link = this.#link;
    this.#is_refused = false;
    clearTimeout(this.#renew_timer);
    if (!this.#options.auth?.call || !(exp > 0)) return;
    const left_ms = exp * 1000 - Date.now();
    const wait_ms = Math.max(RENEW_MIN_MS, left_ms - RENEW_MS, Math.min(left_ms / 2, RENEW_MS));
    this.#renew_timer = setTimeout(async () => {
      // Without a token the server closes the link when time is up, and the next one asks again.
      const token = await this.#token().catch(() => null);
      if (token && link === this.#link) this.#send({ type: "auth", token });
    }, Math.min(TIMER_MAX_MS, wait_ms));
  }

  /** The network or the page was away, and the link may be dead without knowing. */
  #wake = () => {
    this.#tell();
    if (globalThis.document?.visibilityState === "hidden") return;
    this.reconnect();
    if (this.state.phase === "open") this.#silence.probe();
  };

  #tell = () => {
    for (const listener of [...this.#listeners]) tell({ listener }, "listener", this.state);
  };

  #set(change) {
    this.state = { ...this.state, ...change };
    this.#tell();
  }
}
