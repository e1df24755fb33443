/** `plank-tanstack-db` with the real `@tanstack/db`, against a real plank. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { and, createCollection, createLiveQueryCollection, createTransaction, eq, gt, ilike, inArray, like, not, or } from "@tanstack/db";
import { connect } from "plank-client";
import { plankCollectionOptions } from "plank-tanstack-db";
import { known, plankWith, until } from "./support.mjs";

const SQL = `create table todos (id bigint primary key, name text not null unique, status text not null default 'open', n int not null default 0);
  create table pairs (a int, b int, name text, primary key (a, b));
  select plank.watch('todos', writable => true), plank.watch('pairs', writable => true)`;

let plank;
before(async () => {
  plank = await plankWith(SQL);
  await known(plank, "pairs");
});

async function withTodos(options, work) {
  await plank.sql("truncate todos, pairs; insert into todos select i, 'n' || i, case i % 2 when 0 then 'open' else 'done' end, i from generate_series(1, 6) i");
  const client = connect(`${plank.url}/ws`);
  const todos = createCollection(plankCollectionOptions({ client, table: "todos", ...options }));
  try {
    await work(todos, client);
  } finally {
    await todos.cleanup();
    client.close();
  }
}

const ids = (collection) => [...collection.keys()].sort().join();
const table = () => plank.sql("select coalesce(string_agg(id || name || status || n, ',' order by id), '') from todos");
const same = async (collection) => {
  const wanted = await table();
  return [...collection.values()].sort((x, y) => x.id - y.id).map(({ id, name, status, n }) => `${id}${name}${status}${n}`).join() === wanted;
};

test("a collection is the table, through changes, key changes and truncate", () =>
  withTodos({}, async (todos) => {
    await todos.preload();
    assert.ok(await same(todos));
    for (const statement of [
      "update todos set n = n + 1",
      "update todos set id = id + 100 where id > 4",
      "delete from todos where id = 1; insert into todos values (1, 'n1', 'open', 9)",
      "begin; delete from todos where id = 2; insert into todos values (2, 'again', 'open', 9); commit",
      "truncate todos",
      "begin; insert into todos values (7, 'gone', 'open', 1); truncate todos; insert into todos values (8, 'stays', 'open', 1); commit",
    ]) {
      await plank.sql(statement);
      await until(statement, () => same(todos));
    }
  }));

test("a live query never shows half of a transaction", () =>
  withTodos({}, async (todos) => {
    const open = createLiveQueryCollection((q) => q.from({ todo: todos }).where(({ todo }) => eq(todo.status, "open")));
    await open.preload();
    const sizes = new Set([open.size]);
    const stop = open.subscribeChanges(() => sizes.add(open.size));
    // Each transaction keeps the number of open ones.
    for (let i = 0; i < 10; i += 1) {
      await plank.sql(`begin; update todos set status = 'done' where id = ${2 + 2 * (i % 3)}; update todos set status = case when id = ${1 + 2 * (i % 3)} then 'open' else 'done' end
        where id in (1, 3, 5); update todos set status = 'open' where id in (2, 4, 6); update todos set status = 'done' where id in (1, 3, 5), n = n + 1; commit`).catch(() => {});
      await plank.sql("begin; delete from todos where id = 2; insert into todos values (2, 'n2', 'open', 1); commit");
    }
    await until("it is the table", () => same(todos));
    assert.deepEqual([...sizes], [3]);
    stop.unsubscribe();
    await open.cleanup();
  }));

test("a write is shown at once, stays, and never flickers; a refused one is taken back", () =>
  withTodos({}, async (todos) => {
    await todos.preload();
    const seen = [];
    const stop = todos.subscribeChanges((changes) => seen.push(...changes.map(({ type, key, value }) => `${type} ${key} ${value.name}`)));
    const insert = todos.insert({ id: 10, name: "new", status: "open", n: 1 });
    assert.equal(todos.get(10).name, "new");
    await insert.isPersisted.promise;
    assert.equal(await plank.sql("select name from todos where id = 10"), "new");
    const update = todos.update(10, (draft) => void (draft.name = "newer"));
    assert.equal(todos.get(10).name, "newer");
    await update.isPersisted.promise;
    await todos.delete(10).isPersisted.promise;
    assert.equal(todos.has(10), false);
    const names = seen.filter((line) => line.includes(" 10 "));
    assert.deepEqual([names[0], names.at(-1)], ["insert 10 new", "delete 10 newer"]);
    assert.ok(!names.slice(1).some((line) => line.startsWith("insert")), names.join("; "));

    const refused = todos.insert({ id: 11, name: "n1", status: "open", n: 1 });
    assert.equal(todos.has(11), true);
    await assert.rejects(refused.isPersisted.promise, { status: 409 });
    assert.equal(todos.has(11), false);
    const missing = todos.update(1, (draft) => void (draft.name = "n2"));
    await assert.rejects(missing.isPersisted.promise, { status: 409, code: "23505" });
    assert.equal(todos.get(1).name, "n1");
    const many = todos.insert([12, 13].map((id) => ({ id, name: `n${id}`, status: "open", n: id })));
    await many.isPersisted.promise;
    assert.equal(await plank.sql("select count(distinct xmin::text) from todos where id in (12, 13)"), "1", "several rows are one write");
    stop.unsubscribe();
  }));

test("a cut and a restart lose nothing, and a write goes through them", () =>
  withTodos({}, async (todos) => {
    await todos.preload();
    const written = todos.insert({ id: 20, name: "through a restart", status: "open", n: 1 });
    await plank.end();
    const later = todos.insert({ id: 21, name: "while it is away", status: "open", n: 1 });
    assert.equal(todos.has(21), true);
    await plank.start();
    await Promise.all([written.isPersisted.promise, later.isPersisted.promise]);
    await plank.sql("insert into todos values (22, 'of others', 'open', 1)");
    await until("it is the table", () => same(todos));
  }));

test("several changes of a row that come while its own insert is on its way are all there", () =>
  withTodos({}, async (todos, client) => {
    await todos.preload();
    let release;
    const held = new Promise((resolve) => (release = resolve));
    const transaction = createTransaction({ mutationFn: () => held });
    transaction.mutate(() => todos.insert({ id: 40, name: "mine", status: "open", n: 1 }));
    for (const name of ["mine", "second", "third"]) {
      const { cursor } = [...client._subscriptions.values()][0];
      await plank.sql(`insert into todos values (40, '${name}', 'open', 1) on conflict (id) do update set name = excluded.name`);
      await until("the batch has come", () => [...client._subscriptions.values()][0].cursor !== cursor);
    }
    release();
    await transaction.isPersisted.promise;
    await until("the last one is there", () => todos.get(40)?.name === "third");
    assert.ok(await same(todos));
  }));

test("a place that was kept with its rows is gone on from", () =>
  withTodos({}, async (todos, client) => {
    const first = plankCollectionOptions({ client, table: "todos" });
    const collection = createCollection(first);
    await collection.preload();
    const meta = JSON.parse(JSON.stringify(first.sync.exportSyncMeta()));
    const kept = new Map([...collection.values()].map((row) => [row.id, row]));
    await collection.cleanup();
    await plank.sql("update todos set n = 99 where id = 3; delete from todos where id = 4");

    const next = plankCollectionOptions({ client, table: "todos" });
    next.sync.importSyncMeta(meta);
    const written = [];
    const params = { begin() {}, commit() {}, markReady() {}, write: (message) => written.push(message), truncate: () => written.push("truncate") };
    const { cleanup } = next.sync.sync({ ...params, collection: { status: "loading", _state: { syncedData: kept } } });
    await until("what was missed has come", () => written.length === 2);
    assert.deepEqual(written.map(({ type, key, value }) => [type, key ?? value.id]), [["update", 3], ["delete", 4]]);
    cleanup();
  }));

test("a key of several columns", () =>
  withTodos({}, async (_, client) => {
    const pairs = createCollection(plankCollectionOptions({ client, table: "pairs", key: ["a", "b"] }));
    await pairs.preload();
    await pairs.insert([{ a: 1, b: 2, name: "x" }, { a: 2, b: 1, name: "y" }]).isPersisted.promise;
    const [key] = [...pairs.entries()].find(([, { name }]) => name === "x");
    await pairs.update(key, (draft) => void (draft.name = "z")).isPersisted.promise;
    await pairs.delete(key).isPersisted.promise;
    assert.equal(await plank.sql("select string_agg(a || name, ',') from pairs"), "2y");
    await pairs.cleanup();
  }));

test("a table that is not there is an error, and one that is refused later keeps its rows", () =>
  withTodos({}, async (todos, client) => {
    const nope = createCollection(plankCollectionOptions({ client, table: "nope" }));
    await assert.rejects(nope.preload(), /nope/);
    await todos.preload();
    await plank.sql("select plank.unwatch('todos')");
    await until("it has ended", () => ![...client._subscriptions.values()].some(({ spec }) => spec.table === "todos"));
    assert.equal(ids(todos), "1,2,3,4,5,6");
    await plank.sql("select plank.watch('todos', writable => true)");
    await known(plank, "todos");
  }));

test("on demand only what live queries ask for is loaded, as far as a filter can say it", () =>
  withTodos({ syncMode: "on-demand" }, async (todos, client) => {
    const filters = () => [...client._subscriptions.values()].map(({ spec }) => decodeURIComponent(spec.filter ?? "")).sort();
    const cases = [
      [({ t }) => eq(t.status, "open"), '"status".eq."open"', "2,4,6"],
      [({ t }) => and(gt(t.n, 2), not(eq(t.status, "done"))), 'and("n".gt."2","status".not.eq."done")', "4,6"],
      [({ t }) => or(eq(t.n, 1), inArray(t.id, [3, 4])), 'or("n".eq."1","id".in.("3","4"))', "1,3,4"],
      [({ t }) => not(or(eq(t.n, 1), gt(t.n, 2))), 'not.or("n".eq."1","n".gt."2")', "2"],
      [({ t }) => like(t.name, "n%"), '"name".like."n%"', "1,2,3,4,5,6"],
      [({ t }) => and(like(t.name, "n*"), eq(t.status, "done")), '"status".eq."done"', ""],
    ];
    for (const [where, filter, wanted] of cases) {
      const live = createLiveQueryCollection((q) => q.from({ t: todos }).where(where));
      await live.preload();
      assert.deepEqual([filters(), ids(live)], [[`and=(${filter})`], wanted]);
      await live.cleanup();
      await until("it is not asked for any more", () => !client._subscriptions.size && !todos.size);
    }
    // What the server can't compare exactly is looked at here.
    const fallback = createLiveQueryCollection((q) => q.from({ t: todos }).where(({ t }) => gt(t.name, "n4")));
    await fallback.preload();
    assert.equal(ids(fallback), "5,6");
    await fallback.cleanup();

    const open = createLiveQueryCollection((q) => q.from({ t: todos }).where(({ t }) => eq(t.status, "open")));
    const high = createLiveQueryCollection((q) => q.from({ t: todos }).where(({ t }) => gt(t.n, 3)));
    await Promise.all([open.preload(), high.preload()]);
    assert.equal(ids(todos), "2,4,5,6");
    await open.cleanup();
    await until("a row stays as long as one query has it", () => ids(todos) === "4,5,6");
    await plank.sql("update todos set n = 10 where id = 1; update todos set n = 0 where id = 6; delete from todos where id = 5");
    await until("rows come and go", () => ids(high) === "1,4" && ids(todos) === "1,4");
    await todos.insert({ id: 30, name: "mine", status: "open", n: 30 }).isPersisted.promise;
    assert.equal(ids(high), "1,30,4");
    await high.cleanup();
  }));
