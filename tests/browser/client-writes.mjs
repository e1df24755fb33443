/**
 * `client.table()` of plank.js in two pages of a real Chromium beside a real plank: what one writes at once, what the other sees, and
 * what becomes of a write when the server refuses it, the network is cut behind it, or the server ends in the middle.
 */
import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { chromium } from "playwright-core";
import { call, CHROMIUM, CHROMIUM_ARGS, listed, missing, Server, until, Watched } from "./support.mjs";

const reason = missing();
if (reason) {
  console.log(`skipped: writes of the client in a browser, because there is ${reason}`);
  test("writes of the client can be tested", { skip: process.env.CI === "true" ? false : reason }, () => assert.fail(reason));
} else {
  describe("writes of the client", { timeout: 240_000 }, suite);
}

/** A page with a client of its own; it writes down every state of a row that it shows, each once. */
async function open(browser, server, prepare) {
  const watched = await Watched.open(browser, server.url, {}, prepare);
  watched.allow(/ERR_|WebSocket connection to .* failed|status of (4|5)\d\d/);
  await watched.page.evaluate(async () => {
    const { connect } = await import(new URL("static/plank.js", document.baseURI));
    const client = (window.client = connect("ws"));
    const items = (window.items = client.subscribe({ table: "items", snapshot: true }, { live: note, changes: note, pending: note }));
    window.table = client.table("items");
    window.history_of = {};
    window.twice = [];
    function note() {
      const now = {};
      for (const [key, { name, status, version }] of items.rows) (now[key] = `${name} ${status} ${version ?? "?"}`);
      for (const key of new Set([...Object.keys(now), ...Object.keys(window.history_of)])) {
        const seen = (window.history_of[key] ??= []);
        if (seen.at(-1) !== (now[key] ?? "gone")) seen.push(now[key] ?? "gone");
      }
      const names = [...items.rows.values()].map(({ name }) => name);
      if (new Set(names).size < names.length) window.twice.push(names);
    }
    // What a promise gave, and what `rows` showed when it did.
    window.write = (op, ...args) =>
      window.table[op](...args).then(
        (row) => ({ row, shown: row && items.rows.get(`${row.id}`), pending: items.pending.size }),
        ({ name, status, code, message, column }) => ({ error: { name, status, code, message, column }, pending: items.pending.size }),
      );
  });
  await until("it is live", () => watched.page.evaluate(() => window.items.live && !window.items.catching_up), 30_000);
  const write = (...args) => watched.page.evaluate((given) => window.write(...given), args);
  const history = (id) => watched.page.evaluate((key) => window.history_of[key], `${id}`);
  const rows = () => watched.page.evaluate(() => [...window.items.rows.values()].sort((a, b) => b.id - a.id));
  return Object.assign(watched, { write, history, rows });
}

function blocked(page) {
  return page.routeWebSocket(/\/ws$/, (socket) => socket.close({ code: 1011, reason: "blocked" }));
}

