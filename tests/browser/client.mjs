/**
 * plank.js against a socket of paper, with a clock that the test moves: back-off, liveness, batches, close codes.
 * What needs a real socket and a real page is in dashboard.mjs.
 */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { afterEach, beforeEach, mock, test } from "node:test";

// As a data URL, because static/ has no package.json that would tell Node that its files are modules.
const source = await readFile(new URL("../../static/plank.js", import.meta.url), "utf8");
const { connect } = await import(`data:text/javascript,${encodeURIComponent(source)}`);

const HEARTBEAT_S = 20;

/** What the client knows of the browser around it. */
const network = new EventTarget();
globalThis.addEventListener = network.addEventListener.bind(network);
globalThis.removeEventListener = network.removeEventListener.bind(network);
globalThis.document = Object.assign(new EventTarget(), { visibilityState: "visible", baseURI: "http://plank.test/tools/" });

function show(visibility) {
  document.visibilityState = visibility;
  document.dispatchEvent(new Event("visibilitychange"));
}

/** All sockets that were opened, the newest last. */
let sockets;
let client;

class PaperSocket {
  sent = [];
  closed = false;

  constructor(url) {
    this.url = url;
    sockets.push(this);
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.closed = true;
  }

  /** The server says something. */
  say(message) {
    this.onmessage?.({ data: JSON.stringify(message) });
  }

  /** The network or the server ends it. */
  cut(code = 1006, reason = "") {
    this.onclose?.({ code, reason });
  }
}

const newest = () => sockets.at(-1);
const welcome = () => newest().say({ type: "welcome", protocol: "plank.v1", server: "plank/test", heartbeat_s: HEARTBEAT_S });
const subscribed = (id, topic = "t1") => newest().say({ type: "subscribed", id, topic, table: "public.items", key: ["id"], cursor: "c0" });
const changes = (ids, last, cursor = "c1") =>
  newest().say({ type: "changes", topic: "t1", cursor, last, changes: ids.map((id) => ({ op: "insert", key: { id }, row: { id } })) });

function open(random = () => 1) {
  client = connect("ws", { WebSocket: PaperSocket, random });
  return client;
}

/** A subscription that writes down what it is told. */
function follow() {
  const told = [];
  const note = (name) => (message) => told.push(name === "changes" ? message.changes.map(({ key }) => key.id) : name);
  const names = ["live", "changes", "down", "reset", "error", "ended"];
  const subscription = client.subscribe({ table: "items" }, Object.fromEntries(names.map((name) => [name, note(name)])));
  return { subscription, told };
}

/** Time passes in steps: a mocked clock shows a timer the end of its step, as a machine that slept does. */
function pass(time_ms) {
  const step_ms = 250;
  for (let left_ms = time_ms; left_ms > 0; left_ms -= step_ms) mock.timers.tick(Math.min(step_ms, left_ms));
}

const sleep = (time_ms) => mock.timers.tick(time_ms);

beforeEach(() => {
  sockets = [];
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
});

afterEach(() => {
  client.close();
  mock.timers.reset();
});

test("the address is relative to the page, and a subscription is sent after the welcome and after each reconnect", () => {
  open();
  const { told } = follow();
  assert.equal(newest().url, "ws://plank.test/tools/ws");
  assert.deepEqual(newest().sent, []);
  welcome();
  assert.deepEqual(newest().sent, [{ type: "subscribe", id: "s1", table: "items" }]);
  subscribed("s1");
  newest().cut();
  mock.timers.tick(250);
  welcome();
  assert.equal(sockets.length, 2);
  assert.deepEqual(newest().sent, [{ type: "subscribe", id: "s1", table: "items" }]);
  assert.deepEqual(told, ["live", "down"]);
});

test("a batch is handed over whole, and its cursor with it", () => {
  open();
  const { subscription, told } = follow();
  welcome();
  subscribed("s1");
  changes([1, 2], false);
  changes([3], false);
  assert.deepEqual([told, subscription.cursor], [["live"], "c0"]);
  changes([4], true);
  assert.deepEqual([told, subscription.cursor], [["live", [1, 2, 3, 4]], "c1"]);
  newest().say({ type: "heartbeat", cursor: "c2" });
  assert.equal(subscription.cursor, "c2");
});

test("an unfinished batch is thrown away with its connection", () => {
  open();
  const { subscription, told } = follow();
  welcome();
  subscribed("s1");
  changes([1, 2], false);
  newest().cut();
  mock.timers.tick(250);
  welcome();
  subscribed("s1");
  changes([3], true, "c9");
  assert.deepEqual([told, subscription.cursor], [["live", "down", "live", [3]], "c9"]);
});

test("two subscriptions to one topic both get its batches, and one that left gets none", () => {
  open();
  const first = follow();
  const second = follow();
  welcome();
  subscribed("s1");
  subscribed("s2");
  changes([1], true);
  first.subscription.close();
  changes([2], true);
  assert.deepEqual([first.told, second.told], [["live", [1]], ["live", [1], [2]]]);
  assert.deepEqual(newest().sent.at(-1), { type: "unsubscribe", id: "s1" });
});

