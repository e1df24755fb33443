/**
 * What the tables of the dashboard are made of, without a page: a run of rows against a sorted list, conditions behind a row, filters as
 * they are typed, numbers with all digits, cells of a spreadsheet.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seeded } from "./cutting.mjs";
import { load } from "./paper.mjs";

const { parse } = await load("exact.js");
const { pathOf, readRoute } = await load("address.js");
const { compareRows, following, orderText, readOrder, reversed, withKey } = await load("order.js");
const { chipsOf, filterOf } = await load("query.js");
const { Run, RUN_MAX } = await load("run.js");
const { areAlike, partsOf } = await load("difference.js");
const { insertText, momentText, shownText, valueOf } = await load("values.js");

const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);
const TABLE = {
  table: "public.t",
  key: ["id"],
  columns: [{ name: "id", type: "bigint" }, { name: "n", type: "numeric" }, { name: "kind", type: "mood", labels: ["sad", "glad"] }, { name: "what", type: "text" }, { name: "at", type: "timestamp with time zone" }, { name: "on", type: "boolean" }],
};

describe("a run of rows", () => {
  const random = seeded(SEED);
  const pick = (list) => list[Math.floor(random() * list.length)];
  const rowOf = (id) => ({ id, n: pick([null, 1, 2, 3, 4.5]), kind: pick(["sad", "glad", null]), what: "x", at: pick(["2026-01-01T00:00:00+00:00", "2026-01-01T00:00:00.5+00:00", null]), on: random() < 0.5 });

  for (const order of ["", "n", "n.desc,kind", "kind.desc.nullslast,n.nullsfirst", "at.desc,on"]) {
    test(`is what a sorted list has there, in the order ${order || "of the key"} (SEED=${SEED})`, () => {
      const terms = withKey(readOrder(order, TABLE), TABLE);
      const all = new Map(Array.from({ length: 600 }, (_, id) => [id, rowOf(id)]));
      const sorted = () => [...all.values()].sort((a, b) => compareRows(terms, a, b));
      for (const [from, to] of [[0, 600], [0, 200], [200, 400], [400, 700]]) {
        const run = new Run(TABLE.key);
        run.terms = terms;
        run.total = all.size;
        const rows = sorted();
        run.put(rows.slice(from, to), from, { at_start: from === 0, at_end: to >= rows.length });
        for (let step = 0; step < 400; step += 1) {
          const id = Math.floor(random() * 700);
          const op = !all.has(id) ? "insert" : random() < 0.3 ? "delete" : "update";
          const row = op === "delete" ? null : rowOf(id);
          const old = all.get(id);
          if (row) all.set(id, row);
          else all.delete(id);
          assert.ok(run.apply({ op, row, old }, JSON.stringify(id)), "this order is known here");
        }
        const now = sorted();
        assert.equal(run.total, now.length);
        // Between its ends it has no gap and nothing twice.
        const keys = run.rows.map(({ row }) => row.id);
        const begin = now.findIndex(({ id }) => id === keys[0]);
        assert.equal(run.start, begin);
        assert.deepEqual(keys, now.slice(begin, begin + keys.length).map(({ id }) => id));
        if (from === 0) assert.equal(run.rows[0].row.id, now[0].id);
        if (run.is_at_end) assert.equal(run.rows.at(-1).row.id, now.at(-1).id);
        assert.ok(run.rows.length <= RUN_MAX);
      }
    });
  }

  test("says that only PostgreSQL knows the order of texts", () => {
    const run = new Run(["id"]);
    run.terms = withKey(readOrder("what", TABLE), TABLE);
    run.put([{ id: 1, what: "a" }, { id: 2, what: "b" }], 0, { at_start: true, at_end: true });
    assert.equal(run.apply({ op: "insert", row: { id: 3, what: "ab" } }, "3"), false);
  });

  test("forgets what is far away, at either end, and joins the ends again", () => {
    const run = new Run(["id"]);
    run.terms = withKey([], TABLE);
    run.total = 5_000;
    const page = (from) => Array.from({ length: 200 }, (_, at) => ({ id: from + at }));
    run.put(page(0), 0, { at_start: true, at_end: false });
    for (let from = 200; from < 2_000; from += 200) run.append(page(from), false);
    assert.deepEqual([run.rows.length, run.start, run.rows[0].row.id, run.is_at_start], [RUN_MAX, 1_000, 1_000, false]);
    for (let from = 800; from >= 0; from -= 200) run.prepend(page(from), from === 0);
    assert.deepEqual([run.rows.length, run.start, run.rows[0].row.id, run.is_at_start, run.is_at_end], [RUN_MAX, 0, 0, true, false]);
  });
});

test("conditions behind a row select exactly the rows behind it", () => {
  const random = seeded(SEED);
  const pick = (list) => list[Math.floor(random() * list.length)];
  // What the conditions mean, read as the server reads them.
  const holds = (text, row) => {
    const group = text.match(/^(and|or)\((.*)\)$/s);
    if (group) {
      const parts = [];
      let [depth, from] = [0, 0];
      for (let at = 0; at <= group[2].length; at += 1) {
        const letter = group[2][at];
        if (letter === "(") depth += 1;
        if (letter === ")") depth -= 1;
        if (at === group[2].length || (letter === "," && depth === 0)) {
          parts.push(group[2].slice(from, at));
          from = at + 1;
        }
      }
      return group[1] === "and" ? parts.every((part) => holds(part, row)) : parts.some((part) => holds(part, row));
    }
    const [, name, not, operator, quoted] = text.match(/^(\w+)\.(not\.)?(\w+)\.(.*)$/s);
    if (operator === "is") return (row[name] === null) !== Boolean(not);
    if (row[name] === null) return false;
    const order = Number(row[name]) - Number(JSON.parse(quoted));
    return { eq: order === 0, gt: order > 0, gte: order >= 0, lt: order < 0, lte: order <= 0 }[operator];
  };
  for (let round = 0; round < 300; round += 1) {
    const order = pick(["", "n", "n.desc", "n.nullsfirst", "n.desc.nullslast,id.desc"]);
    const terms = pick([(one) => one, reversed])(withKey(readOrder(order, TABLE), TABLE));
    const rows = Array.from({ length: 30 }, (_, id) => ({ id, n: pick([null, 1, 2, 3]) })).sort((a, b) => compareRows(terms, a, b));
    const at = Math.floor(random() * rows.length);
    for (const is_with of [false, true]) {
      const lists = following(terms, rows[at], is_with).map((param) => `and${decodeURIComponent(param.slice(4))}`);
      const found = lists.flatMap((text) => rows.filter((row) => holds(text, row)));
      assert.deepEqual(found, rows.slice(is_with ? at : at + 1), `${orderText(terms)} ${JSON.stringify(rows[at])} ${lists}`);
    }
  }
});

test("numbers keep their digits, and texts that look like numbers stay", () => {
  const text = '{"a":1.50,"b":9223372036854775807,"c":"1.50","d":0.1,"e":[1e400,-0.0],"f":12,"g":"\\"1.50"}';
  const { a, b, c, d, e, f, g } = parse(text);
  assert.deepEqual([String(a), b, c, d, String(e[0]), String(e[1]), f, g], ["1.50", "9223372036854775807", "1.50", 0.1, "1e400", "-0.0", 12, '"1.50']);
  assert.equal(Number(a) + 1, 2.5);
});

test(`what differs within two values of JSON is all that makes one of the other (SEED=${SEED})`, () => {
  const random = seeded(SEED);
  const pick = (list) => list[Math.floor(random() * list.length)];
  const some = (depth) => {
    if (depth === 0 || random() < 0.3) return pick([null, 1, "1", true, "", [], {}]);
    const values = Array.from({ length: Math.floor(random() * 4) }, () => some(depth - 1));
    return random() < 0.5 ? values : Object.fromEntries(values.map((value) => [pick(["a", "b", "c", "toString"]), value]));
  };
  /** The newer value, out of the older one and what is said to differ. */
  const made = (before, after) => {
    const next = Array.isArray(after) ? [] : {};
    for (const { name, op, before: was, after: is } of partsOf(before, after)) {
      if (op === "same") next[name] = was;
      else if (op === "insert" || (op === "update" && !areAlike(was, is))) next[name] = is;
      else if (op === "update") next[name] = made(was, is);
      if (op === "update") assert.notDeepEqual(was, is);
    }
    return next;
  };
  let alike = 0;
  for (let round = 0; round < 2_000; round += 1) {
    const [before, after] = [some(3), some(3)];
    if (!areAlike(before, after)) continue;
    alike += 1;
    assert.deepEqual(made(before, after), after, JSON.stringify([before, after]));
    assert.ok(partsOf(after, after).every(({ op }) => op === "same"));
  }
  assert.ok(alike > 200, `${alike}`);
});

