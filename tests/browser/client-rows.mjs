/** plank.js against a socket of paper: the rows that it keeps, the cursors that it comes back with, and its iterators. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { afterEach, beforeEach, mock, test } from "node:test";
import { promisify } from "node:util";
import { begin, changes, load, newest, nobody, PaperSocket, pong, reset, say, settle, sleep, subscribed, welcome } from "./paper.mjs";

const { connect, keyOf } = await load("plank.js");

let client;

const subscribe = (spec = {}, handlers = {}) => client.subscribe({ table: "items", ...spec }, handlers);
const snapshot = (rows, more = false, id = "s1") => newest().say({ type: "snapshot", id, topic: "t1", cursor: "c0", rows, more });
const shown = ({ rows }) => [...rows.values()];
/** What was asked for on the newest socket. */
const asked = () => newest().sent.filter(({ type }) => type === "subscribe");

function comes_back() {
  newest().cut();
  sleep(10_000);
  welcome();
}

/** What an iterator gives, as it comes. */
function read(subscription) {
  const got = { batches: [], end: null };
  (async () => {
    for await (const batch of subscription) got.batches.push(batch);
  })().then(
    () => (got.end = "end"),
    (error) => (got.end = `${error.code}: ${error.message}`),
  );
  return got;
}

beforeEach(() => {
  begin();
  client = connect("ws", { WebSocket: PaperSocket, fetch: nobody, random: () => 1 });
});

afterEach(() => {
  client.close();
  mock.timers.reset();
});

test("it comes back with the cursor of the last whole batch, or of a heartbeat after it", () => {
  subscribe({ snapshot: true, filter: "status=eq.open", columns: ["id"], conflate: true });
  welcome();
  const spec = { table: "items", filter: "status=eq.open", columns: ["id"], conflate: true, snapshot: true, type: "subscribe", id: "s1" };
  assert.deepEqual(asked(), [spec]);
  subscribed("s1");
  changes([1], true, "c1");
  changes([2], false, "c2");
  comes_back();
  assert.deepEqual(asked(), [{ ...spec, since: "c1" }]);
  subscribed("s1", "t1", "c1");
  newest().say({ type: "heartbeat", cursor: "c7" });
  comes_back();
  assert.deepEqual(asked(), [{ ...spec, since: "c7" }]);
});

test("a heartbeat says nothing for a subscription that was not answered", () => {
  const subscription = subscribe({ since: "mine" });
  welcome();
  newest().say({ type: "heartbeat", cursor: "c7" });
  assert.equal(subscription.cursor, "mine");
});

test("a cursor of the caller is where it begins, and is void after a reset", () => {
  subscribe({ since: "mine" });
  welcome();
  assert.equal(asked()[0].since, "mine");
  subscribed("s1", "t1", "mine");
  reset("s1", "expired");
  comes_back();
  assert.equal(asked()[0].since, undefined);
});

test("rows is the table: the snapshot as one step, then whole batches", () => {
  const { subscription, sizes } = { subscription: subscribe({ snapshot: true }, { live: ({ cursor }) => sizes.push([cursor, subscription.rows.size]) }), sizes: [] };
  welcome();
  snapshot([{ id: 1 }, { id: 2 }], true);
  snapshot([{ id: 3 }]);
  assert.equal(subscription.rows.size, 0, "half of a table is no table");
  subscribed("s1");
  assert.deepEqual([shown(subscription), sizes], [[{ id: 1 }, { id: 2 }, { id: 3 }], [["c0", 3]]]);
  say([{ op: "update", key: { id: 2 }, row: { id: 2, name: "b" } }, { op: "delete", key: { id: 1 }, old: { id: 1 } }], false);
  assert.equal(subscription.rows.size, 3);
  say([{ op: "insert", key: { id: 4 }, row: { id: 4 } }], true);
  assert.deepEqual(shown(subscription), [{ id: 2, name: "b" }, { id: 3 }, { id: 4 }]);
  say([{ op: "insert", key: { id: 5 }, row: { id: 5 } }, { op: "truncate", key: null }, { op: "insert", key: { id: 6 }, row: { id: 6 } }], true);
  assert.deepEqual(shown(subscription), [{ id: 6 }]);
});