test("the waits grow up to ten seconds, under full jitter", () => {
  let drawn = 1;
  open(() => drawn);
  const waits = [];
  for (let attempt = 0; attempt < 8; attempt += 1) {
    newest().cut();
    waits.push(client.state.retry_at - Date.now());
    mock.timers.tick(waits.at(-1));
  }
  assert.deepEqual(waits, [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
  drawn = 0.25;
  newest().cut();
  assert.equal(client.state.retry_at - Date.now(), 2500);
  assert.equal(client.state.since, 1_000_000, "it is away since the first loss, not since the last attempt");
});

test("a short connection does not calm the back-off, a stable one does", () => {
  open();
  newest().cut();
  mock.timers.tick(250);
  welcome();
  newest().cut();
  assert.equal(client.state.retry_at - Date.now(), 500);
  mock.timers.tick(500);
  welcome();
  pass(10_000);
  newest().cut();
  assert.equal(client.state.retry_at - Date.now(), 250);
});

test("silence of two and a half heartbeats drops the socket, any message keeps it", () => {
  open();
  welcome();
  const socket = newest();
  pass(HEARTBEAT_S * 1000 * 2);
  socket.say({ type: "heartbeat", cursor: "c1" });
  pass(HEARTBEAT_S * 1000 * 2.5 - 1);
  assert.equal(client.state.phase, "open");
  pass(1);
  assert.deepEqual([client.state.phase, socket.closed], ["waiting", true]);
});

test("a server that accepts and says nothing is left after ten seconds", () => {
  open();
  pass(10_000);
  assert.deepEqual([client.state.phase, newest().closed], ["waiting", true]);
});

test("close codes from 4500 on are final, those below are not", () => {
  open();
  const { told } = follow();
  welcome();
  subscribed("s1");
  newest().cut(4001, "lagging");
  assert.equal(client.state.phase, "waiting");
  mock.timers.tick(250);
  welcome();
  newest().cut(4501, "unauthenticated");
  mock.timers.tick(60_000);
  assert.deepEqual([client.state.phase, client.state.close, sockets.length], ["closed", { code: 4501, reason: "unauthenticated" }, 2]);
  assert.deepEqual(told, ["live", "down"]);
});

test("reset, refusal and the end of a watch reach the subscription", () => {
  open();
  const { subscription, told } = follow();
  welcome();
  newest().say({ type: "error", id: "s1", code: "no_table", message: "there is no such table" });
  subscription.renew();
  assert.equal(newest().sent.length, 2);
  subscribed("s1");
  newest().say({ type: "reset", id: "s1", reason: "schema" });
  assert.equal(subscription.cursor, null);
  changes([1], true);
  subscribed("s1");
  changes([2], true);
  newest().say({ type: "unsubscribed", id: "s1" });
  changes([3], true);
  assert.deepEqual(told, ["error", "live", "reset", "live", [2], "ended"]);
});

test("reconnect() ends the wait, close() ends everything", () => {
  open();
  newest().cut();
  client.reconnect();
  assert.equal(sockets.length, 2);
  client.close();
  mock.timers.tick(60_000);
  assert.deepEqual([sockets.length, newest().closed, client.state.phase], [2, true, "closed"]);
});

test("a silence is asked about before it is judged, even after a sleep", () => {
  open();
  welcome();
  const socket = newest();
  pass(HEARTBEAT_S * 1000 * 1.25);
  assert.deepEqual(socket.sent, [{ type: "ping" }]);
  socket.say({ type: "pong" });
  sleep(3_600_000);
  assert.equal(client.state.phase, "open");
  assert.deepEqual(socket.sent.at(-1), { type: "ping" });
  assert.equal(socket.sent.length, 2);
  socket.say({ type: "pong" });
  pass(5_000);
  assert.equal(client.state.phase, "open");
});

test("the network's return and the tab's ends the wait", () => {
  open();
  newest().cut();
  network.dispatchEvent(new Event("online"));
  assert.equal(sockets.length, 2);
  newest().cut();
  show("hidden");
  network.dispatchEvent(new Event("online"));
  assert.equal(sockets.length, 2, "a hidden tab takes its time");
  show("visible");
  assert.equal(sockets.length, 3);
});

test("a tab that comes back asks whether its socket is still alive", () => {
  open();
  welcome();
  const socket = newest();
  show("hidden");
  show("visible");
  assert.deepEqual(socket.sent, [{ type: "ping" }]);
  socket.say({ type: "pong" });
  pass(5_000);
  assert.equal(client.state.phase, "open");
  show("visible");
  pass(5_000);
  assert.deepEqual([client.state.phase, socket.closed], ["waiting", true]);
});
