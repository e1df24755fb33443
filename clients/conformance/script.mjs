/** Plays one script: each step in turn, until one does not hold. README.md says what the steps are. */
import { now } from "./clock.mjs";
import { Server } from "./server.mjs";

const QUIET_MS = 300;
/** For a client to give up a request that it makes anew. */
const GONE_MAX_MS = 3_000;
/** For a step that does not say how long it takes. */
const STEP_MAX_MS = 40_000;

/** A rule that the client does not keep. */
export class Broken extends Error {}

const show = (value) => JSON.stringify(value);

/** Whether `value` has all that `wanted` has: members may be more, lists may not. Null: there is none. */
function fits(value, wanted) {
  if (wanted === null) return value == null;
  if (Array.isArray(wanted)) return Array.isArray(value) && value.length === wanted.length && wanted.every((each, at) => fits(value[at], each));
  if (typeof wanted === "object") return value != null && typeof value === "object" && Object.keys(wanted).every((name) => fits(value[name], wanted[name]));
  return value === wanted;
}

/** The same with each `$name` replaced. */
function filled(value, names) {
  if (typeof value === "string") return value.startsWith("$") && value.slice(1) in names ? names[value.slice(1)] : value;
  if (Array.isArray(value)) return value.map((each) => filled(each, names));
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, filled(each, names)]));
  return value;
}

class Stage {
  #server;
  #player;
  #names;
  #step_max_ms;
  #socket = null;
  #since = 0;
  #since_now = 0;

  constructor(server, player, names, step_max_ms) {
    this.#server = server;
    this.#player = player;
    this.#names = { ...names };
    this.#step_max_ms = step_max_ms;
  }

