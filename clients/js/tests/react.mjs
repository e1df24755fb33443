/** `plank-client/react` with React 18 and 19, in a real Chromium, against a real plank. */
import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { bundle, HERE, known, page, plankWith, site, until } from "./support.mjs";

const TODOS = `create table todos (id bigint generated always as identity primary key, name text not null, status text not null default 'open');
  insert into todos (name) values ('tea'), ('milk'); select plank.watch('todos', writable => true)`;
const REACT_18 = { alias: { react: "react18", "react-dom": "react-dom18" } };

for (const [version, options] of [["18", REACT_18], ["19", {}]]) {
  describe(`React ${version}`, () => {
    let plank, web, script;
    before(async () => {
      script = await bundle(`${HERE}page.jsx`, { ...options, jsx: "automatic" });
      web = await site(() => `window.PLANK = "${plank.url}/ws";\n${script}`);
      plank = await plankWith(TODOS, "--allowed-origin", web);
      await known(plank, "todos");
    });

    test("rows are drawn when they change, and only then; parts that ask for the same share a subscription; StrictMode opens no second one", async () => {
      const tab = await page();
      const faults = [];
      const frames = [];
      tab.on("pageerror", (error) => faults.push(`${error}`));
      tab.on("console", (message) => message.type() === "error" && faults.push(message.text()));
      tab.on("websocket", (socket) => socket.on("framesent", ({ payload }) => frames.push(JSON.parse(payload))));
      await tab.goto(web);
      const names = () => tab.$$eval("ul:first-of-type li", (all) => all.map((each) => each.textContent).sort().join());
      await until("both rows are there", async () => (await names()) === "milk,tea");
      await until("so is the one row", async () => (await tab.textContent("p")) === "tea");
      await until("a refusal is shown", async () => (await tab.textContent("em")) === "refused unknown_table");
      assert.equal(await tab.getAttribute("main", "data-phase"), "open");

      await until("all is live", async () => (await tab.$$eval("[data-status]", (all) => all.map(({ dataset }) => dataset.status).join())) === "live,live,live");
      const drawn = await tab.evaluate(() => [window.drawn, window.snapshots.size]);
      await plank.sql("insert into todos (name) values ('bread'); insert into todos (name, status) values ('not to be seen', 'done')");
      await until("the third is there", async () => (await names()) === "bread,milk,tea");
      const again = await tab.evaluate(() => [window.drawn, window.snapshots.size]);
      assert.equal(again[1], drawn[1] + 1, "one new list for one batch");

      await tab.click("#add");
      await until("a write is shown", async () => (await names()) === "bread,from the page,milk,tea");
      assert.equal(await plank.sql("select count(*) from todos where name = 'from the page'"), "1");

      const asked = () => frames.filter(({ type, filter }) => type === "subscribe" && filter === "status=eq.open").length;
      const before = asked();
      await tab.click("#hide");
      await tab.click("#hide");
      await until("they are there again", async () => (await names()) === "bread,from the page,milk,tea");
      assert.equal(asked(), before, "what goes and comes at once subscribes to nothing anew");
      await tab.click("#switch");
      await until("another query has its own rows", async () => (await names()) === "not to be seen");
      await until("the one that nothing draws is unsubscribed", () => frames.some(({ type }) => type === "unsubscribe"));

      await plank.end();
      await until("rows stay, and are stale", async () => (await tab.getAttribute("ul", "data-status")) === "stale" && (await names()) === "not to be seen");
      await plank.start();
      await until("they are live again", async () => (await tab.getAttribute("ul", "data-status")) === "live");
      assert.deepEqual(faults.filter((fault) => !/ERR_CONNECTION|WebSocket/.test(fault)), []);
      await tab.close();
    });

    test("another token makes neither a connection nor a subscription", async () => {
      const tab = await page();
      const frames = [];
      let sockets = 0;
      tab.on("websocket", (socket) => {
        sockets += 1;
        socket.on("framesent", ({ payload }) => frames.push(JSON.parse(payload)));
      });
      await tab.addInitScript(() => (window.WITH_TOKEN = true));
      await tab.goto(web);
      await until("it is connected", async () => (await tab.getAttribute("main", "data-phase")) === "open");
      const before = [sockets, frames.length];
      await tab.evaluate(() => window.setToken("two"));
      await plank.sql("insert into todos (name) values ('after')");
      await until("rows go on", async () => (await tab.$$eval("li", (all) => all.map((each) => each.textContent).join())).includes("after"));
      assert.deepEqual([sockets, frames.filter(({ type }) => type === "subscribe").length > 0, before[0]], [before[0], true, sockets]);
      await tab.close();
    });

    test("a server that renders gives the empty state, and connects to nothing", async () => {
      const source = `
        import { createElement } from "react";
        import { renderToString } from "react-dom/server";
        import { PlankProvider, useConnection, usePlank, useRow, useRows } from "plank-client/react";
        globalThis.WebSocket = class { constructor() { throw new Error("it connects"); } };
        function Page() {
          const { rows, status } = useRows({ table: "todos" });
          return JSON.stringify([rows, status, useRow("todos", { id: 1 }).row, useConnection().phase, usePlank()]);
        }
        export const html = renderToString(createElement(PlankProvider, { url: "http://127.0.0.1:1/ws" }, createElement(Page)));`;
      const text = await bundle("", { ...options, entryPoints: undefined, stdin: { contents: source, resolveDir: HERE }, platform: "node", format: "cjs", outdir: undefined });
      const module = { exports: {} };
      const { createRequire } = await import("node:module");
      new Function("module", "exports", "require", text)(module, module.exports, createRequire(import.meta.url));
      assert.equal(module.exports.html.replaceAll("&quot;", '"'), '[[],"loading",null,"connecting",null]');
    });
  });
}
