/** What `client.table()` writes, against a socket and a server of paper: what `rows` shows meanwhile, and when a promise settles. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { begin, eventually, load, newest, PaperSocket, pass, pong, reset, say, settle, sleep, subscribed, welcome } from "./paper.mjs";

const { connect } = await load("plank.js");
await load("table.js");

let client;
let items;
/** Requests to /rest and to /api/changes, the newest last. */
let posts;
let looks;
/** What `rows` showed whenever a handler was told of something, each once. */
let shown;

const state = () => [...items.rows.values()].map(({ id = "?", name, version = "" }) => `${id} ${name} ${version}`.trim()).sort().join(", ");
const note = () => shown.at(-1) === state() || shown.push(state());

class Post {
  constructor(url, { method, headers, body, signal }) {
    Object.assign(this, { url, method, headers, body, signal });
    this.response = new Promise((resolve, reject) => ([this.resolve, this.fail] = [resolve, () => reject(new TypeError("fetch failed"))]));
  }

  get operations() {
    return JSON.parse(this.body);
  }

  /** The rows as they are now. */
  done(rows, xid = "7", cursor = `at-${xid}`) {
    const body = rows.map((row) => ({ op: "", table: "", row }));
    this.resolve(new Response(JSON.stringify(body), { headers: { "plank-cursor": cursor, "plank-xid": xid } }));
  }

  refuse(status, problem, headers = {}) {
    this.resolve(new Response(typeof problem === "string" ? problem : JSON.stringify(problem), { status, headers }));
  }
}

function fetch(url, options) {
  const list = url.pathname.endsWith("/rest") ? posts : looks;
  list.push(new Post(url, options));
  return list.at(-1).response;
}

/** Client, subscription, and two rows that are live. */
function follow(spec = {}, options = {}) {
  client = connect("ws", { WebSocket: PaperSocket, fetch, random: () => 1, ...options });
  items = client.subscribe({ table: "items", snapshot: true, ...spec }, { live: note, changes: note, pending: note });
  welcome();
  snapshot([{ id: 1, name: "a", version: 1 }, { id: 2, name: "b", version: 1 }]);
}

function snapshot(rows) {
  newest().say({ type: "snapshot", id: "s1", topic: "t1", cursor: "c0", rows, more: false });
  subscribed("s1");
  pong("s1");
}

const change = (op, row, xid) => ({ op, key: { id: row.id }, ...(op === "delete" ? { old: row } : { row }), xid });
const receipts = () => newest().sent.filter(({ type, cursor }) => type === "ping" && cursor).map(({ cursor }) => cursor);
const post = (count) => eventually(`request ${count}`, () => posts.length === count).then(() => posts[count - 1]);

/** How a promise has settled. */
function outcome(promise) {
  const seen = { value: "nothing" };
  promise.then(
    (row) => (seen.value = row),
    ({ name, status, code, message, column }) => (seen.value = { name, status, code, message, column }),
  );
  return seen;
}

beforeEach(() => {
  begin();
  posts = [];
  looks = [];
  shown = [];
});

afterEach(() => {
  client.close();
  mock.timers.reset();
});

test("each is one operation of a batch, with a key of its own", async () => {
  follow({}, { auth: "secret" });
  const table = client.table('public."items"');
  table.insert({ name: "n", big: 9007199254740993n, none: NaN, at: new Date(0), not: undefined });
  table.insert([{ name: "x" }, { name: "y" }]);
  table.upsert({ id: 1, name: "u" });
  table.update({ id: 2 }, { name: "b2" }, { ifMatch: { version: 1 } });
  table.delete({ id: 3 }, { ifMatch: { name: null } });
  await post(5);
  const values = { name: "n", big: "9007199254740993", none: "NaN", at: "1970-01-01T00:00:00.000Z" };
  const name = 'public."items"';
  assert.deepEqual(posts.map(({ operations }) => operations), [
    [{ op: "insert", table: name, values }],
    [{ op: "insert", table: name, values: { name: "x" } }, { op: "insert", table: name, values: { name: "y" } }],
    [{ op: "upsert", table: name, values: { id: 1, name: "u" } }],
    [{ op: "update", table: name, key: { id: 2 }, values: { name: "b2" }, match: { version: 1 } }],
    [{ op: "delete", table: name, key: { id: 3 }, match: { name: null } }],
  ]);
  assert.deepEqual([posts[0].url.href, posts[0].method, posts[0].headers.authorization], ["http://plank.test/tools/rest", "POST", "Bearer secret"]);
  const keys = posts.map(({ headers }) => headers["idempotency-key"]);
  assert.ok(keys.every((key) => /^[0-9a-f]{32}$/.test(key)) && new Set(keys).size === 5, `${keys}`);
  assert.deepEqual(await table.insert([]), []);
});

