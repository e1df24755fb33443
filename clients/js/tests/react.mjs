/** `plank-client/react` with React 18 and 19, in a real Chromium, against a real plank. */
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { before, describe, test } from "node:test";
import { bundle, HERE, known, page, plankWith, site, until } from "./support.mjs";

const TODOS = `create table todos (id bigint generated always as identity primary key, name text not null, status text not null default 'open');
  insert into todos (name) values ('tea'), ('milk'); select plank.watch('todos', writable => true)`;
const REACT_18 = { alias: { react: "react18", "react-dom": "react-dom18" } };

/** What a module exports that renders as a server does. */
async function rendered(source, options) {
  const stdin = { contents: source, resolveDir: HERE };
  const text = await bundle("", { ...options, entryPoints: undefined, stdin, platform: "node", format: "cjs", outdir: undefined, jsx: "automatic" });
  const module = { exports: {} };
  new Function("module", "exports", "require", text)(module, module.exports, createRequire(import.meta.url));
  return module.exports;
}

for (const [version, options] of [["18", REACT_18], ["19", {}]]) {
  describe(`React ${version}`, () => {
    let plank, web, script, web_of, page_of, html;
    before(async () => {
      script = await bundle(`${HERE}page.jsx`, { ...options, jsx: "automatic" });
      web = await site(() => `window.PLANK = "${plank.url}/ws";\n${script}`);
      page_of = await bundle(`${HERE}suspense.jsx`, { ...options, jsx: "automatic" });
      web_of = await site(() => `window.PLANK ??= "${plank.url}/ws";\n${page_of}`, 0, () => html);
      plank = await plankWith(TODOS, "--allowed-origin", web, "--allowed-origin", web_of);
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

    describe("suspense", () => {
      before(() => plank.sql("insert into todos (name, status) values ('was done', 'past'), ('will be', 'later')"));
      const shown = (tab) => tab.$$eval("li", (all) => all.filter((each) => each.checkVisibility()).map((each) => each.textContent).join());

      /** A page, its faults, and what it has asked for. */
      async function opened(init) {
        const tab = await page();
        const faults = [];
        const asked = [];
        tab.on("pageerror", (error) => faults.push(`${error}`));
        tab.on("console", (message) => message.type() === "error" && faults.push(message.text()));
        tab.on("websocket", (socket) => socket.on("framesent", ({ payload }) => {
          const { type, table, filter } = JSON.parse(payload);
          if (type === "subscribe") asked.push(`${table} ${filter}`);
        }));
        await tab.addInitScript(init);
        await tab.goto(web_of);
        return { tab, faults, asked };
      }

      for (const with_client of [true, false]) {
        test(`a component waits for its rows${with_client ? "" : ", with a client of the provider"}; each is subscribed to once`, async () => {
          html = "";
          const { tab, faults, asked } = await opened(`window.WITH_CLIENT = ${with_client}`);
          await until("all is there", async () => (await shown(tab)).includes("tea") && (await tab.textContent("p")) === "tea" && (await tab.textContent("em")) === "unknown_table");
          assert.equal(await tab.$("i"), null, "the fallback has gone");
          const first = await tab.evaluate(() => window.commits);
          // Before the provider has a client there is nothing to wait for.
          assert.deepEqual(first.filter((commit) => !/live [1-9]/.test(commit)), with_client ? [] : first.filter((commit) => commit === "open: loading 0"));
          assert.equal(new Set(asked).size, asked.length, `nothing is asked for twice: ${asked}`);
          await tab.click("#past");
          await until("another query is there", async () => (await shown(tab)) === "was done");
          await tab.click("#later");
          await until("a transition is there", async () => (await shown(tab)) === "will be");
          const commits = await tab.evaluate(() => window.commits);
          assert.deepEqual([...new Set(commits.filter((commit) => !commit.startsWith("open")))], ["past: live 1", "later: live 1"]);
          await plank.sql("insert into todos (name, status) values ('more', 'later')");
          await until("and it is live", async () => (await shown(tab)).includes("more"));
          await plank.sql("delete from todos where name = 'more'");
          assert.deepEqual(faults, []);
          await tab.close();
        });
      }

      test("over what a server has rendered it waits without a word, and then has its rows", async () => {
        const source = `
          import { createElement } from "react";
          import { renderToString } from "react-dom/server";
          import { App } from "./suspense.jsx";
          globalThis.WebSocket = class { constructor() { throw new Error("it connects"); } };
          export const html = renderToString(createElement(App, { url: "http://127.0.0.1:1/ws" }));`;
        html = (await rendered(source, options)).html;
        assert.match(html, /<ul><\/ul>/, "a server does not wait");
        const { tab, faults } = await opened("window.WITH_CLIENT = true");
        await until("rows are there", async () => (await shown(tab)).includes("tea"));
        assert.deepEqual(faults, []);
        await tab.close();
      });

      test("while nothing answers it waits; a client that is closed is an error, and no wait", async () => {
        html = "";
        const { tab } = await opened('window.WITH_CLIENT = true; window.PLANK = "ws://127.0.0.1:9/ws"');
        await until("the fallback is there", async () => (await tab.textContent("i")) === "loading");
        await tab.evaluate(() => window.client.close());
        await until("it is refused", async () => (await tab.evaluate(() => window.commits.at(-1))) === "open: refused 0");
        await tab.close();
      });
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
      assert.equal((await rendered(source, options)).html.replaceAll("&quot;", '"'), '[[],"loading",null,"connecting",null]');
    });
  });
}
