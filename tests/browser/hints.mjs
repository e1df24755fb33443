/** What is pure behind the filter box and the links: what may come next, what is no column, and where a row leads. No browser. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { choicesFor, mistakeIn } from "../../static/complete.js";
import { leadsOf, pointersTo } from "../../static/links.js";
import { filterOf } from "../../static/query.js";

const COLUMNS = [
  { name: "id", type: "bigint" },
  { name: "total", type: "numeric" },
  { name: "status", type: "order_status", labels: ["draft", "paid", "packed"] },
  { name: "is_gift", type: "boolean" },
  { name: "note", type: "text" },
  { name: "odd name", type: "text" },
  { name: "details", type: "jsonb" },
];
const ENTRIES = [{ row: { note: "by hand" } }, { row: { note: "by hand" } }, { row: { note: "this and that" } }, { row: { note: null } }, { row: {} }];

describe("a filter that is typed", () => {
  const labels = (text, caret = text.length) => choicesFor(text, caret, COLUMNS, ENTRIES).map(({ label }) => label);
  for (const [text, expected] of [
    ["", ["id", "total", "status", "is_gift", "note", "odd name", "details"]],
    ["to", ["total"]],
    ["t", ["total", "status", "is_gift", "note", "details"]],
    ["TOT", ["total"]],
    ["total", ["total=", "total!=", "total>", "total>=", "total<", "total<="]],
    ["note", ["note=", "note!=", "note~"]],
    ["details", ["details=null"]],
    ["status=", ["draft", "paid", "packed"]],
    ["status=p", ["paid", "packed"]],
    ["status!=pai", ["paid"]],
    ["status=paid", []],
    ["is_gift=", ["true", "false"]],
    ["note=", ["by hand"]],
    ["total>", []],
    ["nope=", []],
    ["two words", []],
    ["status=paid and is_g", ["is_gift"]],
    ["status=paid&is_gift=t", ["true"]],
    ["odd", ["odd name"]],
    ['"odd name"', ['odd name=', 'odd name!=', 'odd name~']],
  ]) {
    test(`after ${JSON.stringify(text)} may come ${expected.join(" ") || "nothing that is known"}`, () => assert.deepEqual(labels(text), expected));
  }

  test("a choice is put where the caret is, and what it makes is a filter", () => {
    const text = "status=p and total>5";
    const [paid] = choicesFor(text, "status=p".length, COLUMNS, ENTRIES);
    assert.deepEqual([paid.text, paid.caret], ["status=paid and total>5", "status=paid".length]);
    assert.equal(filterOf(paid.text, COLUMNS), "status=eq.paid&total=gt.5");
    const [odd] = choicesFor("odd", 3, COLUMNS, ENTRIES);
    assert.equal(filterOf(`${odd.text}=x`, COLUMNS), "odd%20name=eq.x");
    // Each sign that is offered is one that is read.
    for (const { name } of COLUMNS.filter((column) => column.name !== "details")) {
      const begun = name.includes(" ") ? `"${name}"` : name;
      for (const { text: typed } of choicesFor(begun, begun.length, COLUMNS, ENTRIES)) {
        assert.match(filterOf(`${typed}1`, COLUMNS), /^[\w%]+=(eq|neq|gt|gte|lt|lte|ilike)\./, typed);
      }
    }
    assert.equal(filterOf("details=null", COLUMNS), "details=is.null");
  });

  for (const [text, expected] of [
    ["totl>5", "In “totl>5” the part before > is no column. Is it total?"],
    ["status=paid and nte~x", "In “nte~x” the part before ~ is no column. Is it note?"],
    ["colour=red", "In “colour=red” the part before = is no column."],
    ["Status=paid", "In “Status=paid” the part before = is no column. Is it status?"],
    ["total>5 and status=paid", null],
    ["total=gt.5", null],
    ["odd%20name=eq.x", null],
    ['"odd name"=x', null],
    ["or=(total.gt.5,note.is.null)", null],
    ["not.and=(total.gt.5)", null],
    ["words alone", null],
    ["100", null],
    ["", null],
  ]) {
    test(`${JSON.stringify(text)} ${expected ? "has a mistake" : "has none"}`, () => assert.equal(mistakeIn(text, COLUMNS), expected));
  }
});

describe("links", () => {
  const customers = { table: "public.customers", key: ["id"], columns: [] };
  const lines = { table: "sales.lines", key: ["order_id", "line"], columns: [], references: [{ columns: ["order_id"], table: "sales.orders", to: ["id"] }] };
  const orders = {
    table: "sales.orders",
    key: ["id"],
    columns: [],
    references: [
      { columns: ["customer"], table: "public.customers", to: ["id"] },
      { columns: ["mail"], table: "public.customers", to: ["mail"] },
      { columns: ["customer", "l"], table: "sales.lines", to: ["line", "order_id"] },
      { columns: ["gone"], table: "public.gone", to: ["id"] },
    ],
  };
  const tables = [customers, lines, orders];

  test("a value leads to its row by the key, else by a filter, and null to none", () => {
    const leads = leadsOf(orders, tables);
    const row = { customer: 7, mail: "a&b@x", l: 3, gone: 1 };
    assert.deepEqual(leads.get("customer")(row), { label: "customers 7", href: "#/t/customers?row=7" });
    assert.equal(leads.get("mail")(row).href, `#/t/customers?filter=${encodeURIComponent("mail=eq.a%26b%40x")}`);
    assert.equal(leads.get("l")(row).href, "#/t/sales.lines?row=[7,3]".replace("[7,3]", "[7%2C3]").replace("%2C", ","), "the values of a key are in the order of its names");
    assert.equal(leads.get("l")({ customer: null, l: 3 }), null);
    assert.equal(leads.get("gone"), undefined, "one that may not be seen");
  });

  test("a row is told which tables point to it, and how their rows are found", () => {
    assert.deepEqual(pointersTo(customers, { id: 7, mail: null }, tables), [
      { table: "sales.orders", columns: ["customer"], filter: "customer=eq.7", href: `#/t/sales.orders?filter=${encodeURIComponent("customer=eq.7")}` },
    ]);
    assert.equal(pointersTo(lines, { order_id: 1, line: 2 }, tables)[0].filter, "customer=eq.2&l=eq.1");
    assert.deepEqual(pointersTo(orders, {}, tables), []);
  });
});
