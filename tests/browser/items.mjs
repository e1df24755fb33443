/**
 * rows.js, live.js, items.js and writes.js over the real plank.js and a socket of paper: what is shown while requests and
 * changes meet in every order. What it looks like is in dashboard.mjs.
 */
import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { begin, load, newest, PaperSocket, pong, reset, say, sleep, subscribed, welcome } from "./paper.mjs";

const { connect, keyOf } = await load("plank.js");
const { Items } = await load("items.js");
const { Rows } = await load("rows.js");
const { Writes } = await load("writes.js");

let client;
let items;
/** Requests that wait for their answer. */
let requests;

const row = (id, version = 1, more = {}) => ({ id, name: `Item ${id}`, description: null, status: "open", data: {}, version, created_at: "", updated_at: "", ...more });
const insert = (id) => ({ op: "insert", key: { id }, row: row(id), at: "2026-11-24T08:00:00Z" });
const update = (id, version, more) => ({ op: "update", key: { id }, row: row(id, version, more), at: "2026-11-24T08:00:00Z" });
const remove = (id) => ({ op: "delete", key: { id }, old: row(id), at: "2026-11-24T08:00:00Z" });
const key = (id) => keyOf({ id });
const shown = (status) => items.rows.list(status).map(({ row: { id, version } }) => [id, version]);
const settle = () => new Promise(setImmediate);

function snapshot(id, rows) {
  newest().say({ type: "snapshot", id, topic: "t1", cursor: "c0", rows, more: false });
  subscribed(id);
  pong(id);
}

/** A page that shows these rows. */
function live(...rows) {
  welcome();
  snapshot("s1", rows);
  assert.equal(items.phase.value, "live");
}

async function answer(status, body) {
  const { resolve } = requests.shift();
  resolve(new Response(JSON.stringify(body), { status }));
  await settle();
}

beforeEach(() => {
  begin();
  requests = [];
  mock.method(globalThis, "fetch", (path, { method, headers, body }) => new Promise((resolve) => requests.push({ resolve, path, method, headers, body })));
  client = connect("ws", { WebSocket: PaperSocket, random: () => 1 });
  items = new Items(client, {});
  items.writes = new Writes(items);
});

afterEach(() => {
  items.close();
  client.close();
  mock.restoreAll();
  mock.timers.reset();
});

test("rows are in the order of their ids, in the group of their status, after any change", () => {
  live(row(1), row(3), row(2, 1, { status: "done" }));
  assert.deepEqual([shown("open"), shown("done")], [[[3, 1], [1, 1]], [[2, 1]]]);
  say([update(3, 2, { status: "done" }), insert(5), remove(1)], true);
  assert.deepEqual([shown("open"), shown("done")], [[[5, 1]], [[3, 2], [2, 1]]]);
  say([{ op: "truncate", key: null, at: "" }, insert(9)], true);
  assert.deepEqual([shown("open"), shown("done"), items.rows.size], [[[9, 1]], [], 1]);
});

test("a flood is sorted as single changes are", () => {
  const place = ({ value }) => value;
  const [one, many] = [new Rows({ place }), new Rows({ place })];
  many.expect(1_000);
  for (let at = 0; at < 1_000; at += 1) {
    const value = [null, "b", "a", 7, 12, { z: 1 }][(at * 7) % 6];
    for (const rows of [one, many]) {
      rows.set(`k${at % 300}`, { value: typeof value === "object" && value ? JSON.stringify(value) : value });
      if (at % 5 === 0) rows.delete(`k${(at * 3) % 300}`);
    }
  }
  const keys = (rows) => rows.list().map((entry) => entry.key);
  assert.deepEqual(keys(one), keys(many));
  one.list().forEach((entry, at) => assert.equal(one.indexOf(entry), at));
});