test("an update is shown at once, is pending, and resolves when its change has come", async () => {
  follow();
  const seen = outcome(client.table("items").update({ id: 1 }, { name: "new" }));
  const first = await post(1);
  assert.deepEqual([state(), [...items.pending]], ["1 new 1, 2 b 1", [["1", "update"]]]);
  first.done([{ id: 1, name: "new", version: 2 }]);
  await eventually("it asks for its receipt", () => receipts().length === 1);
  assert.deepEqual([seen.value, items.pending.size, receipts()], ["nothing", 1, ["at-7"]]);
  say([change("update", { id: 1, name: "new", version: 2 }, "7")], true);
  assert.equal(items.pending.size, 0);
  await settle();
  assert.deepEqual([seen.value, shown], [{ id: 1, name: "new", version: 2 }, ["1 a 1, 2 b 1", "1 new 1, 2 b 1", "1 new 2, 2 b 1"]]);
});

test("a change that comes before the answer changes nothing that is seen, and the answer needs no receipt", async () => {
  follow();
  const seen = outcome(client.table("items").update({ id: 1 }, { name: "new" }));
  const first = await post(1);
  say([change("update", { id: 1, name: "new", version: 2 }, "7")], true);
  assert.equal(items.pending.size, 1);
  first.done([{ id: 1, name: "new", version: 2 }]);
  await eventually("it is done", () => seen.value.id === 1);
  assert.deepEqual([receipts(), items.pending.size, shown.slice(1)], [[], 0, ["1 new 1, 2 b 1", "1 new 2, 2 b 1"]]);
});

test("another client's change has its place: beneath a write that is under way, and above one that it comes behind", async () => {
  follow();
  const seen = outcome(client.table("items").update({ id: 1 }, { name: "mine" }));
  const first = await post(1);
  say([change("update", { id: 1, name: "theirs", version: 2 }, "5")], true, "c1");
  assert.equal(state(), "1 mine 2, 2 b 1");
  first.done([{ id: 1, name: "mine", version: 3 }]);
  await eventually("it asks for its receipt", () => receipts().length === 1);
  assert.equal(state(), "1 mine 3, 2 b 1");
  say([change("update", { id: 1, name: "mine", version: 3 }, "7"), change("update", { id: 1, name: "last", version: 4 }, "8")], true, "c2");
  assert.equal(state(), "1 last 4, 2 b 1");
  await settle();
  assert.equal(seen.value.version, 3);
  // The pong of what has been seen already is nothing new, and the next write is asked for behind it.
  const next = outcome(client.table("items").delete({ id: 2 }));
  (await post(2)).done([{ id: 2, name: "b", version: 1 }], "9");
  await settle();
  assert.deepEqual(receipts(), ["at-7"]);
  pong("s1");
  await eventually("the next one", () => receipts().length === 2);
  assert.equal(next.value, "nothing");
  pong("s1");
  await settle();
  assert.deepEqual([next.value.id, items.pending.size], [2, 0]);
});

