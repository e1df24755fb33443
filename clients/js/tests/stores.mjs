/** `plank-client/svelte` and `plank-client/vue`, with Svelte's own stores and Vue's own effects, against a real plank. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { connect } from "plank-client";
import * as svelte from "plank-client/svelte";
import { useConnection, useRow, useRows } from "plank-client/vue";
import { derived, get } from "svelte/store";
import { effectScope, isReadonly, ref, watchEffect } from "vue";
import { plankWith, until } from "./support.mjs";

const TODOS = `create table todos (id bigint primary key, name text not null, status text not null default 'open');
  insert into todos values (1, 'tea'), (2, 'milk'); select plank.watch('todos')`;

let plank;
const names = ({ rows }) => rows.map(({ name }) => name).sort().join();
const subscriptions = (client) => [...client._subscriptions.values()].length;

before(async () => (plank = await plankWith(TODOS)));

async function withClient(work) {
  const client = connect(`${plank.url}/ws`);
  try {
    await work(client);
  } finally {
    client.close();
  }
}

test("a Svelte store has the rows while it is read, and readers share a subscription", () =>
  withClient(async (client) => {
    const open = svelte.rows(client, { table: "todos", filter: "status=eq.open" });
    const seen = [];
    const stops = [open.subscribe((live) => seen.push(live)), derived(open, names).subscribe(() => {})];
    const one = svelte.row(client, "todos", { id: 2 });
    stops.push(one.subscribe(() => {}));
    assert.deepEqual([seen[0].status, seen[0].rows], ["loading", []]);
    await until("the rows are there", () => names(get(open)) === "milk,tea" && get(one).row?.name === "milk");
    assert.equal(subscriptions(client), 2);
    await plank.sql("update todos set name = 'oat milk' where id = 2");
    await until("a change is there", () => names(get(open)) === "oat milk,tea" && get(one).row.name === "oat milk");
    assert.ok(Object.isFrozen(seen.at(-1)) && Object.isFrozen(seen.at(-1).rows));
    for (const stop of stops) stop();
    await until("nothing reads it, and nothing is subscribed to", () => subscriptions(client) === 0);
    assert.equal(get(svelte.connection(client)).phase, "open");
    assert.equal(get(svelte.rows(null, { table: "todos" })).status, "loading", "a server that renders has no client");
  }));

test("a Vue composable follows its query, and ends with its scope", () =>
  withClient(async (client) => {
    await plank.sql("insert into todos values (3, 'done already', 'done')");
    const scope = effectScope();
    const status = ref("open");
    const key = ref({ id: 1 });
    const drawn = [];
    const [live, one, state] = scope.run(() => {
      const live = useRows(client, () => ({ table: "todos", filter: `status=eq.${status.value}` }));
      watchEffect(() => drawn.push(names(live.value)), { flush: "sync" });
      return [live, useRow(client, "todos", key), useConnection(client)];
    });
    await until("the rows are there", () => names(live.value) === "oat milk,tea" && one.value.row?.name === "tea" && state.value.phase === "open");
    status.value = "done";
    key.value = { id: 3 };
    await until("another query has its own rows", () => names(live.value) === "done already" && one.value.row?.name === "done already");
    await plank.sql("delete from todos where id = 3");
    await until("a change is there", () => names(live.value) === "" && one.value.row === null && live.value.status === "live");
    assert.deepEqual([...new Set(drawn)], ["", "oat milk,tea", "done already"]);
    assert.equal(isReadonly(one), true);
    scope.stop();
    await until("nothing is subscribed to", () => subscriptions(client) === 0);
  }));

test("a key of any column and value is a filter for its row", () =>
  withClient(async (client) => {
    await plank.sql(`create table odd ("order" text, "a,b" text, n bigint, primary key ("order", "a,b", n)); select plank.watch('odd');
      insert into odd values ('x "y" \\ & (z), é', 'a=b&c.d', 9007199254740993), ('x', 'a=b&c.d', 1)`);
    const key = { order: 'x "y" \\ & (z), é', "a,b": "a=b&c.d", n: "9007199254740993" };
    const one = svelte.row(client, "odd", key);
    const stop = one.subscribe(() => {});
    await until("the row is there", () => get(one).row || get(one).error);
    assert.deepEqual([get(one).row, get(one).error], [key, null]);
    stop();
  }));