test("a change is shown before it is answered, and taken back when it is refused", async () => {
  live(row(1));
  const moved = items.writes.patch(key(1), { status: "done" });
  assert.deepEqual([shown("open"), shown("done")], [[], [[1, 1]]]);
  await settle();
  assert.equal(requests[0].headers["if-match"], '"1"');
  const refused = assert.rejects(moved, { status: 412 });
  await answer(412, { title: "Precondition Failed", status: 412 });
  await refused;
  assert.deepEqual([shown("open"), shown("done")], [[[1, 1]], []]);
});

test("an answer may be ahead of the socket, and is no news when it comes", async () => {
  live(row(1));
  const moved = items.writes.patch(key(1), { status: "done" });
  await settle();
  await answer(200, row(1, 2, { status: "done" }));
  await moved;
  assert.deepEqual([shown("done"), items.writes.isPending(key(1))], [[[1, 2]], false]);
  say([update(1, 2, { status: "done" })], true);
  assert.deepEqual([shown("done"), items.latest.value, items.flash(key(1))], [[[1, 2]], null, ""]);
});

test("an answer may be behind the socket, and the change is not told as another user's", async () => {
  live(row(1), row(2));
  const moved = items.writes.patch(key(1), { status: "done" });
  await settle();
  say([update(1, 2, { status: "done" }), update(2, 2)], true);
  assert.equal(items.latest.value, null, "it is not known yet whose they are");
  await answer(200, row(1, 2, { status: "done" }));
  await moved;
  assert.equal(items.latest.value.name, "Item 2");
  assert.deepEqual([items.flash(key(1)), items.flash(key(2))], ["", "flash-odd"]);
});

test("changes of one row wait for each other, with the version that the one before has brought", async () => {
  live(row(1));
  const both = [items.writes.patch(key(1), { status: "active" }), items.writes.patch(key(1), { status: "done" })];
  await settle();
  assert.equal(requests.length, 1);
  await answer(200, row(1, 2, { status: "active" }));
  assert.deepEqual(shown("done"), [[1, 1]]);
  assert.equal(requests[0].headers["if-match"], '"2"');
  await answer(200, row(1, 3, { status: "done" }));
  await Promise.all(both);
  assert.deepEqual(shown("done"), [[1, 3]]);
});

test("what the table says wins in the end over an answer that nothing confirms", async () => {
  live(row(1));
  const moved = items.writes.patch(key(1), { status: "done" });
  await settle();
  await answer(200, row(1, 2, { status: "done" }));
  await moved;
  sleep(3_000);
  assert.deepEqual([shown("open"), shown("done")], [[[1, 1]], []]);
});

test("a row that is being created is shown once, whatever comes first", async () => {
  live();
  const made = items.writes.create({ name: "Item 7", status: "open" });
  assert.equal(items.rows.size, 1);
  say([insert(7)], true);
  assert.deepEqual(shown("open"), [[7, 1]]);
  await settle();
  await answer(201, row(7));
  await made;
  assert.deepEqual([shown("open"), items.latest.value], [[[7, 1]], null]);
});

test("a deleted row is gone at once, and back when the server refuses", async () => {
  live(row(1), row(2));
  const removed = [items.writes.remove(key(1), 1), items.writes.remove(key(2), 1)];
  assert.equal(items.rows.size, 0);
  await settle();
  const refused = assert.rejects(removed[1], { status: 503 });
  await answer(200, null);
  await answer(503, { status: 503 });
  await removed[0];
  await refused;
  assert.deepEqual(shown("open"), [[2, 1]]);
  say([remove(1)], true);
  assert.deepEqual([shown("open"), items.latest.value], [[[2, 1]], null]);
});

for (const reason of ["epoch", "schema", "expired"]) {
  test(`a reset (${reason}): the old rows stay until the new ones are whole`, () => {
    live(row(1), row(2));
    say([insert(3)], false);
    reset("s1", reason);
    assert.deepEqual([items.phase.value, shown("open")], ["loading", [[2, 1], [1, 1]]]);
    snapshot("s1", [row(2, 4), row(4)]);
    assert.deepEqual([items.phase.value, shown("open")], ["live", [[4, 1], [2, 4]]]);
  });
}

