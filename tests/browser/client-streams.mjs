/** plank.js with WebSockets that never open, and a `fetch` of paper: when it falls back to streams, and what it makes of them. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { begin, eventually, judged, load, newest, PaperSocket, pass, settle, sleep, sockets, welcome } from "./paper.mjs";

const { connect } = await load("plank.js");
await load("stream.js");

let client;
/** Requests for streams, the newest last; and whether the server answers at all. */
let streams;
let is_alive;
let livez;
/** How the server answers `GET /ws`, that is a handshake. */
let ws;

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

  subscribed(cursor = "c0", id = "s1", topic = "t1") {
    this.event({ type: "subscribed", id, topic, table: "public.items", key: ["id"], cursor });
  }

  /** The subscriptions that it was asked for. */
  get asked() {
    return this.url.searchParams.getAll("subscribe").map((text) => JSON.parse(text));
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
  if (url.pathname.endsWith("/ws")) {
    const { status, retry_after } = ws;
    const headers = retry_after ? { "retry-after": `${retry_after}` } : {};
    return is_alive ? Promise.resolve(problem(status, "about:blank", "no", headers)) : Promise.reject(new TypeError("nobody"));
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
  ws = { status: 426 };
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
    await judged();
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
    await judged();
    sleep(10_000);
    assert.equal(sockets.length, count + 1);
  }
  // One that opens is what was wanted.
  is_alive = true;
  welcome();
  newest().cut();
  await judged();
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
  await judged();
  sleep(10_000);
  await phase("open");
  assert.equal(client.state.transport, "sse");
});

test("without any WebSocket it is a stream at once", async () => {
  await follow();
  assert.deepEqual([client.state.transport, sockets.length], ["sse", 0]);
});

