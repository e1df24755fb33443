/** examples/shop from nothing: the database, plank, the shop's server, the worker, nginx; driven in a real browser, with restarts in between. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { copyFile, chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { page, plankWith, run, until } from "./support.mjs";

const SHOP = fileURLToPath(new URL("../../../examples/shop/", import.meta.url));
const PYTHON = process.env.PLANK_PYTHON ?? "python3";
const ORDERS_AWAY = 3;

const directory = await mkdtemp(join(tmpdir(), "plank-shop-"));
const children = [];
after(async () => {
  for (const child of children) {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
    await child.ended;
  }
  await rm(directory, { recursive: true, force: true });
});

function start(program, args, environment = {}) {
  const child = spawn(program, args, { cwd: directory, env: { ...process.env, ...environment }, stdio: ["ignore", "pipe", "pipe"] });
  child.said = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (child.said += text));
  child.ended = new Promise((resolve) => child.once("exit", resolve));
  children.push(child);
  return child;
}

const answers = (url) => fetch(url).then(({ ok }) => ok, () => false);

test("an order of one page is in the other and is packed by the worker, once, whatever is restarted", { timeout: 150_000 }, async () => {
  // As root plank and nginx have users of their own.
  await chmod(directory, 0o755);
  await mkdir(join(directory, "web"));
  const secret = join(directory, "shop.secret");
  await writeFile(secret, `${"of-the-shop-".repeat(4)}\n`, { mode: 0o600 });
  const plank = await plankWith("", "--auth", "on", "--jwt-secret-file", secret, "--demo=off", "--trusted-proxy", "127.0.0.1");
  await run("psql", ["-Xq", "-v", "ON_ERROR_STOP=1", plank.database_url, "-f", `${SHOP}schema.sql`]);

  for (const name of ["server.mjs", "worker.py", "web/index.html"]) await copyFile(SHOP + name, join(directory, name));
  await run(process.execPath, [`${SHOP}build.mjs`, join(directory, "web/app.js")]);
  const free = (await run("python3", ["-c", "import socket\ns = [socket.socket() for _ in range(2)]\nfor x in s: x.bind(('127.0.0.1', 0))\nprint(*(x.getsockname()[1] for x in s))"])).stdout;
  const [shop_port, web_port] = free.trim().split(" ");
  start(process.execPath, ["server.mjs", shop_port, secret]);
  const worker = () => start(PYTHON, ["worker.py", plank.url, secret, "shop.cursor"], { PYTHONPATH: fileURLToPath(new URL("../../python/src", import.meta.url)) });
  let packer = worker();
  const conf = (await readFile(`${SHOP}nginx.conf`, "utf8"))
    .replace("127.0.0.1:8000", `127.0.0.1:${web_port}`)
    .replaceAll("127.0.0.1:8080", new URL(plank.url).host)
    .replace("127.0.0.1:3000", `127.0.0.1:${shop_port}`);
  await writeFile(join(directory, "nginx.conf"), conf);
  const nginx = start("nginx", ["-p", directory, "-c", "nginx.conf", "-g", "daemon off;"], { PATH: `${process.env.PATH}:/usr/sbin` });
  const web = `http://127.0.0.1:${web_port}`;
  await until("the shop is there", () => answers(`${web}/`)).catch(({ message }) => assert.fail(`${message}\n${nginx.said}`));

  const [one, other, foreign] = [await page(), await page(), await page()];
  const faults = [];
  for (const tab of [one, other]) {
    tab.on("pageerror", (error) => faults.push(`${error}`));
    tab.on("console", (message) => message.type() === "error" && faults.push(message.text()));
    await tab.goto(`${web}/login?user=ann`);
  }
  const listed = (tab) => tab.$$eval("li", (all) => all.map((each) => each.textContent).sort().join());
  const sql = (text) => plank.sql(text);
  await until("what is sold is there", async () => (await one.locator("button").count()) === 3).catch(({ message }) => assert.fail(`${message}\n${faults.join("\n")}`));

  await one.click("[data-product='1']");
  assert.match(await listed(one), /^Tea: (placed|packed)$/, "at once");
  for (const tab of [one, other]) await until("it is packed", async () => (await listed(tab)) === "Tea: packed");
  assert.equal(await sql("select string_agg(customer || product || status, ',') from orders"), "ann1packed");

  // Contexts share the log-in of this browser, so the other customer has a page of its own at the end.
  await plank.end();
  packer.kill("SIGKILL");
  await until("the page shows that it waits", async () => (await one.getAttribute("#phase", "data-phase")) !== "open");
  for (let at = 0; at < ORDERS_AWAY; at += 1) await one.click("[data-product='2']");
  assert.equal((await listed(one)).split(",").filter((each) => each === "Bread: placed").length, ORDERS_AWAY, "orders are shown while it is away");
  await plank.start();
  packer = worker();
  const all = ["Bread: packed", "Bread: packed", "Bread: packed", "Tea: packed"].join();
  for (const tab of [one, other]) {
    await until("everything that was ordered is packed", async () => (await listed(tab)) === all, 60_000).catch(async ({ message }) => assert.fail(`${message}: ${await listed(tab)}\n${packer.said}`));
  }
  assert.equal(await sql("select count(*), count(distinct id) from orders"), `${ORDERS_AWAY + 1}|${ORDERS_AWAY + 1}`, "nothing is lost, and nothing comes twice");
  const packed = children.filter(({ spawnargs }) => spawnargs.includes("worker.py")).flatMap(({ said }) => said.match(/^packed .*/gm) ?? []);
  assert.equal(new Set(packed).size, packed.length, "each is packed once");

  await foreign.goto(`${web}/login?user=bob`);
  await until("bob is there", async () => (await foreign.locator("button").count()) === 3);
  assert.equal(await listed(foreign), "", "another customer sees none of them");
  assert.deepEqual(faults.filter((fault) => !/WebSocket|Failed to load resource/.test(fault)), []);
});
