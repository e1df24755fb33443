/** plank.js with WebSockets that never open, and a `fetch` of paper: when it falls back to streams, and what it makes of them. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { begin, eventually, load, newest, PaperSocket, pass, settle, sleep, sockets, welcome } from "./paper.mjs";

const { connect } = await load("plank.js");

let client;
/** Requests for streams, the newest last; and whether the server answers at all. */
let streams;
let is_alive;
let livez;

/** A request for a stream: what is said on it comes in whatever pieces. */
class PaperStream {
  is_aborted = false;

  constructor(url, { headers, signal }) {
    Object.assign(this, { url, headers });
    signal.addEventListener("abort", () => {
      this.is_aborted = true;
      this.#fail?.(signal.reason);
    });
    this.response = new Promise((resolve, reject) => ([this.answer, this.#fail] = [resolve, reject]));
  }

  #fail;
  #body;

  begin() {
    const body = new ReadableStream({ start: (controller) => (this.#body = controller) });
    this.answer(new Response(body, { headers: { "content-type": "text/event-stream" } }));
    this.write("retry: 2417\n\n");
    this.event({ type: "welcome", server: "plank/stream", heartbeat_s: 20 });
    return this;
  }

  write(text) {
    this.#body.enqueue(typeof text === "string" ? new TextEncoder().encode(text) : text);
  }

  event(message) {
    this.write(`event: ${message.type}\ndata: ${JSON.stringify(message)}\n\n`);
  }

  subscribed(cursor = "c0") {
    this.event({ type: "subscribed", id: "url", topic: "t1", table: "public.items", key: ["id"], cursor });
  }

  end() {
    this.#body.close();
  }

  break() {
    this.#body.error(new TypeError("terminated"));
  }
}

function fetch(url, options) {
  if (url.pathname.endsWith("/livez")) {
    livez.push(url.href);
    return is_alive ? Promise.resolve(new Response("ok")) : Promise.reject(new TypeError("nobody"));
  }
  streams.push(new PaperStream(url, options));
  return streams.at(-1).response;
}

function open(options) {
  client = connect("ws", { WebSocket: PaperSocket, fetch, random: () => 1, ...options });
}

const phase = (wanted) => eventually(wanted, () => client.state.phase === wanted);
const stream = (count) => eventually(`stream ${count}`, () => streams.length === count);

/** A client on streams, with one subscription that writes down what it is told. */
async function follow(spec = {}, options = {}) {
  open({ WebSocket: null, ...options });
  const told = [];
  const note = (name) => (message) => told.push(name === "changes" ? message.changes.map(({ key }) => key.id) : name === "error" ? message : name);
  const names = ["live", "changes", "down", "reset", "error", "ended"];
  const subscription = client.subscribe({ table: "items", ...spec }, Object.fromEntries(names.map((name) => [name, note(name)])));
  await stream(1);
  return { subscription, told };
}

beforeEach(() => {
  begin();
  streams = [];
  livez = [];
  is_alive = true;
});

afterEach(() => {
  client.close();
  mock.timers.reset();
});

/** WebSockets fail until there is a stream. */
async function blocked() {
  for (let count = 1; count <= 3; count += 1) {
    assert.equal(sockets.length, count);
    newest().cut();
    await settle();
    sleep(10_000);
  }
  await phase("open");
}

test("three WebSockets that do not open, beside a server that answers, and it is a stream", async () => {
  open();
  client.subscribe({ table: "items" });
  await blocked();
  await stream(1);
  assert.deepEqual([sockets.length, client.state.transport, livez[0]], [3, "sse", "http://plank.test/tools/livez"]);
  streams[0].begin();
  await eventually("its welcome", () => client.state.server === "plank/stream");
});

test("while no server answers there is no stream", async () => {
  is_alive = false;
  open();
  for (let count = 1; count <= 8; count += 1) {
    newest().cut();
    await settle();
    sleep(10_000);
    assert.equal(sockets.length, count + 1);
  }
  // One that opens is what was wanted.
  is_alive = true;
  welcome();
  newest().cut();
  await settle();
  sleep(10_000);
  assert.deepEqual([sockets.length, client.state.transport], [10, "ws"]);
});

test("after a stream a WebSocket has its chance again, and one that fails leads straight back", async () => {
  open();
  client.subscribe({ table: "items" });
  await blocked();
  await stream(1);
  streams[0].begin().end();
  await phase("waiting");
  sleep(10_000);
  assert.deepEqual([sockets.length, client.state.transport], [4, "ws"]);
  newest().cut();
  await settle();
  sleep(10_000);
  await phase("open");
  assert.equal(client.state.transport, "sse");
});

test("without any WebSocket it is a stream at once", async () => {
  await follow();
  assert.deepEqual([client.state.transport, sockets.length], ["sse", 0]);
});

test("the address has the filter as it is written, and comes back with the cursor", async () => {
  const { subscription } = await follow({ filter: "name=eq.a#b c&or=(a.eq.1,b.eq.%2B)", columns: ["id", "name"], snapshot: true });
  const { pathname, search } = streams[0].url;
  assert.deepEqual([pathname, search], ["/tools/api/stream", "?table=items&columns=id%2Cname&snapshot=1&name=eq.a%23b%20c&or=(a.eq.1,b.eq.%2B)"]);
  streams[0].begin().subscribed("c7");
  await eventually("live", () => subscription.live);
  streams[0].break();
  await phase("waiting");
  sleep(10_000);
  await stream(2);
  assert.equal(streams[1].url.searchParams.get("since"), "c7");
});

test("a token is a header, and one that has expired is asked for again", async () => {
  let asked = 0;
  await follow({}, { auth: async () => `t${++asked}` });
  assert.deepEqual(streams[0].headers, { authorization: "Bearer t1" });
  streams[0].begin().write(": 4502 the token has expired\nretry: 2000\n\n");
  streams[0].end();
  await phase("waiting");
  assert.deepEqual(client.state.close, { code: 4502, reason: "the token has expired" });
  sleep(10_000);
  await stream(2);
  assert.deepEqual(streams[1].headers, { authorization: "Bearer t2" });
});

test("messages are what they are on a WebSocket, wherever they are cut into pieces", async () => {
  const { subscription, told } = await follow({ snapshot: true });
  streams[0].begin();
  const change = { op: "insert", key: { id: 2 }, row: { id: 2, name: "ä€😀\u2028" } };
  const messages = [
    { type: "snapshot", id: "url", topic: "t1", cursor: "c0", rows: [{ id: 1 }], more: false },
    { type: "subscribed", id: "url", topic: "t1", table: "public.items", key: ["id"], cursor: "c0" },
    { type: "changes", topic: "t1", cursor: "c1", changes: [change], last: false },
    { type: "changes", topic: "t1", cursor: "c1", changes: [], last: true },
    { type: "heartbeat", cursor: "c2" },
  ];
  const text = messages.map((message) => `event: ${message.type}\ndata: ${JSON.stringify(message)}\nid: x\n\n:\n\n`).join("");
  for (const byte of new TextEncoder().encode(text)) streams[0].write(Uint8Array.of(byte));
  await eventually("the heartbeat", () => subscription.cursor === "c2");
  assert.deepEqual([told, [...subscription.rows.values()]], [["live", [2]], [{ id: 1 }, change.row]]);
});

test("an event that was cut off is none, and an unfinished batch is thrown away", async () => {
  const { subscription, told } = await follow();
  streams[0].begin().subscribed();
  streams[0].event({ type: "changes", topic: "t1", cursor: "c1", changes: [{ op: "delete", key: { id: 1 } }], last: false });
  streams[0].write('event: changes\ndata: {"type":"changes","topic":"t1","cursor":"c1","changes":[],"last":true}\n');
  streams[0].end();
  await phase("waiting");
  assert.deepEqual([told, subscription.cursor], [["live", "down"], "c0"]);
});

test("two streams may call their topics alike, and a heartbeat is of one", async () => {
  const { subscription, told } = await follow();
  const second = [];
  const other = client.subscribe({ table: "orders" }, { changes: ({ changes }) => second.push(changes.length) });
  await stream(2);
  for (const each of streams) each.begin().subscribed();
  await eventually("both are live", () => subscription.live && other.live);
  streams[1].event({ type: "changes", topic: "t1", cursor: "c1", changes: [{ op: "delete", key: { id: 1 } }], last: true });
  streams[1].event({ type: "heartbeat", cursor: "c9" });
  await eventually("the heartbeat", () => other.cursor === "c9");
  assert.deepEqual([told, second, subscription.cursor], [["live"], [1], "c0"]);
  other.close();
  assert.deepEqual([streams[0].is_aborted, streams[1].is_aborted], [false, true]);
});

test("one stream that is lost is the link that is lost", async () => {
  const { subscription } = await follow();
  client.subscribe({ table: "orders" });
  await stream(2);
  for (const each of streams) each.begin().subscribed();
  await eventually("live", () => subscription.live);
  streams[1].break();
  await phase("waiting");
  assert.deepEqual([streams[0].is_aborted, client.state.close.code], [true, 1006]);
});

test("a server that goes down says when to come back", async () => {
  await follow();
  streams[0].begin().write(": 1012\nretry: 3399\n\n");
  streams[0].end();
  await phase("waiting");
  assert.equal(client.state.retry_at - Date.now(), 3399 + 250);
});

test("the end of one subscription is not that of the link", async () => {
  const { told } = await follow();
  streams[0].begin().subscribed();
  streams[0].event({ type: "unsubscribed", id: "url" });
  streams[0].end();
  await eventually("it has ended", () => told.includes("ended"));
  await settle();
  assert.deepEqual([told, client.state.phase], [["live", "ended"], "open"]);
});

const problem = (status, type, detail, headers = {}) => new Response(JSON.stringify({ type, status, detail }), { status, headers });

test("a table that is not there is an error of its subscription, which can be renewed", async () => {
  const { subscription, told } = await follow();
  streams[0].answer(problem(404, "urn:plank:problem:not-found", "there is no watched table"));
  await eventually("it was told", () => told.length === 1);
  assert.deepEqual([told[0].code, told[0].message, client.state.phase], ["unknown_table", "there is no watched table", "open"]);
  subscription.renew();
  await stream(2);
  streams[1].answer(problem(400, "urn:plank:problem:malformed", "status: no operator"));
  await eventually("it was told", () => told.length === 2);
  assert.equal(told[1].code, "malformed");
});

test("statuses about the client are close codes", async () => {
  for (const [status, headers, state] of [
    [401, {}, ["closed", 4501]],
    [403, {}, ["closed", 4503]],
    [429, { "retry-after": "3" }, ["waiting", 1012, 3250]],
    [503, { "retry-after": "7" }, ["waiting", 1012, 7250]],
    [502, {}, ["waiting", 1011, 250]],
  ]) {
    streams = [];
    await follow();
    streams[0].answer(problem(status, "about:blank", "no", headers));
    await phase(state[0]);
    const { close, retry_at } = client.state;
    assert.deepEqual([client.state.phase, close.code, ...(retry_at ? [retry_at - Date.now()] : [])], state);
    client.close();
  }
});

test("a refusal that does not say why is one all the same", async () => {
  await follow();
  streams[0].answer(new Response("{}", { status: 503 }));
  await phase("waiting");
  assert.deepEqual(client.state.close, { code: 1012, reason: "" });
});

test("an answer that is none of plank's is a lost link", async () => {
  await follow();
  streams[0].answer(new Response("<html>", { status: 404 }));
  await phase("waiting");
  assert.equal(client.state.close.code, 1006);
});

test("a stream that is silent for two and a half heartbeats is lost, though others and the server live", async () => {
  const { subscription } = await follow();
  const other = client.subscribe({ table: "orders" });
  await stream(2);
  for (const each of streams) each.begin().subscribed();
  await eventually("live", () => subscription.live && other.live);
  for (let passed_ms = 0; passed_ms < 45_000; passed_ms += 5_000) {
    pass(5_000);
    streams[0].write(":\n\n");
    await settle();
    await settle();
  }
  assert.equal(client.state.phase, "open");
  pass(5_000);
  assert.deepEqual(client.state.close, { code: 4002, reason: "nothing was heard" });
});