test("the old rows are there until a fresh snapshot is whole, and one that was cut off is void", () => {
  const pieces = [];
  const subscription = subscribe({ snapshot: true }, { snapshot: ({ rows, more, cursor }) => pieces.push([rows.length, more, cursor]) });
  const { rows } = subscription;
  welcome();
  snapshot([{ id: 1 }]);
  subscribed("s1");
  reset("s1", "expired");
  snapshot([{ id: 8 }], true);
  comes_back();
  assert.equal(asked()[0].since, undefined);
  assert.deepEqual(shown(subscription), [{ id: 1 }]);
  snapshot([{ id: 9 }], true);
  reset("s1", "schema");
  snapshot([{ id: 7 }]);
  assert.deepEqual(shown(subscription), [{ id: 1 }]);
  subscribed("s1");
  assert.deepEqual(shown(subscription), [{ id: 7 }]);
  assert.equal(subscription.rows, rows, "it is the same map");
  assert.deepEqual(pieces, [[1, false, "c0"], [1, true, "c0"], [1, true, "c0"], [1, false, "c0"]]);
});

test("keys beyond what a number holds are strings, and stay apart", () => {
  const subscription = subscribe({ snapshot: true });
  welcome();
  const text = '{"type":"snapshot","id":"s1","topic":"t1","cursor":"c0","more":false,"rows":[{"id":9007199254740993,"f":0.12345678901234567},{"id":-9007199254740992,"f":1.5e+300},{"id":9007199254740992,"s":"a \\"9007199254740993\\" b\\\\","n":9007199254740991}]}';
  newest().onmessage({ data: text });
  subscribed("s1");
  assert.deepEqual(shown(subscription), [
    { id: "9007199254740993", f: 0.12345678901234567 },
    { id: "-9007199254740992", f: 1.5e300 },
    { id: "9007199254740992", s: 'a "9007199254740993" b\\', n: 9007199254740991 },
  ]);
  newest().onmessage({ data: '{"type":"changes","topic":"t1","cursor":"c1","last":true,"changes":[{"op":"delete","key":{"id":9007199254740993}}]}' });
  assert.deepEqual([...subscription.rows.keys()], ['"-9007199254740992"', '"9007199254740992"']);
});

test("a key is the same text in whatever order its columns come", () => {
  assert.equal(keyOf({ b: 1, a: "x" }), keyOf({ a: "x", b: 1 }));
  assert.equal(keyOf({ b: 1, a: "x" }), keyOf({ c: 0, a: "x", b: 1 }, ["b", "a"]));
  assert.notEqual(keyOf({ a: "1", b: 2 }), keyOf({ a: 1, b: "2" }));
  assert.notEqual(keyOf({ a: 'x","y', b: "" }), keyOf({ a: "x", b: 'y",""' }));
});

test("without a snapshot, and for a table without a key, there are no rows, but all messages", () => {
  const pieces = [];
  const batches = [];
  const none = subscribe();
  const keyless = subscribe({ snapshot: true }, { snapshot: ({ rows }) => pieces.push(rows), changes: ({ changes }) => batches.push(changes) });
  welcome();
  subscribed("s1");
  snapshot([{ v: 1 }, { v: 1 }], false, "s2");
  newest().say({ type: "subscribed", id: "s2", topic: "t2", table: "public.logs", key: [], cursor: "c0" });
  changes([1], true);
  newest().say({ type: "changes", topic: "t2", cursor: "c1", last: true, changes: [{ op: "insert", key: null, row: { v: 2 } }] });
  assert.deepEqual([none.rows.size, keyless.rows.size, pieces, batches], [0, 0, [[{ v: 1 }, { v: 1 }]], [[{ op: "insert", key: null, row: { v: 2 } }]]]);
});

test("what was missed is counted until the server says that it was all", () => {
  const told = [];
  const subscription = subscribe({}, { caught_up: ({ changes }) => told.push(changes) });
  const state = () => [subscription.catching_up, subscription.caught_up];
  welcome();
  assert.equal(newest().sent.length, 1, "it has nothing to catch up with, and does not ask");
  subscribed("s1");
  changes([1], true);
  pong("s1");
  assert.deepEqual([state(), told], [[false, 0], []]);
  comes_back();
  assert.deepEqual(newest().sent.at(-1), { type: "ping", id: "s1" });
  subscribed("s1");
  changes([1, 2], true);
  changes([], true);
  // The answer to a probe is not the answer.
  newest().say({ type: "pong" });
  changes([3], true);
  assert.deepEqual([state(), told], [[true, 3], []]);
  pong("s1");
  changes([4], true);
  assert.deepEqual([state(), told], [[false, 3], [3]]);
  comes_back();
  assert.deepEqual(state(), [true, 0]);
  newest().cut();
  assert.deepEqual(state(), [false, 0]);
});

