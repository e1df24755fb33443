/**
 * Server-Sent Events in the shape of a WebSocket, for where those are blocked: each subscription is a request of its own.
 *
 * By `fetch` and not by an EventSource, which tells neither the status nor the comments and takes no token. It never comes
 * back by itself: one stream that is lost is the link that is lost.
 */
import { beside, isAlive, parse, silenceMax, watch, WELCOME_MAX_MS } from "./plank.js";

/** Close codes for the statuses that are about the client; all others mean "come back". */
const CODES = { 401: 4501, 403: 4503, 429: 1012, 503: 1012 };

export class Stream {
  #url;
  #fetch;
  #token;
  /** What ends the request of a subscription, by its id. */
  #aborts = new Map();

  constructor(url, fetch) {
    this.#url = url;
    this.#fetch = fetch;
    isAlive(url, fetch).then((is_alive) => {
      if (!is_alive) return this.#end(1006, "the server does not answer");
      this.onopen?.();
      this.#say({ type: "welcome" });
    });
  }

  send(text) {
    const message = JSON.parse(text);
    const { type, id, token } = message;
    if (type === "auth") this.#token = token;
    else if (type === "subscribe") this.#follow(message);
    else if (type === "unsubscribe") this.#aborts.get(id)?.abort();
    // A stream tells by itself when it has caught up.
    else if (!id) isAlive(this.#url, this.#fetch).then((is_alive) => is_alive && this.#say({ type: "pong" }));
  }

  close() {
    for (const abort of this.#aborts.values()) abort.abort();
  }

  #say(data) {
    this.onmessage?.({ data });
  }

  #end(code, reason) {
    this.close();
    this.onclose?.({ code, reason });
  }

  async #follow({ id, table, filter, columns, since, snapshot }) {
    const abort = new AbortController();
    const { signal } = abort;
    this.#aborts.set(id, abort);
    const query = new URLSearchParams({ table, ...(columns && { columns }), ...(since && { since }), ...(snapshot && { snapshot: 1 }) });
    const words = filter ? `&${filter.replace(/[#\s]/g, encodeURIComponent)}` : "";
    const silence = watch(
      () => false,
      () => this.#end(4002, "nothing was heard"),
    );
    silence.heard(WELCOME_MAX_MS);
    try {
      const headers = this.#token ? { authorization: `Bearer ${this.#token}` } : {};
      const response = await this.#fetch(beside(this.#url, `api/stream?${query}${words}`), { headers, signal, cache: "no-store" });
      if (response.ok) await this.#read(response, id, signal, silence);
      else await this.#refused(response, id, signal);
    } catch {
      if (!signal.aborted) this.#end(1006, "the stream was cut off");
    } finally {
      silence.stop();
      if (this.#aborts.get(id) === abort) this.#aborts.delete(id);
    }
  }

  async #refused(response, id, signal) {
    const { type = "", detail = "" } = await response.json();
    const { status } = response;
    if (signal.aborted) return;
    const retry_s = Number(response.headers.get("retry-after"));
    const code = status === 404 ? "unknown_table" : type.split(":").pop();
    if (status === 400 || status === 404) this.#say({ type: "error", id, code, message: detail });
    else this.#end(CODES[status] ?? 1011, retry_s ? JSON.stringify({ retry_ms: retry_s * 1000 }) : detail);
  }

  async #read(response, id, signal, silence) {
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
        // A comment is a ping, or says that it has caught up, or why it ends.
        else if (name === "" && text === "live") this.#say({ type: "pong", id });
        else if (name === "" && text) close = [parseInt(text), text.slice(5)];
        else if (name === "retry") close[1] ||= `{"retry_ms":${text}}`;
        if (line || !data) continue;
        const message = { ...parse(data), id, topic: id };
        data = "";
        if (message.heartbeat_s > 0) silence.heard((silence_max_ms = silenceMax(message)));
        this.#say(message);
        if (signal.aborted) return;
        // This request is over, and no other.
        if (message.type === "error" || message.type === "unsubscribed") return reader.cancel();
      }
    }
  }
}
