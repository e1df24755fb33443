/** A client of plank: docs/CLIENT.md. Subscriptions outlive its links. */

const STABLE_MS = 10_000;
const RETRY_FIRST_MS = 250;
const RETRY_MAX_MS = 10_000;
const HINT_MAX_MS = 60_000;
const HINT_JITTER_MS = 250;
export const WELCOME_MAX_MS = 10_000;
const PROBE_MAX_MS = 5_000;
const TICK_MS = 2_500;
/** Before the end of a token, or half of a short life. */
const RENEW_MS = 30_000;
const RENEW_MIN_MS = 5_000;
const TIMER_MAX_MS = 2 ** 31 - 1;

export const connect = (url, options) => new Client(url, options);

export const keyOf = (key, names = Object.keys(key)) =>
  JSON.stringify(names[1] ? [...names].sort().map((name) => key[name]) : key[names[0]]);

/** Integers that a number would round become strings: two keys stay two. */
export function parse(text) {
  const exact = (token) => (/^-?\d{16,}$/.test(token) && !Number.isSafeInteger(+token) ? `"${token}"` : token);
  return JSON.parse(/\d{16}/.test(text) ? text.replace(/"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*/g, exact) : text);
}

export const silenceMax = ({ heartbeat_s }) => heartbeat_s * 2500;

const streams = () => import("./stream.js");

export const beside = (url, path) => new URL(path, url.href.replace("ws", "http"));

export const ask = (url, path, fetch) =>
  fetch(beside(url, path), { signal: AbortSignal.timeout(PROBE_MAX_MS) }).catch(() => ({}));

/** In a silence calls `ask`, true if it could, and then `dead`. */
export function watch(ask, dead) {
  let timer, max_ms, silent_ms, judged_at, is_asked;
  const judge = () => {
    const passed_ms = Date.now() - judged_at;
    judged_at += passed_ms;
    // A clock may be set back.
    silent_ms += passed_ms < 0 ? TICK_MS : passed_ms;
    if (!is_asked && silent_ms >= max_ms / 2 && ask()) {
      is_asked = true;
      // After a sleep the server gets time to answer.
      silent_ms = Math.min(silent_ms, max_ms - PROBE_MAX_MS);
    } else if (silent_ms >= max_ms) dead();
  };
  const heard = (ms) => {
    [max_ms, silent_ms, judged_at, is_asked] = [ms, 0, Date.now(), false];
    timer ??= setInterval(judge, TICK_MS);
  };
  const probe = () => {
    heard(PROBE_MAX_MS);
    is_asked = ask();
  };
  const stop = () => (timer = clearInterval(timer));
  return { heard, probe, stop };
}

const isFinal = (code) => [1002, 1003, 1007, 1008, 1009].includes(code) || (code >= 4500 && code < 5000);

function retryWait(code, reason, attempt, random) {
  const hint = [1001, 1012].includes(code) && reason.match(/"retry_ms":(\d+)[,}]/);
  if (hint) return Math.min(hint[1], HINT_MAX_MS) + random() * HINT_JITTER_MS;
  // A crowd comes back one by one.
  return random() * Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** attempt);
}

/** A handler that throws stops nothing else. */
export function tell(handlers, name, message) {
  try {
    handlers[name]?.(message);
  } catch (error) {
    Promise.reject(error);
  }
}

function pending() {
  const link = {};
  link.promise = new Promise((resolve) => (link.resolve = resolve));
  return link;
}

class Subscription {
  rows = new Map();
  pending = new Map();
  key = null;
  live = false;
  catching_up = false;
  caught_up = 0;
  _asked = false;
  #client;
  #topic;
  #unfinished = [];
  #pieces = null;
  #next = pending();

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

  _push(batch, error) {
    const next = pending();
    this.#next.resolve({ batch, error, next });
    if (batch || error) this.#next = next;
  }

  /** What is unfinished comes again. */
  _forget() {
    const was_up = this.live || this.#pieces;
    this._asked = this.live = this.catching_up = false;
    this.#unfinished = [];
    this.#topic = this.#pieces = null;
    return was_up;
  }