function suite() {
  let server;
  let browser;
  let pages = [];

  before(async () => {
    server = await Server.start();
    browser = await chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_ARGS });
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  beforeEach(() => (pages = []));

  afterEach(async () => {
    for (const page of pages) {
      assert.deepEqual(page.faults(), []);
      await page.context.close();
    }
  });

  async function page(prepare) {
    const opened = await open(browser, server, prepare);
    pages.push(opened);
    return opened;
  }

  async function all_show_the_table() {
    const table = JSON.stringify(await listed(server));
    for (const each of pages) await until("its rows are those of the table", async () => JSON.stringify(await each.rows()) === table);
  }

  for (const [transport, prepare] of [["ws", undefined], ["sse", blocked]]) {
    test(`over ${transport}: a promise resolves when rows shows the write, and another page sees it`, async () => {
      const [one, two] = [await page(prepare), await page()];
      assert.equal(await one.page.evaluate(() => window.client.state.transport), transport);
      const made = await one.write("insert", { name: `new-${transport}`, data: { b: 1, a: [true, null] } });
      assert.deepEqual([made.shown, made.pending, made.row.version], [made.row, 0, 1]);
      const { id } = made.row;
      const changed = await one.write("update", { id }, { status: "active" });
      assert.deepEqual([changed.shown, changed.row.version], [changed.row, 2]);
      assert.deepEqual(await one.history(id), [`new-${transport} open 1`, `new-${transport} active 1`, `new-${transport} active 2`]);
      assert.deepEqual(await one.page.evaluate(() => window.twice), [], "it is never there twice");
      await all_show_the_table();
      const gone = await two.write("delete", { id });
      assert.deepEqual([gone.row.version, gone.shown], [2, undefined]);
      await until("the other page sees it", async () => (await one.history(id)).at(-1) === "gone");
      const many = await one.page.evaluate(async (of) => {
        const rows = await window.table.insert([{ name: `m1-${of}` }, { name: `m2-${of}`, status: "done" }]);
        return rows.every(({ id: key, name }) => window.items.rows.get(`${key}`).name === name) && rows.length;
      }, transport);
      assert.equal(many, 2);
      await all_show_the_table();
    });
  }

  test("two pages that change one row, again and again: each ends with the table, and none goes back", async () => {
    const [one, two] = [await page(), await page()];
    const { id } = await call(server, "POST", "/api/items", { name: "both" });
    await until("both have it", async () => (await one.history(id)) && (await two.history(id)));
    await Promise.all([one, two].map(({ page: each }, at) => each.evaluate(async ([key, of]) => {
      for (let turn = 0; turn < 20; turn += 1) await window.table.update({ id: key }, { name: `page${of}-${turn}` });
    }, [id, at])));
    await all_show_the_table();
    for (const each of pages) {
      const seen = (await each.history(id)).map((text) => Number(text.split(" ").at(-1)));
      assert.deepEqual(seen, [...seen].sort((a, b) => a - b), `versions: ${seen}`);
    }
  });

  test("what is refused is taken back, and says why", async () => {
    const one = await page();
    const { id, version } = await call(server, "POST", "/api/items", { name: "firm" });
    await until("it is there", () => one.history(id));
    for (const [given, expected] of [
      [["update", { id }, { name: null }], { status: 400, code: "23502", column: "name" }],
      [["update", { id }, { status: "nonsense" }], { status: 400, code: "23514" }],
      [["update", { id }, { version: "x" }], { status: 400, code: "22P02" }],
      [["update", { id }, { nonsense: 1 }], { status: 400, code: "PGRST204" }],
      [["update", { id }, { name: "late" }, { ifMatch: { version: version + 5 } }], { status: 412, code: "PGRST412", column: null }],
      [["delete", { id }, { ifMatch: { version: version + 5 } }], { status: 412 }],
      [["update", { id: 999_999 }, { name: "n" }], { status: 404 }],
      [["insert", { name: "" }], { status: 400, code: "23514" }],
      [["insert", {}], { status: 400 }],
    ]) {
      const { error, pending } = await one.write(...given);
      assert.equal(error?.name, "WriteError", JSON.stringify(given));
      assert.ok(error.message.length > 5);
      for (const [name, value] of Object.entries(expected)) assert.deepEqual(error[name], value, `${JSON.stringify(given)} ${JSON.stringify(error)}`);
      assert.equal(pending, 0);
      await all_show_the_table();
    }
    const { row } = await one.write("update", { id }, { name: "on time" }, { ifMatch: { version } });
    assert.equal(row.version, version + 1);
  });

  /** Requests to /rest, of which `until` decides what becomes of the answer. */
  const cut = (wanted, counts) => (target) =>
    target.route("**/rest", async (route) => {
      counts.sent += 1;
      if (counts.sent > wanted) return route.continue();
      // The server has it, and the page never learns.
      await route.fetch().catch(() => {});
      return route.abort("connectionreset");
    });

  test("a write whose answer is cut off is sent again, and written once", async () => {
    const counts = { sent: 0 };
    const one = await page(cut(2, counts));
    const { row, shown, pending } = await one.write("insert", { name: "cut" });
    assert.deepEqual([shown, pending, counts.sent], [row, 0, 3]);
    assert.equal((await listed(server)).filter(({ name }) => name === "cut").length, 1);
    assert.deepEqual(await one.page.evaluate(() => window.twice), [], "it is never there twice");
    await all_show_the_table();
  });

  for (const [how, stop] of [["is killed", () => server.kill()], ["ends in order", () => server.end()]]) {
    test(`a write while the server ${how} and starts again is written once`, async () => {
      const one = await page();
      const writes = [];
      for (let at = 0; at < 12; at += 1) writes.push(one.write("insert", { name: `${how}-${at}` }));
      await delay(at_random());
      await stop();
      const late = one.write("insert", { name: `${how}-late` });
      await until("it is shown at once", () => one.page.evaluate((name) => [...window.items.rows.values()].some((row) => row.name === name), `${how}-late`));
      await server.start();
      for (const { row, shown, error } of await Promise.all([...writes, late])) {
        assert.equal(error, undefined);
        assert.deepEqual(shown, row);
      }
      const names = (await listed(server)).map(({ name }) => name).filter((name) => name.startsWith(how));
      assert.deepEqual([names.length, new Set(names).size], [13, 13], "each once");
      await all_show_the_table();
    });
  }
}

/** Somewhere in the middle of the writes. */
function at_random() {
  return Math.random() * 30;
}
