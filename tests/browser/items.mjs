/**
 * items.js over the real plank.js and a socket of paper: when the list is loaded, and what the changes do to it. What it
 * looks like is in dashboard.mjs.
 */
import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { begin, load, newest, PaperSocket, reset, say, sleep, subscribed, welcome } from "./paper.mjs";

const { connect } = await load("plank.js");
const { LiveItems } = await load("items.js");

let client;
let items;
/** What the server would list now, and the requests for it that wait for their answer. */
let table;
let requests;

const row = (id, version = 1) => ({ id, name: `Item ${id}`, description: null, status: "open", data: {}, version, created_at: "", updated_at: "" });
const insert = (id) => ({ op: "insert", key: { id }, row: row(id) });
const truncate = { op: "truncate", key: null };
const shown = () => items.entries.value.map(({ id }) => id);
/** Promises run, the clock stands. */
const settle = () => new Promise(setImmediate);

async function answer(body = { items: table, next: null }) {
  assert.equal(requests.length, 1, "one request is under way");
  requests.pop()(new Response(JSON.stringify(body)));
  await settle();
}

/** A page that shows these rows. */
async function live(...ids) {
  table = ids.map((id) => row(id));
  welcome();
  subscribed("s1");
  await answer();
  assert.deepEqual([items.phase.value, shown()], ["live", ids.toReversed()]);
}

beforeEach(() => {
  begin();
  requests = [];
  mock.method(globalThis, "fetch", (path, { signal }) => {
    return new Promise((resolve, reject) => {
      requests.push(resolve);
      signal.addEventListener("abort", () => {
        requests = requests.filter((request) => request !== resolve);
        reject(signal.reason);
      });
    });
  });
  client = connect("ws", { WebSocket: PaperSocket, random: () => 1 });
  items = new LiveItems(client);
});

afterEach(() => {
  client.close();
  mock.restoreAll();
  mock.timers.reset();
});

for (const reason of ["epoch", "schema", "expired"]) {
  test(`a reset (${reason}) loads the list again, without the batch that it cut short`, async () => {
    await live(1, 2);
    say([insert(3)], false);
    reset("s1", reason);
    assert.deepEqual([items.phase.value, shown(), requests.length], ["waiting", [2, 1], 0]);
    subscribed("s1", "t1", "c5");
    assert.equal(items.phase.value, "loading");
    say([insert(5)], true, "c6");
    // Another log: its rows may be older than those shown, and count all the same.
    items.entries.value[0].row.value = row(2, 9);
    table = [row(2, 4), row(4)];
    await answer();
    assert.deepEqual([items.phase.value, shown()], ["live", [5, 4, 2]]);
    assert.equal(items.entries.value[2].row.value.version, 4);
  });
}

test("a reset while the list is loading makes that load void", async () => {
  welcome();
  subscribed("s1");
  say([insert(1)], true);
  reset("s1", "schema");
  await settle();
  assert.deepEqual([items.phase.value, requests.length], ["waiting", 0]);
  subscribed("s1");
  table = [row(2)];
  await answer();
  assert.deepEqual([items.phase.value, shown()], ["live", [2]]);
});

test("a connection that is back loads the list again", async () => {
  await live(1, 2);
  say([insert(3)], false);
  newest().cut(1012, '{"retry_ms":500}');
  assert.deepEqual([items.phase.value, shown()], ["waiting", [2, 1]]);
  sleep(750);
  welcome();
  subscribed("s1");
  table = [row(2), row(4)];
  await answer();
  assert.deepEqual([items.phase.value, shown()], ["live", [4, 2]]);
});

test("a batch without changes changes nothing", async () => {
  await live(1);
  say([], true);
  assert.deepEqual([items.phase.value, shown()], ["live", [1]]);
});

test("a truncate takes all rows, and only those before it", async () => {
  await live(1, 2, 3);
  say([insert(4), truncate, insert(5)], true);
  assert.deepEqual(shown(), [5]);
  say([truncate], true);
  assert.deepEqual([shown(), items.counts.value.all, items.phase.value], [[], 0, "live"]);
});

test("a truncate while the list is loading wins over the list", async () => {
  welcome();
  subscribed("s1");
  say([truncate, insert(9)], true);
  table = [row(1), row(2)];
  await answer();
  assert.deepEqual(shown(), [9]);
});

test("a truncate is not undone by an answer that was under way", async () => {
  await live(1);
  const patched = items.patch(1, 1, { status: "done" });
  say([truncate], true);
  await answer(row(1, 2));
  await patched;
  assert.deepEqual(shown(), []);
});

test("a row that is edited outlives a truncate, and a new one under its id takes its place", async () => {
  table = [row(1, 7), row(2)];
  welcome();
  subscribed("s1");
  await answer();
  const entry = items.entries.value.find(({ id }) => id === 1);
  entry.editing.value = true;
  say([truncate], true);
  assert.deepEqual([shown(), entry.gone.value, items.counts.value.all], [[1], true, 0]);
  say([insert(1)], true);
  assert.deepEqual([entry.gone.value, entry.row.value.version, items.counts.value.all], [false, 1, 1]);
  say([truncate], true);
  items.close(entry);
  assert.deepEqual(shown(), []);
});