  async play(steps) {
    for (const [at, step] of steps.entries()) {
      const [[name, value], ...rest] = Object.entries(step);
      try {
        if (!this[`_${name}`]) throw new Error(`no step is called ${name}`);
        await this[`_${name}`](filled(value, this.#names), filled(Object.fromEntries(rest), this.#names));
      } catch (error) {
        error.message = `step ${at + 1} ${show(step)}: ${error.message}`;
        throw error;
      }
    }
  }

  #mark() {
    [this.#since, this.#since_now] = [Date.now(), now()];
  }

  async #next(queue, what, time_ms = this.#step_max_ms) {
    const item = await queue.next(time_ms);
    if (this.#player.ended) throw new Broken(this.#player.ended);
    if (item === undefined) throw new Broken(`not within ${time_ms} ms: ${what}`);
    return item;
  }

  _do(command) {
    const { url } = this.#server;
    this.#player.tell(command === "connect" || command.do === "connect" ? { do: "connect", url, ...(command.do && command) } : command);
  }

  /** The client opens a WebSocket, not before `after_ms` and within `within_ms` since the step before it. */
  async _accept({ after_ms = 0, within_ms }) {
    do {
      const left_ms = within_ms ? within_ms - (now() - this.#since_now) : undefined;
      const knock = await this.#next(this.#server.knocks, "a connection", left_ms);
      const passed_ms = Date.now() - this.#since;
      if (passed_ms < after_ms) throw new Broken(`it came back after ${passed_ms} ms, and not after ${after_ms}`);
      this.#socket = knock();
      // One that the client has given up meanwhile is none.
    } while (!this.#socket);
    this.#mark();
  }

  /** It comes, and is greeted. */
  async _open({ heartbeat_s = 25, holds_pongs = false, ...when }) {
    await this._accept(when);
    this.#socket.holds_pongs = holds_pongs;
    this._say({ type: "welcome", protocol: "plank.v1", session: "s", server: "plank/0", heartbeat_s });
  }

  /** It subscribes as `asks` says, and that is live; with `rows` a snapshot comes before. */
  async _live(as, { asks = {}, ...is }) {
    await this._hear({ type: "subscribe", ...asks }, { as });
    this._subscribed(as, is);
  }

  /** What was subscribed to `as` is live; with `rows` a snapshot comes before. */
  _subscribed(as, { rows, topic = "t1", key = ["id"], cursor = "c0" }) {
    const id = this.#names[as];
    if (rows) this._say({ type: "snapshot", id, topic, cursor, rows, more: false });
    this._say({ type: "subscribed", id, topic, table: "public.items", key, cursor });
  }

  /** The client asks for a stream with these subscriptions; `as` keeps their ids. It is refused, or begins with a welcome. */
  async _stream(asked, { as = [], authorization, refuse, heartbeat_s = 25, after_ms = 0, within_ms }) {
    for (;;) {
      const left_ms = within_ms ? within_ms - (now() - this.#since_now) : undefined;
      const { request, gone, ...answer } = await this.#next(this.#server.streams, "a request for a stream", left_ms);
      const wanted = { asked, ...(authorization && { authorization }) };
      if (!fits(request, wanted)) {
        // The client may learn of its subscriptions one by one: it then makes the request anew.
        if (await Promise.race([gone.then(() => true), new Promise((resolve) => setTimeout(resolve, GONE_MAX_MS))])) continue;
        throw new Broken(`it asks for ${show(request)}`);
      }
      const passed_ms = Date.now() - this.#since;
      if (passed_ms < after_ms) throw new Broken(`it came back after ${passed_ms} ms, and not after ${after_ms}`);
      as.forEach((name, at) => (this.#names[name] = request.asked[at].id));
      this.#mark();
      if (refuse) return answer.refuse(refuse);
      this.#socket = answer.accept();
      return this._say({ type: "welcome", protocol: "plank.v1", session: "s", server: "plank/0", heartbeat_s });
    }
  }

  /** A message on a stream, of which so many bytes come at a time. */
  async _pieces(message, { bytes }) {
    await this.#socket.pieces(message, bytes);
  }

  /** What the log answers from now on, behind each cursor. */
  _log(changes) {
    this.#server.log = changes;
  }

  /** A batch, or a part of it: `changes` are `[op, row]`. */
  _changes(changes, { topic = "t1", cursor = "c1", last = true, key = ["id"], cause, xid = "1" }) {
    const of = ([op, row], at) => {
      const names = Object.fromEntries(key.map((name) => [name, row?.[name]]));
      return { op, key: row && key.length ? names : null, ...(row && { [op === "delete" ? "old" : "row"]: row }), cause, seq: at + 1, xid, at: "2026-01-01T00:00:00Z" };
    };
    this._say({ type: "changes", topic, cursor, changes: changes.map(of), last });
  }

  /** From now on handshakes are answered so; null: as a server does. */
  _refuse(refusal) {
    this.#server.refusal = refusal;
  }

  /** It has tried so often, within `within_ms` at most `most` times. */
  async _refused({ least = 1, most = Infinity, within_ms = this.#step_max_ms }) {
    const end = now() + within_ms;
    while (now() < end && (most < Infinity || this.#server.refused < least)) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      if (this.#server.refused > most) throw new Broken(`${this.#server.refused} connections within ${within_ms} ms`);
    }
    if (this.#server.refused < least) throw new Broken(`only ${this.#server.refused} connections within ${within_ms} ms`);
    this.#mark();
  }

  _say(message) {
    this.#socket.say(message);
  }

  /** As it stands, with the names within it: for what is no JSON, or has digits that JavaScript does not keep. */
  _text(text) {
    this.#mark();
    this.#socket.text(text.replace(/\$(\w+)/g, (all, name) => this.#names[name] ?? all));
  }

  /** Bytes in hexadecimal, as they are, and the connection stays. */
  _bytes(bytes) {
    this.#mark();
    this.#socket.bytes(Buffer.from(bytes, "hex"));
  }

  _cut(text) {
    this.#mark();
    this.#socket.cut(typeof text === "string" ? text : "");
  }

  _close([code, reason]) {
    this.#mark();
    this.#socket.close(code, reason);
  }

  /** The next message of the client; `as` keeps its id. A ping that only asks for life is passed over, unless it is waited for. */
  async _hear(wanted, { as, after_ms = 0, within_ms }) {
    const begun_at = Date.now();
    let message;
    do message = await this.#next(this.#socket.heard, `a message that fits ${show(wanted)}`, within_ms);
    while (message.type === "ping" && !message.cursor && wanted.type !== "ping");
    if (!fits(message, wanted)) throw new Broken(`it sends ${show(message)}`);
    if (Date.now() - begun_at < after_ms) throw new Broken(`it comes after ${Date.now() - begun_at} ms`);
    if (as) this.#names[as] = message.id;
    this.#mark();
  }

  /** What the client says next about a subscription or a write. */
  async _report(wanted) {
    const report = await this.#next(this.#player.reports(wanted.on), `a report that fits ${show(wanted)}`);
    if (!fits(report, wanted)) throw new Broken(`it reports ${show(report)}`);
  }

  /** What a program that uses the client has: asked for until it is so. */
  async _hold(wanted) {
    const end = now() + this.#step_max_ms;
    for (;;) {
      this.#player.tell({ do: "hold", as: wanted.of });
      const held = await this.#next(this.#player.reports("held"), "what it holds");
      // Rows are in no order.
      for (const { rows } of [held, wanted]) rows?.sort((a, b) => (show(a) < show(b) ? -1 : 1));
      if (fits(held, wanted)) return;
      if (now() > end) throw new Broken(`it holds ${show(held)}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** The connection comes into one of these phases. */
  async _phase(wanted) {
    const phases = [wanted].flat();
    for (let report; !report; ) {
      const next = await this.#next(this.#player.reports("phase"), `the phase ${phases.join(" or ")}`);
      if (process.env.VERBOSE) console.log(show(next));
      if (phases.includes(next.phase)) report = next;
      else if (next.phase === "closed") throw new Broken(`it is closed: ${show(next)}`);
    }
  }

  /** Nothing comes: neither connections, nor messages, nor reports about `of`. */
  async _quiet({ of, time_ms = QUIET_MS }) {
    await new Promise((resolve) => setTimeout(resolve, time_ms));
    if (this.#server.knocks.length) throw new Broken("it has opened another connection");
    if (this.#server.streams.length) throw new Broken("it has asked for another stream");
    if (this.#socket?.heard.length) throw new Broken(`it sends ${show(await this.#socket.heard.next(0))}`);
    if (of && this.#player.reports(of).length) throw new Broken(`it reports ${show(await this.#player.reports(of).next(0))}`);
  }

  _differ([first, second]) {
    if (first === second) throw new Broken(`twice ${show(first)}`);
  }

  /** A write as HTTP; `as` keeps its Idempotency-Key. */
  async _write(wanted, { as, answer }) {
    const write = await this.#next(this.#server.writes, `a write that fits ${show(wanted)}`);
    if (!fits(write.request, wanted)) throw new Broken(`it writes ${show(write.request)}`);
    const { idempotency_key } = write.request;
    if (as && !idempotency_key) throw new Broken("it has no Idempotency-Key");
    if (as) this.#names[as] = idempotency_key;
    write.answer(answer);
  }
}

/** Plays a script for each of its `each`, or once. Throws `Broken` at the first rule that is not kept. */
export async function play({ each = [{}], steps }, player, step_max_ms = STEP_MAX_MS) {
  for (const names of each) {
    const server = await Server.start();
    try {
      await new Stage(server, player, names, step_max_ms).play(steps);
    } catch (error) {
      if (Object.keys(names).length) error.message = `played with ${show(names)}: ${error.message}`;
      throw error;
    } finally {
      player.tell({ do: "end" });
      await player.reports("end").next(step_max_ms);
      server.stop();
    }
  }
}