test("an address is read as it was written", () => {
  for (const route of [
    { view: "home" },
    { view: "activity" },
    { view: "board", filter: "status=eq.open" },
    { view: "table", name: "public.orders", filter: "a=eq.1&b=in.(1,2)", order: "a.desc,b", columns: 'a,"b,c"', row: '"x/y&z"' },
    { view: "table", name: 'sales."Order Lines"', row: "new" },
  ]) {
    const read = readRoute(pathOf(route));
    for (const [name, value] of Object.entries(route)) assert.equal(read[name], name === "name" ? value.replace("public.", "") : value, pathOf(route));
  }
  assert.deepEqual({ ...readRoute("#/tables/public.orders?total%3Dgt.5") }, { view: "table", name: "public.orders", filter: "total=gt.5", order: "", columns: "", row: "" });
  assert.equal(readRoute("#/items").view, "board");
  assert.equal(readRoute("#/%zz").view, "home");
});

test("a filter is what is typed", () => {
  for (const [typed, expected] of [
    ["", ""],
    ["n>100", "n=gt.100"],
    ["n >= 1.5", "n=gte.1.5"],
    ["id 100", "id=eq.100"],
    ["id=eq.5&n=is.null", "id=eq.5&n=is.null"],
    ["kind=sad and n<2", "kind=eq.sad&n=lt.2"],
    ["n!=3", "n=neq.3"],
    ["n=null", "n=is.null"],
    ["what~tea & milk", "or=(what.ilike.%22*what~tea%20%26%20milk*%22)"],
    ["two words", "or=(what.ilike.%22*two%20words*%22)"],
    ["nope=eq.1", "nope=eq.1"],
  ]) assert.equal(filterOf(typed, TABLE.columns), expected, typed);
  assert.deepEqual(chipsOf("n>100 and kind=sad", TABLE.columns), [{ label: "n > 100", rest: "kind=eq.sad" }, { label: "kind is sad", rest: "n=gt.100" }]);
});