test("a link that is lost within a snapshot takes its pieces with it, and says so", () => {
  const told = [];
  const subscription = subscribe({ snapshot: true }, { snapshot: ({ rows }) => told.push(rows.length), down: () => told.push("down"), live: () => told.push("live") });
  welcome();
  snapshot([{ id: 1 }, { id: 2 }], true);
  comes_back();
  snapshot([{ id: 1 }], false);
  subscribed("s1");
  assert.deepEqual([told, shown(subscription)], [[2, "down", 1, "live"], [{ id: 1 }]]);
});

test("an answer to the question before is none to this one", () => {
  const subscription = subscribe({ snapshot: true });
  welcome();
  newest().say({ type: "error", id: "s1", code: "busy", message: "later" });
  subscription.renew();
  // Of the first question, since at that moment there was nothing to wait for.
  pong("s1");
  snapshot([{ id: 1 }], false);
  subscribed("s1");
  assert.equal(subscription.catching_up, true);
  pong("s1");
  assert.equal(subscription.catching_up, false);
});

test("with a snapshot it asks, and after a reset again", () => {
  const told = [];
  const subscription = subscribe({ snapshot: true }, { caught_up: ({ changes }) => told.push(changes) });
  welcome();
  snapshot([{ id: 1 }], false);
  subscribed("s1");
  pong("s1");
  reset("s1", "expired");
  assert.deepEqual(newest().sent.map(({ type }) => type), ["subscribe", "ping", "ping"]);
  snapshot([{ id: 2 }], false);
  subscribed("s1");
  assert.equal(subscription.catching_up, true);
  pong("s1");
  assert.deepEqual([subscription.catching_up, told], [false, [0, 0]]);
});

test("what was asked for is not asked for twice, and what was refused can be renewed", () => {
  const subscription = subscribe();
  subscription.renew();
  welcome();
  subscription.renew();
  subscribed("s1");
  subscription.renew();
  assert.equal(asked().length, 1);
  newest().say({ type: "error", id: "s1", code: "busy", message: "later" });
  subscription.renew();
  assert.equal(asked().length, 2);
  subscription.close();
  subscription.renew();
  assert.equal(asked().length, 2);
});

test("one that was closed is told nothing more, also by what is on its way or in the same batch", () => {
  const told = [];
  const second = { subscription: null };
  subscribe({}, { changes: () => second.subscription.close() });
  second.subscription = subscribe({}, { changes: () => told.push("changes"), ended: () => told.push("ended") });
  welcome();
  subscribed("s1");
  subscribed("s2");
  changes([1], true);
  newest().say({ type: "unsubscribed", id: "s2" });
  assert.deepEqual([told, second.subscription.live], [[], false]);
});

test("an iterator gives whole batches, whatever its reader's pace, and each reader gets all", async () => {
  const subscription = subscribe({ snapshot: true });
  const [first, second] = [read(subscription), read(subscription)];
  welcome();
  snapshot([{ id: 1 }]);
  subscribed("s1");
  changes([2], false, "c1");
  changes([3], true, "c1");
  changes([4], true, "c2");
  reset("s1", "schema");
  await settle();
  const insert = (id) => ({ op: "insert", key: { id }, row: { id } });
  const batches = [
    { changes: [], cursor: "c0", snapshot: true },
    { changes: [insert(2), insert(3)], cursor: "c1" },
    { changes: [insert(4)], cursor: "c2" },
    { changes: [], cursor: null, reset: "schema" },
  ];
  assert.deepEqual([first, second], [{ batches, end: null }, { batches, end: null }]);
  subscription.close();
  await settle();
  assert.deepEqual([first.end, second.end], ["end", "end"]);
});

test("an iterator ends with its subscription, its table or its client", async () => {
  welcome();
  const ends = [(subscription) => subscription.close(), ({ id }) => newest().say({ type: "unsubscribed", id }), () => client.close()];
  for (const end of ends) {
    const subscription = subscribe();
    const got = read(subscription);
    await settle();
    assert.equal(got.end, null);
    end(subscription);
    await settle();
    assert.equal(got.end, "end", `${end}`);
  }
});

test("of a client that is closed there is nothing to read", async () => {
  client.close();
  const got = read(subscribe());
  await settle();
  assert.deepEqual(got, { batches: [], end: "end" });
});

