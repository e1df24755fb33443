/**
 * The code that the dashboard offers for a view (static/snippets.js): each runs as it stands, with nothing filled in, has the first rows of the
 * view in their order, and the ones that follow a table have what changes.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { PLANK_BIN } from "../../../tests/browser/support.mjs";
import { ROWS, snippetsOf } from "../../../static/snippets.js";
import { bundle, HERE, page, plankWith, run, until } from "./support.mjs";

/** A browser says a hundred rows slowly on a machine that does other things as well. */
const BROWSER_MAX_MS = 45_000;
const PYTHON = process.env.PLANK_PYTHON ?? "python3";
const VIEWS = [
  { what: "all of a table", view: { table: "public.orders", key: ["id"], names: null, filter: "", order: "" }, where: "true", by: "id", shown: ["id", "item", "total", "at"] },
  {
    what: "a filter, an order and some columns",
    view: { table: "public.orders", key: ["id"], names: ["id", "total"], filter: "or=(item.ilike.%22*it%27s*%22)&total=gt.3", order: "at.desc.nullslast,total,id" },
    where: "item ilike '%it''s%' and total > 3",
    by: "at desc nulls last, total, id",
    shown: ["id", "total"],
  },
  { what: "names that need quotes", view: { table: 'sales."Order Lines"', key: ["id"], names: ["id", "a,b"], filter: "id=gt.2", order: '"a,b".desc,id' }, where: "id > 2", by: '"a,b" desc, id', shown: ["id", "a,b"] },
];

let server, directory;
const children = [];

before(async () => {
  directory = await mkdtemp(join(tmpdir(), "plank-snippets-"));
  server = await plankWith(`create table orders (id int primary key, item text, total numeric, at timestamptz);
    insert into orders select i, case when i % 2 = 0 then 'it''s ' || i else 'tea' end, i % 9, case when i % 5 > 0 then timestamptz '2026-11-30 18:00Z' - i % 30 * interval '1 hour' end from generate_series(1, 300) i;
    create schema sales; create table sales."Order Lines" (id int primary key, "a,b" int, c text); insert into sales."Order Lines" select i, i % 4, 'x' from generate_series(1, 20) i;
    select plank.watch('orders'); select plank.watch('sales."Order Lines"')`);
});

after(async () => {
  for (const child of children) child.kill("SIGKILL");
  await rm(directory, { recursive: true, force: true });
});

const environment = () => ({ ...process.env, PATH: `${dirname(PLANK_BIN)}:${process.env.PATH}`, PYTHONPATH: new URL("../../python/src", import.meta.url).pathname });

/** What a program says, while it runs. */
function start(command, ...given) {
  const child = spawn(command, given, { env: environment(), stdio: ["ignore", "pipe", "pipe"] });
  child.said = child.failed = "";
  child.stdout.setEncoding("utf8").on("data", (text) => (child.said += text));
  child.stderr.setEncoding("utf8").on("data", (text) => (child.failed += text));
  children.push(child);
  return child;
}

/** A page of plank's own origin with this script. */
async function pageWith(script) {
  const tab = await page();
  tab.said = [];
  tab.on("console", async (message) => tab.said.push(await message.args()[0]?.jsonValue()));
  await tab.route("**/snippet.html", (route) => route.fulfill({ contentType: "text/html", body: '<!doctype html><body><script type="module" src="/snippet.js"></script>' }));
  await tab.route("**/snippet.js", (route) => route.fulfill({ contentType: "text/javascript", body: script }));
  await tab.goto(`${server.url}/snippet.html`);
  return tab;
}

const ids = (rows) => (Array.isArray(rows) ? rows.map(({ id }) => id).join() : "");

