/**
 * plank.js against a socket of paper, with a clock that the test moves: back-off, liveness, batches, close codes.
 * What needs a real socket and a real page is in dashboard.mjs.
 */
import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { begin, changes, HEARTBEAT_S, judged, load, network, newest, nobody, PaperSocket, pass, reset, say, show, sleep, sockets, subscribed, welcome } from "./paper.mjs";

const { connect } = await load("plank.js");

let client;

function open(random = () => 1) {
  client = connect("ws", { WebSocket: PaperSocket, fetch: nobody, random });
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

beforeEach(begin);

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
  assert.deepEqual(newest().sent, [{ type: "subscribe", id: "s1", table: "items", since: "c0" }, { type: "ping", id: "s1" }]);
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

test("the waits grow up to ten seconds, under full jitter", async () => {
  let drawn = 1;
  open(() => drawn);
  const waits = [];
  for (let attempt = 0; attempt < 8; attempt += 1) {
    newest().cut();
    await judged();
    waits.push(client.state.retry_at - Date.now());
    mock.timers.tick(waits.at(-1));
  }
  assert.deepEqual(waits, [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
  drawn = 0.25;
  newest().cut();
  await judged();
  assert.equal(client.state.retry_at - Date.now(), 2500);
  assert.equal(client.state.since, 1_000_000, "it is away since the first loss, not since the last attempt");
});

test("a short connection does not calm the back-off, a stable one does", async () => {
  open();
  newest().cut();
  await judged();
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

test("an error without a close, as Node.js has it for a handshake that failed, is a loss as well", async () => {
  open();
  newest().onerror({});
  await judged();
  assert.deepEqual([client.state.phase, client.state.close.code], ["waiting", 1006]);
  sleep(250);
  assert.equal(sockets.length, 2);
});

test("a server that accepts and says nothing is left after ten seconds", async () => {
  open();
  pass(10_000);
  assert.equal(newest().closed, true);
  await judged();
  assert.equal(client.state.phase, "waiting");
});

for (const code of [1002, 1003, 1007, 1008, 1009, 4500, 4501, 4503, 4999]) {
  test(`close code ${code} is final`, () => {
    open();
    const { told } = follow();
    welcome();
    subscribed("s1");
    newest().cut(code, '{"retry_ms":1}');
    assert.deepEqual([client.state.phase, client.state.retry_at], ["closed", null]);
    assert.deepEqual(client.state.close, { code, reason: '{"retry_ms":1}' });
    assert.deepEqual(told, ["live", "down"]);
    client.reconnect();
    network.dispatchEvent(new Event("online"));
    show("visible");
    pass(120_000);
    assert.deepEqual([client.state.phase, sockets.length], ["closed", 1]);
  });
}

test("all other close codes are followed by the next attempt", async () => {
  open();
  for (const code of [1000, 1001, 1005, 1006, 1011, 1012, 1013, 1014, 1015, 3000, 4000, 4001, 4002, 4003, 4499]) {
    const count = sockets.length;
    newest().cut(code, "");
    await judged();
    assert.equal(client.state.phase, "waiting", `${code}`);
    pass(10_000);
    assert.equal(sockets.length, count + 1, `${code}`);
  }
});

test("a message that is no JSON ends the socket, and not the client", () => {
  open();
  welcome();
  const socket = newest();
  socket.onmessage({ data: "<html>" });
  assert.deepEqual([socket.closed, client.state.phase], [true, "waiting"]);
  sleep(250);
  assert.equal(sockets.length, 2);
});

/** How long the client waits after this close, as the first one and under the given draw. */
function waitAfter(code, reason, drawn = 0) {
  open(() => drawn);
  welcome();
  newest().cut(code, reason);
  const wait_ms = client.state.retry_at - Date.now();
  client.close();
  return wait_ms;
}

test("a server that goes down says when to come back", async () => {
  for (const code of [1001, 1012]) {
    assert.equal(waitAfter(code, '{"retry_ms":1399}'), 1399);
    assert.equal(waitAfter(code, '{"retry_ms":1399,"why":"upgrade"}', 1), 1649, "with a little jitter on top");
    assert.equal(waitAfter(code, '{"retry_ms":0}'), 0);
    assert.equal(waitAfter(code, '{"retry_ms":86400000}'), 60_000, "a mistake must not keep the page away for a day");
  }
  open(() => 0);
  newest().cut(1012, '{"retry_ms":1399}');
  await judged();
  sleep(1398);
  assert.equal(sockets.length, 9);
  sleep(1);
  assert.equal(sockets.length, 10);
});

test("a hint that is none, or of another code, leaves the back-off as it is", () => {
  const nonsense = ["", "restart", "{", "null", "7", "[]", "{}", '"retry_ms"', '{"retry_ms":"900"}', '{"retry_ms":null}'];
  for (const reason of [...nonsense, '{"retry_ms":-1}', '{"retry_ms":1e999}', '{"retry_ms":[900]}', '{"retry_ms":true}']) {
    assert.equal(waitAfter(1012, reason, 1), 250, reason);
    assert.equal(waitAfter(1001, reason, 0.5), 125, reason);
  }
  for (const code of [1000, 1006, 1011, 1013, 4000]) assert.equal(waitAfter(code, '{"retry_ms":9000}', 1), 250, `${code}`);
});

test("attempts after the hinted one are backed off again", async () => {
  open();
  welcome();
  newest().cut(1012, '{"retry_ms":3000}');
  sleep(3250);
  assert.equal(sockets.length, 2);
  newest().cut();
  await judged();
  assert.equal(client.state.retry_at - Date.now(), 500);
});

test("a batch may have no changes, and still is one", () => {
  open();
  const { subscription, told } = follow();
  welcome();
  subscribed("s1");
  changes([], true, "c1");
  assert.deepEqual([told, subscription.cursor], [["live", []], "c1"]);
  changes([1], false, "c2");
  changes([], false, "c2");
  assert.equal(subscription.cursor, "c1");
  changes([], true, "c2");
  changes([2], true, "c3");
  assert.deepEqual([told, subscription.cursor], [["live", [], [1], [2]], "c3"]);
});

test("a truncate has no key and no row", () => {
  open();
  const told = [];
  client.subscribe({ table: "items" }, { changes: (batch) => told.push(batch) });
  welcome();
  subscribed("s1");
  say([{ op: "truncate", key: null, seq: 7 }], true, "c1");
  assert.deepEqual(told, [{ changes: [{ op: "truncate", key: null, seq: 7 }], cursor: "c1" }]);
});

for (const reason of ["epoch", "schema", "expired"]) {
  test(`a reset (${reason}) throws an unfinished batch away, and the subscription lives on`, () => {
    open();
    const { subscription, told } = follow();
    welcome();
    subscribed("s1");
    changes([1], false);
    reset("s1", reason);
    assert.equal(subscription.cursor, null);
    subscribed("s1", "t1", "c5");
    assert.equal(subscription.cursor, "c5");
    changes([2], true, "c6");
    assert.deepEqual([told, subscription.cursor], [["live", "reset", "live", [2]], "c6"]);
    assert.deepEqual([sockets.length, newest().sent.length], [1, 1], "nothing has to be asked for");
  });
}

test("a reset of two subscriptions to one topic throws the batch away for both", () => {
  open();
  const both = [follow(), follow()];
  welcome();
  subscribed("s1");
  subscribed("s2");
  changes([1], false);
  for (const id of ["s1", "s2"]) {
    reset(id, "schema");
    subscribed(id, "t1", "c5");
  }
  changes([2], true, "c6");
  for (const { told } of both) assert.deepEqual(told, ["live", "reset", "live", [2]]);
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

test("reconnect() ends the wait, close() ends everything", async () => {
  open();
  newest().cut();
  await judged();
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

test("the network's return and the tab's ends the wait", async () => {
  open();
  newest().cut();
  await judged();
  network.dispatchEvent(new Event("online"));
  assert.equal(sockets.length, 2);
  newest().cut();
  await judged();
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

for (const set_ms of [-3_600_000, 3_600_000]) {
  test(`a clock that is set by ${set_ms} ms does not make the client deaf, and costs no more than a question`, () => {
    open();
    welcome();
    pass(5_000);
    const real = Date.now;
    Date.now = () => real() + set_ms;
    try {
      pass(2_500);
      assert.equal(client.state.phase, "open");
      newest().say({ type: "pong" });
      pass(47_500);
      assert.equal(client.state.phase, "open");
      pass(5_000);
      assert.deepEqual(client.state.close, { code: 4002, reason: "nothing was heard" });
    } finally {
      Date.now = real;
    }
  });
}
