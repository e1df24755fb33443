// @supabase/postgrest-js, as it comes from its registry, against a plank: `node client.mjs http://127.0.0.1:PORT/rest`. The table
// `orders` is the one of tests/it/rest, with three rows.
import assert from "node:assert/strict";
import { PostgrestClient } from "@supabase/postgrest-js";

const db = new PostgrestClient(process.argv[2]);
const orders = () => db.from("orders");
let count = 0;

async function check(what, query, expected) {
  const { data, error, count: total, status } = await query;
  const got = expected.status === undefined ? { data, error, total } : { data, code: error?.code, status };
  for (const [name, value] of Object.entries(expected)) assert.deepEqual(got[name], value, `${what}: ${name}: ${JSON.stringify({ data, error, total, status })}`);
  count += 1;
}

const names = (list) => ({ data: list.map((name) => ({ name })), error: null });
const by = (filter) => filter(orders().select("name")).order("id");

await check("select", by((q) => q), names(["tea", "Coffee", "milk"]));
await check("alias", orders().select("n:name, id").eq("id", 1), { data: [{ n: "tea", id: 1 }] });
for (const [what, filter, expected] of [
  ["eq", (q) => q.eq("id", 2), ["Coffee"]],
  ["neq", (q) => q.neq("id", 2), ["tea", "milk"]],
  ["gt", (q) => q.gt("id", 2), ["milk"]],
  ["gte", (q) => q.gte("price", 2), ["Coffee"]],
  ["lt", (q) => q.lt("id", 2), ["tea"]],
  ["lte", (q) => q.lte("id", 2), ["tea", "Coffee"]],
  ["like", (q) => q.like("name", "%e%"), ["tea", "Coffee"]],
  ["ilike", (q) => q.ilike("name", "c%"), ["Coffee"]],
  ["likeAnyOf", (q) => q.likeAnyOf("name", ["t%", "m%"]), ["tea", "milk"]],
  ["is", (q) => q.is("price", null), ["milk"]],
  ["in", (q) => q.in("name", ["tea", "milk"]), ["tea", "milk"]],
  ["contains an array", (q) => q.contains("tags", ["a"]), ["tea"]],
  ["contains an object", (q) => q.contains("data", { k: 2 }), ["milk"]],
  ["containedBy", (q) => q.containedBy("tags", ["a", "b", "c"]), ["tea", "Coffee"]],
  ["overlaps", (q) => q.overlaps("tags", ["b", "z"]), ["tea", "Coffee"]],
  ["rangeGt", (q) => q.rangeGt("span", "[0,5)"), ["Coffee"]],
  ["rangeAdjacent", (q) => q.rangeAdjacent("span", "[9,10)"), ["Coffee"]],
  ["textSearch", (q) => q.textSearch("name", "milk", { type: "plain" }), ["milk"]],
  ["match", (q) => q.match({ status: "open", id: 3 }), ["milk"]],
  ["not", (q) => q.not("id", "in", "(1,3)"), ["Coffee"]],
  ["or", (q) => q.or("id.eq.1,and(id.gt.2,status.eq.open)"), ["tea", "milk"]],
  ["filter", (q) => q.filter("name", "in", '("tea","Coffee")'), ["tea", "Coffee"]],
]) await check(what, by(filter), names(expected));

await check("order", orders().select("name").order("price", { ascending: false, nullsFirst: false }), names(["Coffee", "tea", "milk"]));
await check("limit", by((q) => q.limit(2)), names(["tea", "Coffee"]));
await check("range", by((q) => q.range(1, 2)), names(["Coffee", "milk"]));
await check("count", orders().select("name", { count: "exact" }).order("id").limit(1), { ...names(["tea"]), total: 3 });
await check("head", orders().select("*", { count: "exact", head: true }), { total: 3, error: null });
await check("single", orders().select("name").eq("id", 1).single(), { data: { name: "tea" }, error: null });
await check("single of none", orders().select("name").eq("id", 9).single(), { data: null, code: "PGRST116", status: 406 });
await check("maybeSingle", orders().select("name").eq("id", 9).maybeSingle(), { data: null, error: null });
await check("csv", orders().select("id,name").eq("id", 1).csv(), { data: "id,name\n1,tea" });

await check("insert", orders().insert({ name: "one" }), { data: null, status: 201 });
await check("insert and select", orders().insert({ name: "two", tags: ["x"] }).select("name,tags").single(), { data: { name: "two", tags: ["x"] }, error: null });
await check("insert many", orders().insert([{ name: "three", price: 3 }, { name: "four" }]).select("name,price"), { data: [{ name: "three", price: 3 }, { name: "four", price: null }] });
await check("insert many with defaults", orders().insert([{ name: "five", status: "new" }, { name: "six" }], { defaultToNull: false }).select("name,status"), { data: [{ name: "five", status: "new" }, { name: "six", status: "open" }] });
await check("a duplicate", orders().insert({ id: 1, name: "x" }), { data: null, code: "23505", status: 409 });
await check("a check", orders().insert({ name: "x", status: "bad" }), { code: "23514", status: 400 });
await check("upsert", orders().upsert([{ id: 1, name: "TEA" }, { id: 100, name: "new" }]).select("id,name").order("id"), { data: [{ id: 1, name: "TEA" }, { id: 100, name: "new" }] });
await check("upsert without duplicates", orders().upsert({ id: 1, name: "no" }, { ignoreDuplicates: true }).select(), { data: [] });
await check("update", orders().update({ status: "done" }).eq("id", 1).select("id,status"), { data: [{ id: 1, status: "done" }] });
await check("update without rows", orders().update({ status: "done" }, { count: "exact" }).gt("id", 2), { data: null, total: 8, error: null });
await check("update of all is refused", orders().update({ status: "done" }), { code: "21000", status: 400 });
await check("delete", orders().delete({ count: "exact" }).gte("id", 4).select("name"), { total: 7, error: null });
await check("embedding is refused", orders().select("id, customers(*)"), { code: "PGRST100", status: 400 });
await check("an unknown column", orders().select("nonsense"), { code: "42703", status: 400 });
await check("an unknown table", db.from("nonsense").select(), { code: "PGRST205", status: 404 });
await check("another schema", db.schema("sales").from('"Order Lines"').select("c").eq("a", 2), { data: [{ c: "c" }] });
console.log(`ok: ${count} uses of @supabase/postgrest-js`);