  _hear(message) {
    const { handlers } = this;
    const { type, topic, cursor, changes, last } = message;
    if (this._writes?.hears(message)) return;
    if (type === "changes") {
      if (topic !== this.#topic) return;
      this.#unfinished.push(...changes);
      if (!last) return;
      const batch = { changes: this.#unfinished.splice(0), cursor };
      this.#put(batch.changes);
      if (this.catching_up) this.caught_up += batch.changes.length;
      tell(handlers, "changes", batch);
      // Never ahead of what was applied.
      this.cursor = cursor;
      this._push(batch);
    } else if (type === "heartbeat") {
      if (this.live && cursor) this.cursor = cursor;
    } else if (type === "snapshot") {
      (this.#pieces ??= []).push(...message.rows);
      tell(handlers, "snapshot", message);
    } else if (type === "subscribed") {
      Object.assign(this, { live: true, key: [...message.key], cursor });
      this.#topic = topic;
      const pieces = this.#pieces;
      this.#pieces = null;
      if (pieces) this.#put([{ op: "truncate" }, ...pieces.map((row) => ({ key: row, row }))]);
      tell(handlers, "live", message);
      if (pieces) this._push({ changes: [], cursor, snapshot: true });
    } else if (type === "reset") {
      this._forget();
      this._asked = true;
      this.cursor = null;
      this.#client._ask(this);
      tell(handlers, "reset", message);
      this._push({ changes: [], cursor: null, reset: message.reason });
    } else if (type === "unsubscribed") {
      this._forget();
      tell(handlers, "ended");
      this.close();
    } else if (type === "pong" && message.id && this.live && this.catching_up) {
      this.catching_up = false;
      tell(handlers, "caught_up", { changes: this.caught_up });
    } else if (type === "error") {
      this._forget();
      tell(handlers, "error", message);
      this._push(null, message);
    }
  }

  /** In one step: never half of a table. */
  #put(changes) {
    const { rows, key, _writes } = this;
    _writes?.lift();
    if (this.spec.snapshot && (key[0] || this.spec.columns == "count")) {
      for (const { op, key: of, row, index } of changes) {
        const name = op === "truncate" ? rows.clear() : keyOf(of ?? 0, key);
        if (!row || index >= 0) rows.delete(name);
        const behind = index >= 0 ? [...rows].slice(index) : [];
        for (const [other] of behind) rows.delete(other);
        if (row) rows.set(name, row);
        for (const each of behind) rows.set(...each);
      }
    }
    _writes?.lay(changes);
  }
}

export class Client {
  state = { phase: "connecting", since: Date.now(), retry_at: null, attempt: 0, close: null, server: null, transport: "ws" };
  _url;
  _options;
  #link;
  _subscriptions = new Map();
  #listeners = new Set();
  #ids = 0;
  #retry_timer;
  #renew_timer;
  #failed = {};
  #is_blocked = false;
  #is_refused = false;
  #silence_max_ms = WELCOME_MAX_MS;
  #silence = watch(
    () => this._send({ type: "ping" }),
    () => this.#ended(4002, "nothing was heard"),
  );

  constructor(url, options = {}) {
    this._url = new URL(url, globalThis.document?.baseURI);
    this._url.protocol = this._url.protocol.replace("http", "ws");
    this._options = options;
    this.#listen("addEventListener");
    this.#open();
  }

  subscribe(spec, handlers = {}) {
    const subscription = new Subscription(this, `s${++this.#ids}`, spec, handlers);
    this._subscriptions.set(subscription.id, subscription);
    subscription.renew();
    if (this.state.phase === "closed") subscription._push();
    return subscription;
  }

  table(name) {
    const load = () => import("./table.js");
    load().catch(() => {});
    const op = (op) => async (...values) => (await load()).write(this, name, op, ...values);
    return { insert: op("insert"), update: op("update"), upsert: op("upsert"), delete: op("delete") };
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
    if (subscription._asked || !this._subscriptions.has(id)) return;
    subscription._asked = this._send({ ...spec, type: "subscribe", id, since: cursor ?? undefined });
    this._ask(subscription);
  }

  /** Answered behind all that was missed. */
  _ask(subscription) {
    const { id, spec, cursor } = subscription;
    subscription.caught_up = 0;
    subscription.catching_up = !!(cursor || spec.snapshot) && this._send({ type: "ping", id });
  }

  _unsubscribe(subscription) {
    const { id } = subscription;
    if (!this._subscriptions.delete(id)) return;
    if (subscription._asked) this._send({ type: "unsubscribe", id });
    subscription._forget();
    subscription._push();
  }

  #open() {
    clearTimeout(this.#retry_timer);
    const { WebSocket: Socket = globalThis.WebSocket, auth } = this._options;
    const is_stream = !Socket || this.#is_blocked;
    // After a stream a WebSocket has its chance again.
    this.#is_blocked = false;
    const attempt = (this.#link = {});
    const dial = ([token, module]) => {
      if (this.#link !== attempt) return;
      const link = (this.#link = module ? new module.Stream(this._url, this._fetch, Socket) : new Socket(this._url.href));
      link.onopen = () => token && link.send(JSON.stringify({ type: "auth", token }));
      link.onmessage = ({ data }) => this.#receive(data);
      link.onrenew = () => {
        for (const subscription of this._subscriptions.values()) subscription._forget();
        this.#renew();
      };
      link.onclose = ({ code, reason }) => this.#ended(code, reason);
      // Node.js may not close after it.
      link.onerror = () => this.#ended(1006, "");
    };
    this.#silence.heard(WELCOME_MAX_MS);
    if (is_stream || auth?.call) {
      const failed = (error) => this.#link === attempt && this.#lost(1006, `${error}`);
      Promise.all([this._token(), is_stream && streams()]).then(dial, failed);
    } else dial([auth]);
    this.#set({ phase: "connecting", retry_at: null, transport: is_stream ? "sse" : "ws" });
  }

  async _token() {
    const { auth } = this._options;
    return (this._known = await (auth?.call ? auth() : auth));
  }

  _fetch = (...request) => (this._options.fetch ?? fetch)(...request);

  /** A dead link delays its close for minutes. */
  #drop() {
    clearTimeout(this.#retry_timer);
    clearTimeout(this.#renew_timer);
    this.#silence.stop();
    const link = this.#link;
    this.#link = null;
    if (!link) return;
    link.onopen = link.onmessage = link.onclose = null;
    link.onerror = () => {};
    link.close?.();
  }

  async #ended(...close) {
    const { phase, transport } = this.state;
    if (phase === "connecting" && transport === "ws" && this.#link.close && !isFinal(close[0])) {
      this.#drop();
      this.#silence.heard(WELCOME_MAX_MS);
      const attempt = (this.#link = {});
      const verdict = await this.#judge().catch(() => {});
      if (this.#link !== attempt) return;
      this.#is_blocked = verdict === true;
      if (verdict?.at) close = verdict;
    }
    this.#lost(...close);
  }

  #lost(code, reason) {
    this.#drop();
    const { random = Math.random, auth } = this._options;
    let { phase, since, attempt } = this.state;
    const now = Date.now();
    if (phase === "open") {
      if (now - since >= STABLE_MS) attempt = 0;
      since = now;
    }
    // Another token may help, once.
    const may_renew = [4501, 4502].includes(code) && auth?.call && !this.#is_refused;
    if (may_renew) this.#is_refused = true;
    const is_final = isFinal(code) && !may_renew;
    const wait_ms = retryWait(code, reason, attempt, random);
    if (!is_final) this.#retry_timer = setTimeout(() => this.#open(), wait_ms);
    const retry_at = is_final ? null : now + wait_ms;
    this.#set({ phase: is_final ? "closed" : "waiting", since, retry_at, attempt: attempt + 1, close: { code, reason } });
    this.#forget(is_final, { code, message: reason || `closed with ${code}` });
  }

  /** A socket does not tell how its handshake was answered. */
  async #judge() {
    const answer = await ask(this._url, "?why", this._fetch);
    return answer.status && (await streams()).judge(answer, this.#failed, this.state.since);
  }

  #forget(is_over, error) {
    for (const subscription of [...this._subscriptions.values()]) {
      if (subscription._forget()) tell(subscription.handlers, "down");
      if (is_over) subscription._push(null, error);
    }
  }

  _send(message) {
    const is_open = this.state.phase === "open";
    if (is_open) this.#link.send(JSON.stringify(message));
    return is_open;
  }

  #receive(data) {
    try {
      this.#take(data.type ? data : parse(data));
    } catch (error) {
      if (this.#link) this.#lost(1006, `${error}`);
    }
  }

  #take(message) {
    const { type, id } = message;
    const subscription = this._subscriptions.get(id);
    if (message.heartbeat_s > 0) this.#silence_max_ms = silenceMax(message);
    this.#silence.heard(this.#silence_max_ms);
    if (type === "welcome") this.#welcome(message);
    else if (type === "authenticated") this.#authenticated(message);
    else if (subscription) subscription._hear(message);
    else if (type === "error") tell(this._options, "onError", message);
    // Of a topic, or for all.
    else if (id === undefined) for (const each of [...this._subscriptions.values()]) each._hear(message);
    if (type === "subscribed") this.#is_refused = false;
  }

  #welcome({ server = null, protocol = "plank.v1" }) {
    if (protocol !== "plank.v1") return this.#lost(1002, `the server speaks ${protocol}`);
    if (this.state.transport === "ws") [this.#failed, this.#is_blocked] = [{}];
    // Each stream has its own.
    if (this.state.phase === "open") return this.#set({ server });
    this.#set({ phase: "open", since: Date.now(), server });
    this.#renew();
  }

  #renew() {
    for (const subscription of this._subscriptions.values()) subscription.renew();
  }

  #authenticated({ exp, expires_in = exp - Date.now() / 1000 }) {
    const link = this.#link;
    this.#is_refused = false;
    clearTimeout(this.#renew_timer);
    if (!this._options.auth?.call || !(exp > 0)) return;
    // This clock may be wrong.
    const left_ms = expires_in * 1000;
    const wait_ms = Math.max(RENEW_MIN_MS, left_ms - RENEW_MS, Math.min(left_ms / 2, RENEW_MS));
    this.#renew_timer = setTimeout(async () => {
      const token = await this._token().catch(() => null);
      if (token && link === this.#link) this._send({ type: "auth", token });
    }, Math.min(TIMER_MAX_MS, wait_ms));
  }

  /** The link may be dead. */
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