test("a row that has left the filter can still be written", async () => {
  live(row(1));
  say([remove(1)], true);
  const writing = items.writes.patch(key(1), { name: "mine" }, 1);
  await settle();
  const { path, method, headers } = requests[0];
  assert.deepEqual([path, method, headers["if-match"]], ["api/items/1", "PATCH", '"1"']);
  await answer(200, row(1, 2, { name: "mine" }));
  await writing;
});

test("what is refused is not asked for again, unless it may come", () => {
  live(row(1));
  items.show({ filter: "nope=eq.1" });
  newest().say({ type: "error", id: "s2", code: "bad_filter", message: "there is no column nope" });
  newest().cut();
  sleep(250);
  welcome();
  assert.deepEqual(newest().sent.filter(({ type }) => type === "subscribe").map(({ id }) => id), ["s1"]);
  items.close();

  items = new Items(client, {});
  const asked = () => newest().sent.filter(({ type, id }) => type === "subscribe" && id === "s3").length;
  newest().say({ type: "error", id: "s3", code: "busy", message: "later" });
  assert.deepEqual([items.phase.value, items.failure.value, asked()], ["refused", "later", 1]);
  sleep(5_000);
  assert.equal(asked(), 2);
  snapshot("s3", [row(1)]);
  assert.deepEqual([items.phase.value, items.failure.value, items.rows.size], ["live", null, 1]);
});

test("a filter that is refused in the middle of its rows leaves the table as it was", () => {
  live(row(1));
  newest().cut();
  sleep(250);
  welcome();
  subscribed("s1");
  items.show({ filter: "id=gt.1" });
  newest().say({ type: "snapshot", id: "s2", topic: "t2", cursor: "c0", rows: [row(2)], more: true });
  assert.equal(items.phase.value, "catching");
  newest().say({ type: "error", id: "s2", code: "unreadable", message: "a row can't be written as JSON" });
  pong("s1");
  assert.deepEqual([items.phase.value, items.as_of.value, shown("open").length], ["live", null, 1]);
});

test("ids that are strings (--stringify-wide-numbers) are in the order of their numbers", () => {
  live({ ...row(1), id: "9" }, { ...row(1), id: "10" }, { ...row(1), id: "100" });
  assert.deepEqual(shown("open"), [["100", 1], ["10", 1], ["9", 1]]);
});

test("another filter takes over when its rows are there, and leaves the old ones when it is refused", () => {
  live(row(1), row(2));
  items.show({ filter: "nope=eq.1" });
  newest().say({ type: "error", id: "s2", code: "bad_filter", message: "there is no column nope" });
  assert.deepEqual([items.refusal.value, items.phase.value, shown("open").length], ["there is no column nope", "live", 2]);
  items.show({ filter: "id=eq.2" });
  assert.equal(items.refusal.value, null);
  snapshot("s3", [row(2)]);
  assert.deepEqual([shown("open"), newest().sent.at(-1)], [[[2, 1]], { type: "unsubscribe", id: "s1" }]);
});

test("what was missed is counted, and what came after the return is not", () => {
  live(row(1));
  newest().cut();
  assert.equal(items.phase.value, "waiting");
  sleep(250);
  welcome();
  subscribed("s1");
  assert.equal(items.phase.value, "catching");
  say([update(1, 2), insert(2)], true, "c1");
  assert.equal(items.loaded.value, 2);
  pong("s1");
  assert.equal(items.phase.value, "live");
  say([insert(3)], true, "c2");
  const counts = () => [items.missed.value.insert, items.missed.value.update, [...items.missed.value.keys]];
  assert.deepEqual(counts(), [1, 1, [key(1), key(2)]]);
  assert.equal(items.rows.size, 3);
  // Away again before it was seen: both absences are one.
  const { since } = items.missed.value;
  newest().cut();
  sleep(10_000);
  welcome();
  subscribed("s1");
  say([insert(4)], true, "c3");
  pong("s1");
  assert.deepEqual([counts(), items.missed.value.since], [[2, 1, [key(1), key(2), key(4)]], since]);
});