test("a change behind the write that comes before the answer is shown as soon as it is known", async () => {
  follow();
  outcome(client.table("items").update({ id: 1 }, { name: "mine" }));
  const first = await post(1);
  say([change("update", { id: 1, name: "mine", version: 2 }, "7")], true, "c1");
  say([change("update", { id: 1, name: "last", version: 3 }, "8")], true, "c2");
  first.done([{ id: 1, name: "mine", version: 2 }]);
  await eventually("it is passed", () => items.pending.size === 0);
  assert.deepEqual(shown.slice(1), ["1 mine 1, 2 b 1", "1 mine 2, 2 b 1", "1 mine 3, 2 b 1", "1 last 3, 2 b 1"]);
});

for (const [status, problem, expected] of [
  [400, { code: "23502", message: "null value in column \"name\"", errors: [{ field: "name", detail: "..." }] }, { code: "23502", message: "null value in column \"name\"", column: "name" }],
  [412, { code: "PGRST412", message: "the row is not", index: 0 }, { code: "PGRST412", message: "the row is not", column: null }],
  [400, { code: "PGRST100", message: "key: has to have", errors: [{ field: "key", detail: "..." }] }, { code: "PGRST100", message: "key: has to have", column: null }],
  [404, { code: "PGRST205", detail: "there is no such row" }, { code: "PGRST205", message: "there is no such row", column: null }],
  [500, "<html>", { code: "", message: "the server has answered with 500", column: null }],
]) {
  test(`a write that is refused with ${status} (${expected.code}) is taken back, and says why`, async () => {
    follow();
    const table = client.table("items");
    const seen = [outcome(table.update({ id: 1 }, { name: "no" })), outcome(table.delete({ id: 2 })), outcome(table.insert({ name: "c" }))];
    await post(3);
    assert.equal(state(), "1 no 1, ? c");
    // What came meanwhile is what it goes back to.
    say([change("update", { id: 1, name: "theirs", version: 2 }, "5")], true);
    for (const each of posts) each.refuse(status, problem);
    await eventually("all of them", () => seen.every(({ value }) => value !== "nothing"));
    for (const { value } of seen) assert.deepEqual(value, { name: "WriteError", status, ...expected });
    assert.deepEqual([state(), items.pending.size], ["1 theirs 2, 2 b 1", 0]);
  });
}

test("a new row has a key of this client until the server has chosen one, and is never there twice", async () => {
  follow();
  const seen = outcome(client.table("items").insert({ name: "c", data: { a: 1, b: [2] } }));
  const first = await post(1);
  const [[key, op]] = items.pending;
  assert.deepEqual([items.rows.get(key), op], [{ name: "c", data: { a: 1, b: [2] } }, "insert"]);
  const row = { id: 3, name: "c", data: { b: [2], a: 1 }, version: 1 };
  // A row like it may be it.
  say([change("insert", row, "7")], true, "c1");
  assert.equal(state(), "1 a 1, 2 b 1, 3 c 1");
  first.done([row]);
  await eventually("it is done", () => seen.value.id === 3);
  assert.deepEqual(shown.slice(1), ["1 a 1, 2 b 1, ? c", "1 a 1, 2 b 1, 3 c 1"]);
  // One that only looks like it hides it until the answer.
  const next = outcome(client.table("items").insert({ name: "d" }));
  const second = await post(2);
  say([change("insert", { id: 4, name: "d", version: 1 }, "8")], true, "c2");
  second.done([{ id: 5, name: "d", version: 1 }], "9");
  await eventually("both are there", () => items.rows.has("5"));
  assert.deepEqual([state(), next.value, [...items.pending]], ["1 a 1, 2 b 1, 3 c 1, 4 d 1, 5 d 1", "nothing", [["5", "insert"]]]);
  pong("s1");
  await settle();
  assert.equal(next.value.id, 5);
});

