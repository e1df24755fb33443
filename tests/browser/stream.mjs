/**
 * A real EventSource of a real Chromium on /api/stream: what its page shows is the table, also when the server was
 * killed and is started again. The page does nothing for it: the browser comes back by itself.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { chromium } from "playwright-core";
import { call, CHROMIUM, CHROMIUM_ARGS, listed, missing, Server, until } from "./support.mjs";

const reason = missing();
if (reason) {
  console.log(`skipped: the EventSource tests, because there is ${reason}`);
  test("the EventSource tests can run", { skip: process.env.CI === "true" ? false : reason }, () => assert.fail(reason));
} else {
  describe("EventSource", { timeout: 180_000 }, suite);
}

function suite() {
  let server;
  let browser;
  let page;

  before(async () => {
    server = await Server.start();
    browser = await chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_ARGS });
    page = await (await browser.newContext()).newPage();
    await page.goto(server.url);
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  /** Keeps the rows of a table as PROTOCOL.md says: whole batches, and an unfinished one is thrown away. */
  function follow(url) {
    const seen = { rows: {}, seqs: [], opened: 0, failed: 0, resets: 0, live: 0 };
    let batch = [];
    let snapshot = [];
    window.seen = seen;
    const source = (window.source = new EventSource(url));
    const on = (kind, handle) => source.addEventListener(kind, (event) => handle(JSON.parse(event.data)));
    source.addEventListener("open", () => (seen.opened += 1));
    source.addEventListener("error", () => {
      seen.failed += 1;
      batch = snapshot = [];
    });
    on("reset", () => (seen.resets += 1));
    on("subscribed", () => (seen.live += 1));
    on("snapshot", ({ rows, more }) => {
      snapshot.push(...rows);
      if (!more) seen.rows = Object.fromEntries(snapshot.splice(0).map((row) => [row.id, row.version]));
    });
    on("changes", ({ changes, last }) => {
      batch.push(...changes);
      if (!last) return;
      for (const { op, key, row, seq } of batch.splice(0)) {
        seen.seqs.push(seq);
        if (op === "delete") delete seen.rows[key.id];
        else seen.rows[key.id] = row.version;
      }
    });
  }

  const seen = () => page.evaluate(() => window.seen);

  async function shows_the_table() {
    const table = Object.fromEntries((await listed(server)).map(({ id, version }) => [id, version]));
    await until("the page has the rows of the table", async () => {
      const { rows } = await seen();
      return Object.keys(rows).length === Object.keys(table).length && Object.entries(table).every(([id, version]) => rows[id] === version);
    });
  }

  async function write(count) {
    for (let at = 0; at < count; at += 1) {
      const row = await call(server, "POST", "/api/items", { name: `n${at}` });
      if (at % 3 === 1) await call(server, "PATCH", `/api/items/${row.id}`, { status: "done" });
      if (at % 3 === 2) await call(server, "DELETE", `/api/items/${row.id}`);
    }
  }

  test("the snapshot and the changes are the table", async () => {
    await write(5);
    await page.evaluate(follow, "api/stream?table=items&snapshot=1");
    await until("it is live", async () => (await seen()).live === 1);
    await write(6);
    await shows_the_table();
    const { seqs } = await seen();
    assert.equal(seqs.length, 6 + 2 + 2);
  });

  test("the browser comes back by itself after a kill and after an orderly stop, and nothing is lost or comes twice", async () => {
    for (const [round, end] of [() => server.kill(), () => server.end()].entries()) {
      const before_it = await seen();
      await end();
      await until("the page has noticed", async () => (await seen()).failed > before_it.failed);
      await server.start();
      // Before the browser is back: it has to catch up with these.
      await write(6);
      await until("it is live again", async () => (await seen()).live > before_it.live);
      await write(3);
      await shows_the_table();
      const { seqs, resets, opened } = await seen();
      assert.equal(new Set(seqs).size, seqs.length, "nothing came twice");
      assert.equal(seqs.length, before_it.seqs.length + 10 + 5);
      assert.deepEqual([resets, opened], [0, 2 + round]);
    }
  });

  test("an address that is wrong ends it for good", async () => {
    const state = await page.evaluate(async () => {
      const source = new EventSource("api/stream?table=nope");
      await new Promise((resolve) => source.addEventListener("error", resolve));
      return source.readyState;
    });
    assert.equal(state, 2);
  });
}
