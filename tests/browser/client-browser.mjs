/** plank.js as a page has it: in a real Chromium, from a real plank, under its content security policy; with WebSockets and without. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { chromium } from "playwright-core";
import { call, CHROMIUM, CHROMIUM_ARGS, listed, missing, Server, until, Watched } from "./support.mjs";

const reason = missing();
if (reason) {
  console.log(`skipped: the client in a browser, because there is ${reason}`);
  test("the client in a browser can be tested", { skip: process.env.CI === "true" ? false : reason }, () => assert.fail(reason));
} else {
  describe("the client in a browser", { timeout: 180_000 }, suite);
}

function suite() {
  let server;
  let browser;

  before(async () => {
    server = await Server.start();
    browser = await chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_ARGS });
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  /** A page of plank's that has another client than its own, and what that shows. */
  async function follow(prepare) {
    const watched = await Watched.open(browser, server.url, {}, prepare);
    watched.allow(/ERR_CONNECTION|ERR_EMPTY_RESPONSE|ERR_INCOMPLETE|ERR_SOCKET|WebSocket connection to .* failed|status of 503/);
    await watched.page.evaluate(async () => {
      const { connect } = await import(new URL("static/plank.js", document.baseURI));
      const seqs = [];
      const client = connect("ws");
      const items = client.subscribe({ table: "items", snapshot: true }, { changes: ({ changes }) => seqs.push(...changes.map(({ seq }) => seq)) });
      window.followed = () => ({ rows: [...items.rows.values()], live: items.live, transport: client.state.transport, seqs });
    });
    return watched;
  }

  const followed = ({ page }) => page.evaluate(() => window.followed());

  async function shows_the_table(watched) {
    const table = JSON.stringify(await listed(server));
    const sorted = (rows) => JSON.stringify(rows.sort((a, b) => b.id - a.id));
    await until("its rows are those of the table", async () => sorted((await followed(watched)).rows) === table);
  }

  async function write() {
    for (const name of ["a", "b", "c"]) {
      const { id } = await call(server, "POST", "/api/items", { name });
      if (name === "b") await call(server, "PATCH", `/api/items/${id}`, { status: "done" });
      if (name === "c") await call(server, "DELETE", `/api/items/${id}`);
    }
  }

  const blocked = (page) => page.routeWebSocket(/\/ws$/, (socket) => socket.close({ code: 1011, reason: "blocked" }));

  for (const [name, transport, prepare] of [
    ["a WebSocket", "ws", undefined],
    ["streams, where WebSockets are closed before they say anything", "sse", blocked],
  ]) {
    test(`over ${name}: its rows are the table, also after the server was killed`, async () => {
      const watched = await follow(prepare);
      await until("it is live", async () => (await followed(watched)).live, 30_000);
      await write();
      await shows_the_table(watched);
      assert.equal((await followed(watched)).transport, transport);
      await server.kill();
      await until("it has noticed", async () => !(await followed(watched)).live);
      await server.start();
      await write();
      await until("it is live again", async () => (await followed(watched)).live, 60_000);
      await write();
      await shows_the_table(watched);
      const { seqs } = await followed(watched);
      assert.deepEqual([seqs.length, new Set(seqs).size], [15, 15], "each change once");
      assert.deepEqual(watched.faults(), []);
      await watched.context.close();
    });
  }
}