test("writes of one row go out in their order, and lie above each other in it", async () => {
  follow();
  const table = client.table("items");
  const seen = [outcome(table.update({ id: 1 }, { name: "x" })), outcome(table.update({ id: 1 }, { status: "done" })), outcome(table.update({ id: 2 }, { name: "y" }))];
  await post(2);
  await settle();
  assert.deepEqual([posts.length, posts.map(({ operations: [{ key }] }) => key.id)], [2, [1, 2]]);
  assert.deepEqual(items.rows.get("1"), { id: 1, name: "x", version: 1, status: "done" });
  posts[0].refuse(409, { code: "23505", message: "taken" });
  const third = await post(3);
  assert.deepEqual(items.rows.get("1"), { id: 1, name: "a", version: 1, status: "done" });
  third.done([{ id: 1, name: "a", version: 2, status: "done" }]);
  posts[1].done([{ id: 2, name: "y", version: 2 }], "8");
  say([change("update", { id: 2, name: "y", version: 2 }, "8"), change("update", { id: 1, name: "a", version: 2, status: "done" }, "7")], true);
  await eventually("all of them", () => seen.every(({ value }) => value !== "nothing"));
  assert.deepEqual(seen.map(({ value }) => value.status), [409, "done", undefined]);
});

test("an update of the key moves the row", async () => {
  follow();
  outcome(client.table("items").update({ id: 1 }, { id: 9 }));
  const first = await post(1);
  assert.deepEqual([[...items.rows.keys()].sort(), [...items.pending.keys()].sort()], [["2", "9"], ["1", "9"]]);
  first.refuse(403, {});
  await eventually("it is back", () => items.rows.has("1"));
  assert.deepEqual([...items.rows.keys()].sort(), ["1", "2"]);
});

test("it is sent again with its key until it is known: cut off, 503, under way; then the deadline", async () => {
  follow();
  const seen = outcome(client.table("items").update({ id: 1 }, { name: "new" }));
  (await post(1)).fail();
  const again = async (count, wait_ms, act) => {
    await settle();
    sleep(wait_ms - 1);
    await settle();
    assert.equal(posts.length, count, "it waits");
    sleep(1);
    act(await post(count + 1));
  };
  await again(1, 250, (each) => each.refuse(503, { code: "PGRST001" }, { "retry-after": "2" }));
  await again(2, 2_250, (each) => each.refuse(409, { code: "PGRST409" }));
  await again(3, 1_000, (each) => each.refuse(502, "<html>"));
  await again(4, 2_000, (each) => each.resolve(new Response("[{\"op\":", { headers: {} })));
  await again(5, 4_000, () => {});
  // One that is never answered.
  pass(15_000);
  assert.ok(posts[5].signal.aborted === false);
  await eventually("it was given up", () => posts[5].signal.aborted);
  await again(6, 8_000, (each) => each.done([{ id: 1, name: "new", version: 2 }]));
  const [{ body, headers }] = posts;
  for (const each of posts) assert.deepEqual([each.body, each.headers], [body, headers]);
  await eventually("it asks for its receipt", () => receipts().length === 1);
  say([change("update", { id: 1, name: "new", version: 2 }, "7")], true);
  await settle();
  assert.deepEqual([seen.value.version, state()], [2, "1 new 2, 2 b 1"]);

  const late = outcome(client.table("items").update({ id: 2 }, { name: "late" }));
  for (let count = posts.length + 1; late.value === "nothing"; count += 1) {
    (await post(count)).fail();
    await settle();
    sleep(10_000);
    await settle();
  }
  assert.deepEqual([late.value.status, late.value.code, state()], [0, "outcome_unknown", "1 new 2, 2 b 1"]);
  assert.match(late.value.message, /not known whether it was written/);
});

test("200 with a page of something in between, or with what has no rows, is no answer", async () => {
  follow();
  const pages = ["<html>", "{}", "7", "null", "[null]"];
  for (const [index, page] of pages.entries()) {
    const seen = outcome(client.table("items").update({ id: 1 }, { name: page }));
    (await post(2 * index + 1)).resolve(new Response(page));
    await settle();
    await settle();
    assert.equal(seen.value, "nothing", page);
    sleep(250);
    (await post(2 * index + 2)).done([{ id: 1, name: page, version: 2 }], `${index}`);
    await eventually("it asks for its receipt", () => receipts().length === index + 1);
    pong("s1");
    await eventually("it is written", () => seen.value.name === page);
  }
});