for (const [number, { what, view, where, by, shown }] of VIEWS.entries()) {
  describe(what, { timeout: 300_000 }, () => {
    const relation = view.table;
    const code = (name) => snippetsOf({ ...view, base: `${server.url}/` })[name];
    const expected = () => server.sql(`select string_agg(id::text, ',' order by n) from (select id, row_number() over (order by ${by}) as n from ${relation} where ${where} order by n limit ${ROWS}) t`);
    /** Deletes the first row of the view, so that all others move up. @returns {Promise<string>} Its id. */
    const change = async () => {
      const [first] = (await expected()).split(",");
      await server.sql(`delete from ${relation} where id = ${first}`);
      return first;
    };

    test("curl", async () => {
      const { stdout } = await run("bash", ["-c", code("curl")]);
      const rows = JSON.parse(stdout);
      assert.equal(ids(rows), await expected());
      assert.deepEqual(Object.keys(rows[0]).sort(), [...shown].sort());
    });

    test("plank tail", async () => {
      const tail = start("bash", "-c", `exec ${code("plank tail")}`);
      const lines = () => tail.said.split("\n").filter(Boolean).map((line) => JSON.parse(line));
      const wanted = await expected();
      await until("the rows", () => ids(lines().filter(({ op }) => op === "row").map(({ row }) => row)) === wanted).catch(({ message }) => assert.fail(`${message}: ${tail.said.slice(0, 400)} ${tail.failed}`));
      // A name with a comma can't be among its columns.
      if (!shown.includes("a,b")) assert.deepEqual(Object.keys(lines()[0].row).sort(), [...shown].sort());
      const gone = await change();
      await until("a change", () => lines().some(({ op, key }) => op === "delete" && String(key?.id) === gone));
      tail.kill();
    });

    test("plank.js", async () => {
      const tab = await pageWith(code("plank.js"));
      const wanted = await expected();
      await until("the rows", () => ids(tab.said.at(-1)) === wanted, BROWSER_MAX_MS);
      await change();
      const moved = await expected();
      await until("a change", () => ids(tab.said.at(-1)) === moved, BROWSER_MAX_MS);
      assert.deepEqual(Object.keys(tab.said.at(-1)[0]).sort(), [...shown].sort());
      await tab.close();
    });

    test("React", async () => {
      await writeFile(join(directory, `snippet-${number}.jsx`), code("React"));
      const entry = join(directory, `entry-${number}.jsx`);
      await writeFile(entry, `import { createRoot } from "react-dom/client"; import { App } from "./snippet-${number}.jsx"; createRoot(document.body.appendChild(document.createElement("main"))).render(<App />);`);
      const tab = await pageWith(await bundle(entry, { jsx: "automatic", nodePaths: [join(HERE, "../node_modules")] }));
      const rows = async () => ids(JSON.parse((await tab.locator('pre[data-status="live"]').textContent({ timeout: BROWSER_MAX_MS })) || "null"));
      const wanted = await expected();
      await until("the rows", async () => (await rows()) === wanted, BROWSER_MAX_MS);
      await change();
      const moved = await expected();
      await until("a change", async () => (await rows()) === moved, BROWSER_MAX_MS);
      await tab.close();
    });

    test("Python", async () => {
      const file = join(directory, `snippet-${number}.py`);
      await writeFile(file, code("Python"));
      const python = start(PYTHON, "-u", file);
      const wanted = await expected();
      await until("the rows", () => [...python.said.matchAll(/^\{.*'id': (\d+)/gm)].map(([, id]) => id).join() === wanted).catch(({ message }) => assert.fail(`${message}: ${python.said.slice(0, 400)} ${python.failed}`));
      const gone = await change();
      await until("a change", () => python.said.includes(`delete {'id': ${gone}}`));
      python.kill();
    });
  });
}

test("where people have to log in each of them has a place for the token", () => {
  const all = snippetsOf({ ...VIEWS[0].view, base: "https://plank.example/", has_auth: true });
  assert.match(all.curl, /^curl -H "Authorization: Bearer \$PLANK_TOKEN" 'https:/);
  assert.match(all["plank.js"], /connect\("https:\/\/plank\.example\/ws", \{ auth: token \}\)/);
  assert.match(all.React, /auth=\{token\}/);
  assert.match(all.Python, /token=os\.environ\["PLANK_TOKEN"\]/);
});
