/**
 * Server-Sent Events in the shape of a WebSocket, for where those are blocked: one request for all subscriptions, since a browser has
 * six connections for all its tabs. When there is one more, or one less, the request is made anew.
 *
 * By `fetch` and not by an EventSource, which tells neither the status nor the comments and takes no token. It never comes
 * back by itself: one stream that is lost is the link that is lost.
 */
import { ask, beside, parse, silenceMax, watch, WELCOME_MAX_MS } from "./plank.js";

/** Close codes for the statuses that are about the client; all others mean "come back". */
const CODES = { 401: 4501, 403: 4503, 429: 1012, 503: 1012 };
/** Longer addresses become several requests: many proxies take 8 KiB. */
const QUERY_MAX = 6_000;
/** So long after the stream began a WebSocket is tried again, and then after twice the time. */
const TRIAL_MS = 60_000;
const TRIAL_MAX_MS = 600_000;

const isAlive = (url, fetch) => ask(url, "livez", fetch).then(({ ok }) => ok);

/** The close code and the reason of a refusal. */
function refusal({ status, headers }, detail) {
  const after = headers.get("retry-after");
  // A date, or a number of seconds.
  const retry_ms = /GMT$/.test(after) ? Date.parse(after) - Date.now() : after * 1000;
  const is_told = retry_ms > 0 && retry_ms < Infinity;
  return [CODES[status] ?? (is_told ? 1012 : 1011), is_told ? `{"retry_ms":${Math.ceil(retry_ms)}}` : detail || `answered with ${status}`];
}

/** So many WebSockets without a welcome, for so long, beside a server that would take one: something blocks them. */
const BLOCKED_ATTEMPTS = 3;
const BLOCKED_MS = 3_000;

/** What the server says of a WebSocket that failed: how it was refused, or whether something blocks them. `failed` counts. */
export function judge(response, failed, since) {
  if (![204, 426].includes(response.status)) {
    failed.count = 0;
    return refusal(response);
  }
  failed.count = (failed.count ?? 0) + 1;
  // Once it is known one more is enough.
  if (failed.count >= BLOCKED_ATTEMPTS && Date.now() - since >= BLOCKED_MS) failed.count = Infinity;
  return failed.count === Infinity;
}

export class Stream {
  #url;
  #fetch;
  #Socket;
  #token;
  /** The messages of the subscriptions, by their ids. */
  #specs = new Map();
  /** Ends the requests. */
  #abort;
  #is_due = false;
  #trial;
  #trial_timer;

  constructor(url, fetch, Socket) {
    Object.assign(this, { onopen: null, onmessage: null, onclose: null, onrenew: null });
    this.#url = url;
    this.#fetch = fetch;
    this.#Socket = Socket;
    isAlive(url, fetch).then((is_alive) => {
      if (!is_alive) return this.#end(1006, "the server does not answer");
      this.onopen?.();
      this.#say({ type: "welcome" });
      if (Socket && this.onmessage) this.#try(TRIAL_MS);
    });
  }

  send(text) {
    const message = JSON.parse(text);
    const { type, id, token } = message;
    if (type === "auth") this.#token = token;
    else if (type === "subscribe") this.#change(this.#specs.set(id, message));
    else if (type === "unsubscribe") this.#change(this.#specs.delete(id));
    // A stream tells by itself when it has caught up.
    else if (!id) isAlive(this.#url, this.#fetch).then((is_alive) => is_alive && this.#say({ type: "pong" }));
  }

  close() {
    this.onmessage = null;
    clearTimeout(this.#trial_timer);
    this.#drop();
    this.#abort?.abort();
  }

  #say(data) {
    this.onmessage?.({ data });
  }

  #end(code, reason) {
    this.close();
    this.onclose?.({ code, reason });
  }

  #drop() {
    const socket = this.#trial;
    this.#trial = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = socket.onerror = () => {};
    socket.close();
  }

  /** What was in the way may have gone. */
  #try(wait_ms) {
    this.#drop();
    this.#trial_timer = setTimeout(() => {
      const socket = (this.#trial = new this.#Socket(this.#url.href));
      socket.onopen = () => this.#token && socket.send(JSON.stringify({ type: "auth", token: this.#token }));
      socket.onmessage = () => this.#end(1012, '{"retry_ms":0}');
      socket.onclose = socket.onerror = () => this.#try(Math.min(2 * wait_ms, TRIAL_MAX_MS));
    }, wait_ms);
  }

  #change() {
    if (this.#is_due) return;
    this.#is_due = true;
    // Behind all that is subscribed to in one go.
    queueMicrotask(() => {
      this.#is_due = false;
      if (!this.onmessage) return;
      const abort = this.#abort;
      this.#abort = null;
      if (!abort) return this.#open();
      abort.abort();
      // They are all subscribed to again, each with its cursor.
      this.onrenew?.();
    });
  }

  #open() {
    const { signal } = (this.#abort = new AbortController());
    let [query, ids] = ["", []];
    for (const [id, spec] of this.#specs) {
      const part = `&subscribe=${encodeURIComponent(JSON.stringify(spec))}`;
      if (query && query.length + part.length > QUERY_MAX) {
        this.#follow(query, ids, signal);
        [query, ids] = ["", []];
      }
      query += part;
      ids.push(id);
    }
    if (query) this.#follow(query, ids, signal);
  }

  async #follow(query, ids, signal) {
    const silence = watch(
      () => false,
      () => this.#end(4002, "nothing was heard"),
    );
    silence.heard(WELCOME_MAX_MS);
    try {
      const headers = this.#token ? { authorization: `Bearer ${this.#token}` } : {};
      const response = await this.#fetch(beside(this.#url, `api/stream?${query.slice(1)}`), { headers, signal, cache: "no-store" });
      if (response.ok) await this.#read(response, ids, signal, silence);
      else {
        const { detail } = response.status in CODES ? await response.json().catch(() => ({})) : await response.json();
        if (!signal.aborted) this.#end(...refusal(response, detail));
      }
    } catch {
      if (!signal.aborted) this.#end(1006, "the stream was cut off");
    } finally {
      silence.stop();
    }
  }

  async #read(response, ids, signal, silence) {
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    let silence_max_ms = WELCOME_MAX_MS;
    let rest = [];
    let data = "";
    let close = [1006, "the stream has ended"];
    for (;;) {
      const { done, value } = await reader.read();
      if (signal.aborted) return;
      if (done) return this.#end(...close);
      silence.heard(silence_max_ms);
      const lines = decoder.decode(value, { stream: true }).split("\n");
      rest.push(lines.shift());
      if (!lines.length) continue;
      lines.unshift(rest.join(""));
      rest = [lines.pop()];
      for (const line of lines) {
        const [, name, text] = line.match(/^(\w*): ?(.*)/s) ?? [];
        if (name === "data") data = text;
        // A comment is a ping, or says why it ends.
        else if (name === "" && text) close = [parseInt(text), text.slice(5)];
        else if (name === "retry") close[1] ||= `{"retry_ms":${text}}`;
        if (line || !data) continue;
        const message = parse(data);
        data = "";
        const { type, id, topic, heartbeat_s } = message;
        if (heartbeat_s > 0) silence.heard((silence_max_ms = silenceMax(message)));
        // Two requests may be answered by two nodes, whose topics have nothing to do with each other.
        if (topic) message.topic = `${ids[0]} ${topic}`;
        if (type === "error" || type === "unsubscribed") this.#specs.delete(id);
        if (type !== "heartbeat") this.#say(message);
        else for (const each of ids) this.#say({ ...message, id: each });
        if (signal.aborted) return;
      }
    }
  }
}