test("values are shown, typed and written as SQL as PostgreSQL has them", () => {
  const column = (type, more) => ({ name: "c", type, ...more });
  assert.equal(momentText("2026-07-01T10:00:00.123456+00:00", "Europe/Berlin"), "2026-07-01 12:00:00.123456");
  assert.equal(momentText("infinity", "UTC"), "infinity");
  assert.equal(shownText(["a", null, "b c", 'q"'], column("text[]"), "UTC"), '{a,NULL,"b c","q\\""}');
  assert.deepEqual(valueOf('{a,NULL,"b c","q\\"",{1,2}}', column("text[]")), ["a", null, "b c", 'q"', ["1", "2"]]);
  assert.throws(() => valueOf("{a", column("text[]")), /Write an array/);
  assert.throws(() => valueOf("{", column("jsonb")), /This is no JSON/);
  assert.throws(() => valueOf(" ", column("integer")), /A number is needed/);
  const table = { table: "t", columns: [{ name: "Id", type: "bigint", fixed: "identity" }, { name: "b", type: "text" }, { name: "g", type: "text", fixed: "generated" }] };
  assert.equal(insertText(table, { Id: 1, b: "it's \\", g: "x" }), `insert into t ("Id", b) overriding system value values (1, E'it''s \\\\');`);
});
