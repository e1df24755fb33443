/**
 * docs/START.md, block by block: what is a command is run, what is a server is started, what is a file is saved, and pages are opened in a real
 * browser. Only the ports and the database are others.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { compile } from "svelte/compiler";
import { PLANK_BIN } from "../../../tests/browser/support.mjs";
import { bundle, HERE, page, plankWith, run, until } from "./support.mjs";

const PYTHON = process.env.PLANK_PYTHON ?? "python3";

const directory = await mkdtemp(join(tmpdir(), "plank-start-"));
const children = [];
after(async () => {
  for (const child of children) {
    if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid, "SIGTERM");
    await child.ended;
  }
  await rm(directory, { recursive: true, force: true });
});

async function freePort() {
  const server = net.createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Blocks of the page with their language and what else stands there. */
async function blocks(changed) {
  const text = await readFile(new URL("../../../docs/START.md", import.meta.url), "utf8");
  return [...text.matchAll(/^```(\w+) ?(\S*)\n([^]*?)^```$/gm)].map(([, language, name, code]) => ({ language, name, code: changed(code) }));
}

/** What programs of the page find. */
function environment(database, port) {
  const path = `${dirname(PLANK_BIN)}:${dirname(PYTHON)}:${process.env.PATH}`;
  const python = new URL("../../python/src", import.meta.url).pathname;
  return { PATH: path, HOME: directory, PYTHONPATH: python, DATABASE_URL: database, PLANK_LISTEN: `127.0.0.1:${port}` };
}

function start(command, env) {
  const child = spawn("bash", ["-ec", command], { cwd: directory, env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  child.said = "";
  child.ended = new Promise((resolve) => child.once("exit", resolve));
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (child.said += text));
  children.push(child);
  return child;
}

const answers = (url) => fetch(url).then(({ ok }) => ok, () => false);

test("every block of docs/START.md does what the page says", { timeout: 150_000 }, async () => {
  const plank = await plankWith("create database shop");
  const database = plank.database_url.replace("/plank?", "/shop?");
  const ports = { 8080: await freePort(), 5173: await freePort(), 8090: await freePort() };
  const changed = (code) =>
    code.replace("postgresql://localhost/shop", `'${database}'`).replace(/(127\.0\.0\.1:|http\.server )(8080|5173|8090)/g, (_, before, port) => before + ports[port]);
  const env = environment(database, ports[8080]);
  const sql = async (text) => (await run("psql", ["-XqAt", database, "-c", text])).stdout.trim();
  const origin = `http://127.0.0.1:${ports[5173]}`;
  const listed = (tab) => tab.$$eval("li", (all) => all.map((each) => each.textContent).sort().join());
  const all = await blocks(changed);
  const done = [];

  const servers = [
    async () => until("the first plank", () => answers(`http://127.0.0.1:${ports[8080]}/readyz`), 60_000),
    async () => until("the development server", () => answers(origin)),
    async () => until("the second plank", () => answers(`http://127.0.0.1:${ports[8090]}/readyz`), 60_000),
  ];
  /** What the page promises of a file. */
  const files = {
    "react.jsx": async (name) => {
      await writeFile(join(directory, "react.js"), await bundle(join(directory, name), { jsx: "automatic", nodePaths: [join(HERE, "../node_modules")] }));
      await shows("react.js", "from React");
    },
    "Orders.svelte": async (name) => {
      const { js } = compile(await readFile(join(directory, name), "utf8"), { generate: "client", name: "Orders" });
      await writeFile(join(directory, "Orders.js"), js.code);
      const mount = 'import { mount } from "svelte"; import Orders from "./Orders.js"; mount(Orders, { target: document.body });';
      const options = { entryPoints: undefined, stdin: { contents: mount, resolveDir: directory }, nodePaths: [join(HERE, "../node_modules")], conditions: ["browser"] };
      await writeFile(join(directory, "svelte.js"), await bundle("", options));
      await shows("svelte.js", "from Svelte");
    },
    "worker.py": async (name) => {
      const worker = () => start(`exec ${PYTHON} ${name}`, env);
      const first = worker();
      await until("the worker does what is there", async () => (await sql("select count(*) from orders where status = 'open'")) === "0");
      await sql("insert into orders (item) values ('for the worker')");
      await until("the worker does what comes", () => first.said.includes("done: for the worker"));
      process.kill(-first.pid, "SIGKILL");
      await sql("insert into orders (item) values ('while it was away')");
      const second = worker();
      await until("it goes on", () => second.said.includes("done: while it was away"));
      assert.ok(!second.said.includes("for the worker"), second.said);
      process.kill(-second.pid, "SIGKILL");
    },
  };

  /** A page that is only a script, and orders by its button. */
  async function shows(script, item) {
    await writeFile(join(directory, "page.html"), `<!doctype html><body><script type="module" src="${script}"></script>`);
    const tab = await page();
    await tab.goto(`${origin}/page.html`);
    await until(`${script} shows the table`, async () => (await listed(tab)).includes("milk"));
    await tab.click("button");
    await until(`${script} shows what it writes`, async () => (await listed(tab)).includes(item));
    assert.equal(await sql(`select count(*) from orders where item = '${item}'`), "1");
    await tab.close();
  }

  for (const { language, name, code } of all) {
    if (language === "sh" && name === "server") {
      const child = start(code, env);
      await servers.shift()().catch(({ message }) => assert.fail(`${message}\n${child.said}`));
      if (servers.length === 1) await twoPages();
    } else if (language === "sh") {
      await run("bash", ["-ec", code], { cwd: directory, env, timeout: 60_000 }).catch(({ message, stdout }) => assert.fail(`${message}\n${stdout}`));
    } else {
      await writeFile(join(directory, name), code);
      await files[name]?.(name);
    }
    done.push(`${language} ${name}`.trim());
  }
  const wanted = ["sh", "sh server", "sh", "html index.html", "sh server", "jsx react.jsx", "svelte Orders.svelte", "python worker.py", "sh", "js token.mjs", "python token_for.py", "sh", "sh server", "sh"];
  assert.deepEqual(done, wanted);

  async function twoPages() {
    const [one, other] = [await page(), await page()];
    for (const tab of [one, other]) await tab.goto(origin);
    await until("both show the table", async () => (await listed(one)) === "milk,tea" && (await listed(other)) === "milk,tea");
    await one.click("#add");
    await until("an order of one is in the other", async () => (await listed(other)) === "milk,tea,tea");
    await sql("insert into orders (item) values ('bread')");
    await until("and so is one of psql", async () => (await listed(one)) === "bread,milk,tea,tea" && (await listed(other)) === "bread,milk,tea,tea");
    for (const tab of [one, other]) await tab.close();
  }
});