test("a token that has expired is asked for again, once", async () => {
  let asked = 0;
  client = connect("ws", { WebSocket: PaperSocket, fetch, random: () => 1, auth: async () => `t${++asked}` });
  const seen = outcome(client.table("items").insert({ name: "c" }));
  (await post(1)).refuse(401, { code: "PGRST301" });
  (await post(2)).refuse(401, { code: "PGRST301" });
  await eventually("it is refused", () => seen.value.status === 401);
  assert.deepEqual(posts.map(({ headers }) => headers.authorization), ["Bearer t1", "Bearer t2"]);
  assert.equal(posts[0].headers["idempotency-key"], posts[1].headers["idempotency-key"]);
});

test("without a subscription, or with one that has ended or was refused, the answer is enough", async () => {
  follow();
  const row = { id: 8, name: "n" };
  const other = outcome(client.table("orders").insert({ name: "n" }));
  (await post(1)).done([row]);
  await eventually("it is done", () => other.value.id === 8);
  const mine = outcome(client.table("items").update({ id: 1 }, { name: "n" }));
  (await post(2)).done([row]);
  await eventually("it asks for its receipt", () => receipts().length === 1);
  assert.equal(mine.value, "nothing");
  items.close();
  await eventually("it is done", () => mine.value.id === 8);
  items = client.subscribe({ table: "items" });
  newest().say({ type: "error", id: "s2", code: "forbidden", message: "no" });
  const refused = outcome(client.table("items").update({ id: 1 }, { name: "n" }));
  (await post(3)).done([row]);
  await eventually("it is done", () => refused.value.id === 8);
  items.renew();
  newest().say({ type: "subscribed", id: "s2", topic: "t2", table: "public.items", key: ["id"], cursor: "c0" });
  const again = outcome(client.table("items").update({ id: 1 }, { name: "n" }));
  (await post(4)).done([row]);
  await eventually("it asks for its receipt", () => receipts().length === 2);
  newest().say({ type: "error", id: "s2", code: "forbidden", message: "no" });
  await eventually("it is done", () => again.value.id === 8);
});

test("a receipt is asked for again on the next link, and one of another log ends the wait without ending the subscription", async () => {
  follow();
  const seen = outcome(client.table("items").update({ id: 1 }, { name: "new" }));
  (await post(1)).done([{ id: 1, name: "new", version: 2 }]);
  await eventually("it asks for its receipt", () => receipts().length === 1);
  newest().cut();
  sleep(10_000);
  welcome();
  assert.deepEqual([receipts(), state()], [[], "1 new 2, 2 b 1"]);
  subscribed("s1");
  await settle();
  assert.deepEqual(receipts(), [], "behind what was missed");
  pong("s1");
  await eventually("it asks again", () => receipts().length === 1);
  assert.equal(seen.value, "nothing");
  newest().say({ type: "error", id: "s1", code: "bad_cursor", message: "no place in this log" });
  await settle();
  assert.deepEqual([seen.value.id, items.live, items.pending.size], [1, true, 0]);
});

test("a snapshot that comes in between lies beneath", async () => {
  follow();
  const seen = outcome(client.table("items").update({ id: 1 }, { name: "mine" }));
  const first = await post(1);
  reset("s1", "expired");
  snapshot([{ id: 1, name: "theirs", version: 5 }]);
  assert.equal(state(), "1 mine 5");
  first.done([{ id: 1, name: "mine", version: 6 }]);
  await eventually("it asks for its receipt", () => receipts().length === 1);
  pong("s1");
  await settle();
  assert.deepEqual([seen.value.version, state()], [6, "1 theirs 5"]);
});