test("an iterator throws what refuses it, and one after it waits for the renewal", async () => {
  const subscription = subscribe();
  const refused = read(subscription);
  welcome();
  newest().say({ type: "error", id: "s1", code: "unknown_table", message: "there is no such table" });
  await settle();
  assert.equal(refused.end, "unknown_table: there is no such table");
  const renewed = read(subscription);
  subscription.renew();
  subscribed("s1");
  changes([1], true);
  await settle();
  assert.deepEqual([renewed.end, renewed.batches.length], [null, 1]);
  newest().cut(4503, "forbidden");
  await settle();
  assert.equal(renewed.end, "4503: forbidden");
});

test("a mistake in a handler is reported as uncaught, and stops neither the client nor another subscription", async () => {
  const script = `
    import { begin, changes, load, PaperSocket, subscribed, welcome } from ${JSON.stringify(new URL("paper.mjs", import.meta.url).href)};
    const { connect } = await load("plank.js");
    process.on("unhandledRejection", ({ message }) => console.log("uncaught:", message));
    begin();
    const client = connect("ws", { WebSocket: PaperSocket });
    const bad = client.subscribe({ table: "items" }, { live() { throw new Error("live"); }, changes() { throw new Error("changes"); } });
    client.subscribe({ table: "items" }, { changes: ({ changes }) => console.log("second:", changes.length) });
    client.onState(({ phase }) => { if (phase === "open") throw new Error("state"); });
    welcome();
    subscribed("s1");
    subscribed("s2");
    changes([1, 2], true, "c5");
    console.log(client.state.phase, bad.cursor);
    client.close();
  `;
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", script]);
  assert.deepEqual(stdout.trim().split("\n"), ["second: 2", "open c5", "uncaught: state", "uncaught: live", "uncaught: changes"]);
});

/** A batch of a window: each change as `[op, id, index]`. */
const window_changes = (list, cursor) => {
  const changes = list.map(([op, id, index, name]) => ({ op, cause: "window", key: { id }, ...(op !== "delete" && { row: { id, name }, index }) }));
  newest().say({ type: "changes", topic: "t1", cursor, last: true, changes });
};

test("the rows of a window are in its order, whatever moves", () => {
  const subscription = subscribe({ snapshot: true, order: "rank", limit: 4 });
  welcome();
  assert.deepEqual([asked()[0].order, asked()[0].limit], ["rank", 4]);
  snapshot([{ id: 4 }, { id: 2 }, { id: 7 }, { id: 1 }]);
  subscribed("s1");
  const ids = () => shown(subscription).map(({ id }) => id);
  assert.deepEqual(ids(), [4, 2, 7, 1]);
  window_changes([["delete", 1], ["insert", 9, 0]], "c1");
  assert.deepEqual(ids(), [9, 4, 2, 7]);
  window_changes([["update", 9, 3], ["update", 2, 1, "other"]], "c2");
  assert.deepEqual(ids(), [4, 2, 7, 9]);
  assert.equal(shown(subscription)[1].name, "other");
  window_changes([["update", 2, 0]], "c3");
  assert.deepEqual(ids(), [2, 4, 7, 9]);
  window_changes([["delete", 4], ["delete", 2], ["insert", 5, 2]], "c4");
  assert.deepEqual(ids(), [7, 9, 5]);
  // With a cursor it comes anew.
  comes_back();
  assert.equal(asked().at(-1).since, "c4");
  reset("s1", "window");
  snapshot([{ id: 3 }, { id: 7 }]);
  subscribed("s1");
  assert.deepEqual(ids(), [3, 7]);
});

test("counts are rows by the columns that are counted by, and one row where there are none", () => {
  const subscription = subscribe({ snapshot: true, columns: ["count"] });
  welcome();
  snapshot([{ count: 3 }]);
  newest().say({ type: "subscribed", id: "s1", topic: "t1", table: "public.items", key: [], cursor: "c0" });
  const change = (change, cursor) => newest().say({ type: "changes", topic: "t1", cursor, last: true, changes: [change] });
  assert.deepEqual(shown(subscription), [{ count: 3 }]);
  change({ op: "update", key: {}, row: { count: 4 } }, "c1");
  assert.deepEqual(shown(subscription), [{ count: 4 }]);
  change({ op: "delete", key: {} }, "c2");
  assert.deepEqual(shown(subscription), []);
});