test("the address has each subscription as a WebSocket is sent it, and comes back with the cursor", async () => {
  const { subscription } = await follow({ filter: "name=eq.a#b c&or=(a.eq.1,b.eq.%2B)", columns: ["id", "name"], snapshot: true });
  const spec = { table: "items", filter: "name=eq.a#b c&or=(a.eq.1,b.eq.%2B)", columns: ["id", "name"], snapshot: true, type: "subscribe", id: "s1" };
  assert.deepEqual([streams[0].url.pathname, streams[0].asked], ["/tools/api/stream", [spec]]);
  streams[0].begin().subscribed("c7");
  await eventually("live", () => subscription.live);
  streams[0].break();
  await phase("waiting");
  sleep(10_000);
  await stream(2);
  assert.deepEqual(streams[1].asked, [{ ...spec, since: "c7" }]);
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
    { type: "snapshot", id: "s1", topic: "t1", cursor: "c0", rows: [{ id: 1 }], more: false },
    { type: "subscribed", id: "s1", topic: "t1", table: "public.items", key: ["id"], cursor: "c0" },
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

test("one stream carries all subscriptions, and one more or less makes it anew, each with its cursor", async () => {
  const { subscription, told } = await follow();
  const second = [];
  const other = client.subscribe({ table: "orders" }, { changes: ({ changes }) => second.push(changes.length) });
  await judged();
  assert.deepEqual(streams.map(({ asked }) => asked.map(({ id }) => id)), [["s1"], ["s1", "s2"]], "the first one had just begun");
  const [, both] = streams;
  both.begin().subscribed("c0", "s1", "t1");
  both.subscribed("c0", "s2", "t2");
  await eventually("both are live", () => subscription.live && other.live);
  both.event({ type: "changes", topic: "t2", cursor: "c1", changes: [{ op: "delete", key: { id: 1 } }], last: true });
  both.event({ type: "heartbeat", cursor: "c9" });
  await eventually("the heartbeat", () => other.cursor === "c9");
  assert.deepEqual([told, second, subscription.cursor, both.is_aborted], [["live"], [1], "c9", false]);
  client.subscribe({ table: "a" });
  client.subscribe({ table: "b" });
  other.close();
  await stream(3);
  await judged();
  assert.deepEqual([both.is_aborted, streams.length], [true, 3], "they are subscribed to in one go");
  assert.deepEqual(streams[2].asked.map(({ table, since }) => [table, since]), [["items", "c9"], ["a", undefined], ["b", undefined]]);
  assert.deepEqual([told, client.state.phase], [["live"], "open"], "nobody is told that it was down");
});

test("a hundred subscriptions are a few requests, whose topics and cursors are apart", async () => {
  open({ WebSocket: null });
  const all = Array.from({ length: 100 }, (_, n) => client.subscribe({ table: `t${n}`, filter: "name=eq.something-that-is-long" }));
  await stream(3);
  await judged();
  assert.ok(streams.length <= 5 && streams.every(({ url }) => url.href.length < 8_000), `${streams.length}`);
  assert.deepEqual(streams.flatMap(({ asked }) => asked.map(({ id }) => id)), all.map(({ id }) => id));
  const [of, others] = streams.map(({ asked }) => all.find(({ id }) => id === asked[0].id));
  for (const each of streams) each.begin().subscribed("c0", each.asked[0].id, "t1");
  await eventually("both are live", () => of.live && others.live);
  const batches = [];
  of.handlers.changes = () => batches.push("of");
  others.handlers.changes = () => batches.push("others");
  streams[1].event({ type: "changes", topic: "t1", cursor: "c1", changes: [{ op: "delete", key: { id: 1 } }], last: true });
  streams[1].event({ type: "heartbeat", cursor: "c9" });
  await eventually("the heartbeat", () => others.cursor === "c9");
  assert.deepEqual([batches, of.cursor], [["others"], "c0"]);
  streams[1].break();
  await phase("waiting");
  assert.ok(streams.every(({ is_aborted }, n) => is_aborted || n === 1), "one that is lost is the link that is lost");
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
  streams[0].event({ type: "unsubscribed", id: "s1" });
  await eventually("it has ended", () => told.includes("ended"));
  await settle();
  assert.deepEqual([told, client.state.phase], [["live", "ended"], "open"]);
});

const problem = (status, type, detail, headers = {}) => new Response(JSON.stringify({ type, status, detail }), { status, headers });

test("a table that is not there is an error of its subscription, which can be renewed, and of no other", async () => {
  const { subscription, told } = await follow();
  const other = client.subscribe({ table: "orders" });
  await stream(2);
  streams[1].begin().subscribed("c0", "s2");
  streams[1].event({ type: "error", id: "s1", code: "unknown_table", message: "there is no watched table" });
  await eventually("it was told", () => told.length === 1);
  assert.deepEqual([told[0].code, other.live, client.state.phase], ["unknown_table", true, "open"]);
  subscription.renew();
  await stream(3);
  assert.deepEqual(streams[2].asked.map(({ id, since }) => [id, since]), [["s2", "c0"], ["s1", undefined]]);
});

/** A WebSocket fails at the handshake, and the server says how it was answered. */
async function refused(answer) {
  ws = answer;
  newest().cut();
  await judged();
}

test("a refusal by a server that can be reached is none by the path, however often it comes, and says when to come back", async () => {
  open();
  for (let count = 1; count <= 8; count += 1) {
    await refused({ status: count % 2 ? 429 : 503, retry_after: 7 });
    const { phase, close, retry_at } = client.state;
    assert.deepEqual([phase, close.code, retry_at - Date.now()], ["waiting", 1012, 7_250]);
    sleep(7_249);
    assert.equal(sockets.length, count);
    sleep(1);
    assert.deepEqual([sockets.length, client.state.transport], [count + 1, "ws"]);
  }
  welcome();
  assert.equal(client.state.phase, "open");
});

test("a proxy without a server is none that would take a WebSocket", async () => {
  open();
  for (const status of [502, 404, 504, 200, 502, 502]) {
    await refused({ status });
    sleep(10_000);
    assert.equal(client.state.transport, "ws");
  }
});

test("three failures within a moment are not enough: a restart looks like that", async () => {
  open({ random: () => 0.1 });
  for (let count = 1; count <= 4; count += 1) {
    await refused({ status: 426 });
    sleep(500);
    assert.equal(client.state.transport, "ws");
  }
});

test("a refused handshake is an end or a wait that says why, with and without Retry-After", async () => {
  const at = (wait_ms) => new Date(Date.now() + wait_ms).toUTCString();
  for (const [status, retry_after, code, reason, wait_ms] of [
    [401, null, 4501, "answered with 401"],
    [403, null, 4503, "answered with 403"],
    [403, "3", 4503, '{"retry_ms":3000}'],
    [410, null, 1011, "answered with 410", 250],
    [410, "3", 1012, '{"retry_ms":3000}', 3_250],
    [429, null, 1012, "answered with 429", 250],
    [429, "3", 1012, '{"retry_ms":3000}', 3_250],
    [503, null, 1012, "answered with 503", 250],
    [503, "86400", 1012, '{"retry_ms":86400000}', 60_250],
    [503, at(5_000), 1012, '{"retry_ms":5000}', 5_250],
    [503, at(-5_000), 1012, "answered with 503", 250],
    ...["0", "-5", "soon", "Infinity", "1e999", "NaN"].map((text) => [503, text, 1012, "answered with 503", 250]),
    [500, null, 1011, "answered with 500", 250],
    [404, null, 1011, "answered with 404", 250],
    [200, null, 1011, "answered with 200", 250],
  ]) {
    open();
    await refused({ status, retry_after });
    const { phase, close, retry_at } = client.state;
    const wanted = { phase: wait_ms ? "waiting" : "closed", close: { code, reason }, wait_ms };
    assert.deepEqual({ phase, close, wait_ms: retry_at === null ? undefined : retry_at - Date.now() }, wanted, `${status} ${retry_after}`);
    client.close();
  }
});

test("it comes back once the server has said why a handshake was refused; a server that does not say is left after ten seconds", async () => {
  let answer;
  open({ fetch: () => new Promise((resolve) => (answer = resolve)) });
  newest().cut();
  await judged();
  sleep(9_999);
  await settle();
  assert.deepEqual([sockets.length, client.state.phase], [1, "connecting"]);
  answer(problem(503, "about:blank", "full", { "retry-after": "20" }));
  await judged();
  assert.deepEqual([client.state.phase, client.state.retry_at - Date.now()], ["waiting", 20_250]);
  sleep(20_250);
  assert.equal(sockets.length, 2);
  newest().cut();
  await judged();
  pass(10_000);
  assert.deepEqual([client.state.phase, client.state.close.code, client.state.attempt], ["waiting", 4002, 2]);
  answer(problem(403, "about:blank", "too late", {}));
  await judged();
  assert.equal(client.state.phase, "waiting", "what is said too late counts for nothing");
});

test("a client on a stream tries a WebSocket now and then, and goes back to it", async () => {
  open({ auth: "secret" });
  const subscription = client.subscribe({ table: "items" });
  await blocked();
  await stream(1);
  streams[0].begin().subscribed("c5");
  await eventually("live", () => subscription.live);
  const silent = setInterval(() => streams[0].write(":\n\n"), 5_000);
  const wait = async (ms) => {
    for (; ms > 0; ms -= 5_000) {
      sleep(Math.min(ms, 5_000));
      await settle();
      await settle();
    }
  };
  assert.equal(sockets.length, 3);
  await wait(60_000);
  assert.equal(sockets.length, 4, "after a minute");
  newest().cut();
  await wait(115_000);
  assert.equal(sockets.length, 4);
  await wait(5_000);
  assert.deepEqual([sockets.length, client.state.transport], [5, "sse"], "after two more");
  newest().onopen();
  assert.deepEqual(newest().sent, [{ type: "auth", token: "secret" }]);
  newest().say({ type: "welcome", heartbeat_s: 20 });
  clearInterval(silent);
  assert.equal(client.state.phase, "waiting");
  sleep(250);
  assert.deepEqual([sockets.length, client.state.transport], [6, "ws"]);
  welcome();
  assert.equal(newest().sent.at(-2).since, "c5");
  assert.deepEqual([streams[0].is_aborted, sockets[4].closed], [true, true]);
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
  assert.deepEqual(client.state.close, { code: 1012, reason: "answered with 503" });
});

test("an answer that is none of plank's is a lost link", async () => {
  await follow();
  streams[0].answer(new Response("<html>", { status: 404 }));
  await phase("waiting");
  assert.equal(client.state.close.code, 1006);
});

test("a stream that is silent for two and a half heartbeats is lost, though the server lives", async () => {
  const { subscription } = await follow();
  streams[0].begin().subscribed();
  await eventually("live", () => subscription.live);
  for (let passed_ms = 0; passed_ms < 45_000; passed_ms += 5_000) {
    pass(5_000);
    await settle();
    await settle();
  }
  assert.equal(client.state.phase, "open");
  pass(5_000);
  assert.deepEqual(client.state.close, { code: 4002, reason: "nothing was heard" });
});