test("with a filter or columns: shown is what surely belongs there", async () => {
  follow({ filter: "status=eq.open", columns: ["name"] });
  const table = client.table("items");
  for (const values of [{ name: "c" }, { name: "d", status: "done" }, { name: "e", status: "open" }]) outcome(table.insert(values));
  outcome(table.update({ id: 1 }, { name: "z", status: "open" }));
  outcome(table.update({ id: 7 }, { name: "z" }));
  await post(5);
  assert.deepEqual([...items.rows.values()], [{ id: 1, name: "z" }, { id: 2, name: "b", version: 1 }, { name: "e" }]);
});

test("over a stream the log is asked what is still to come", async () => {
  const told = [];
  const body = new ReadableStream({ start: (controller) => told.push(controller) });
  const event = (message) => told[0].enqueue(new TextEncoder().encode(`event: ${message.type}\ndata: ${JSON.stringify(message)}\n\n`));
  const streamed = (url, options) => {
    if (url.pathname.endsWith("/livez")) return Promise.resolve(new Response("ok"));
    return url.pathname.endsWith("/api/stream") ? Promise.resolve(new Response(body)) : fetch(url, options);
  };
  client = connect("ws", { WebSocket: null, fetch: streamed, random: () => 1 });
  items = client.subscribe({ table: "items", filter: "name=neq.x", columns: ["id", "name"], snapshot: true });
  await eventually("it is open", () => client.state.phase === "open");
  event({ type: "snapshot", id: "s1", topic: "t1", cursor: "c0", rows: [{ id: 1, name: "a" }], more: false });
  event({ type: "subscribed", id: "s1", topic: "t1", table: "public.items", key: ["id"], cursor: "c0" });
  event({ type: "pong", id: "s1" });
  await eventually("it has caught up", () => items.live && !items.catching_up);
  const seen = outcome(client.table("items").update({ id: 1 }, { name: "new" }));
  (await post(1)).done([{ id: 1, name: "new", version: 2 }]);
  await eventually("it looks", () => looks.length === 1);
  assert.equal(`${looks[0].url.pathname}${looks[0].url.search}`, "/tools/api/changes?table=items&columns=id%2Cname&name=neq.x&since=c0");
  looks[0].resolve(new Response(JSON.stringify({ changes: [], cursor: "c1", more: true })));
  await eventually("it looks on", () => looks.length === 2);
  looks[1].resolve(new Response(JSON.stringify({ changes: [{ xid: "7" }], cursor: "c2", more: false })));
  await settle();
  assert.equal(seen.value, "nothing");
  event({ type: "changes", topic: "t1", cursor: "c2", last: true, changes: [{ op: "update", key: { id: 1 }, row: { id: 1, name: "new" }, xid: "7" }] });
  await eventually("it is done", () => seen.value.version === 2);
  // What the subscription does not show is not to come.
  const hidden = outcome(client.table("items").update({ id: 5 }, { name: "x" }));
  (await post(2)).done([{ id: 5, name: "x" }], "9");
  await eventually("it looks", () => looks.length === 3);
  looks[2].fail();
  await settle();
  sleep(1_000);
  await eventually("it looks again", () => looks.length === 4);
  assert.equal(looks[3].url.searchParams.get("since"), "c2");
  looks[3].resolve(new Response(JSON.stringify({ changes: [], cursor: "c3", more: false })));
  await eventually("it is done", () => hidden.value.id === 5);
});

test("a window keeps its order under writes, also when one is refused", async () => {
  follow({ order: "name", limit: 5 });
  const ids = () => [...items.rows.values()].map(({ id }) => id);
  assert.deepEqual(ids(), [1, 2]);
  const refused = assert.rejects(client.table("items").delete({ id: 1 }), { status: 403 });
  await eventually("it is sent", () => posts.length === 1);
  assert.deepEqual(ids(), [2]);
  // The window changes beneath it.
  newest().say({
    type: "changes", topic: "t1", cursor: "c1", last: true,
    changes: [{ op: "insert", cause: "window", key: { id: 3 }, row: { id: 3, name: "aa", version: 1 }, index: 1 }],
  });
  assert.deepEqual(ids(), [3, 2]);
  posts[0].refuse(403, { message: "no" });
  await refused;
  assert.deepEqual(ids(), [1, 3, 2]);
});
