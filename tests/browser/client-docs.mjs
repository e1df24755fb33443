/** The examples of docs/CLIENT.md, each as a program of its own beside a real plank. */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { call, PLANK_BIN, Server, until } from "./support.mjs";

const page = await readFile(new URL("../../docs/CLIENT.md", import.meta.url), "utf8");
/** By the heading that they are under. */
const examples = new Map(
  page.split(/^#+ /m).flatMap((section) => {
    const heading = section.split("\n")[0];
    return [...section.matchAll(/^```js\n([^]*?)^```$/gm)].map(([, code]) => [heading, code]);
  }),
);

if (!existsSync(PLANK_BIN)) {
  const reason = `there is no plank at ${PLANK_BIN} (build it, or set PLANK_BIN)`;
  console.log(`skipped: the examples of docs/CLIENT.md, because ${reason}`);
  test("the examples can run", { skip: process.env.CI === "true" ? false : reason }, () => assert.fail(reason));
} else {
  describe("docs/CLIENT.md", { timeout: 180_000 }, suite);
}

function suite() {
  let server;
  let dir;
  const programs = [];
  const left = new Set(examples.keys());

  before(async () => {
    server = await Server.start();
    dir = await mkdtemp(join(tmpdir(), "plank-docs-"));
    await mkdir(join(dir, "node_modules"));
    const packages = fileURLToPath(new URL("../../clients/js/", import.meta.url));
    execFileSync(process.execPath, [join(packages, "build.mjs")]);
    await symlink(join(packages, "plank-client"), join(dir, "node_modules", "plank-client"));
  });

  after(async () => {
    for (const { child } of programs) child.kill();
    await rm(dir, { recursive: true, force: true });
    await server?.stop();
  });

  /** Runs the example under `heading`; only the address is another one. */
  async function run(heading) {
    left.delete(heading);
    const file = join(dir, `${heading.replace(/\W+/g, "-")}.mjs`);
    await writeFile(file, examples.get(heading).replaceAll("http://127.0.0.1:8080", server.url));
    // What this process was started with: a WebSocket may depend on it.
    const child = spawn(process.execPath, [...process.execArgv.filter((arg) => /websocket/.test(arg)), file], { cwd: dir, stdio: ["ignore", "pipe", "pipe"] });
    const program = { child, out: "", ended: new Promise((resolve) => child.once("exit", (code, signal) => resolve(signal ?? code))) };
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (program.out += text));
    programs.push(program);
    program.says = (line) =>
      until(`it says ${line}`, () => program.out.split("\n").includes(line)).catch((error) => {
        throw new Error(`${error.message}; it said:\n${program.out}`);
      });
    program.end = () => child.kill() && program.ended;
    return program;
  }

  const create = (name) => call(server, "POST", "/api/items", { name });

  test("the first one", async () => {
    const program = await run("The JavaScript client");
    await program.says("0 items");
    const { id } = await create("Paint the fence");
    await program.says(`insert ${id}`);
    await call(server, "DELETE", `/api/items/${id}`);
    await program.says(`delete ${id}`);
    await program.end();
  });

  test("Rows", async () => {
    const program = await run("Rows");
    await program.says("nothing to do");
    const fence = await create("Paint the fence");
    await create("Mow the lawn");
    await program.says("Mow the lawn, Paint the fence");
    await call(server, "PATCH", `/api/items/${fence.id}`, { status: "done" });
    await program.says("Mow the lawn");
    await program.says("is the first one open: false");
    await program.end();
  });

  test("Writes", async () => {
    const program = await run("Writes");
    await program.says("in rows: true");
    await program.says("refused: 412");
    assert.equal(await program.ended, 0, program.out);
    assert.match(program.out, /^Paint the fence \(being written\)$/m);
  });

  test("Loops", async () => {
    const program = await run("Loops");
    // It says nothing before the first change: until it has seen one, another may be its first.
    const { id } = await until("it has seen one", async () => {
      const row = await create("Paint the fence");
      return program.out.includes("insert Paint the fence") ? row : null;
    });
    await call(server, "PATCH", `/api/items/${id}`, { status: "done" });
    await program.says("update Paint the fence");
    assert.equal(await program.ended, 0, program.out);
  });

  test("Across restarts of a program", async () => {
    const kept = () => readFile(join(dir, "orders.json"), "utf8").then(JSON.parse, () => null);
    const since = (cursor) => call(server, "GET", `/api/changes?table=items&since=${cursor}`);
    const first = await run("Across restarts of a program");
    // Until it is live nothing is counted.
    await until("it counts", async () => (await create("n")) && (await kept().catch(() => null))?.count > 0);
    // A file that is being written is no JSON for a moment.
    const counted = async () => {
      const { since: cursor = null, count } = (await kept().catch(() => null)) ?? {};
      return cursor !== null && (await since(cursor)).changes.length === 0 ? count : null;
    };
    const count = await until("it has counted all of them", counted);
    await first.says(`${count} so far`);
    await first.end();
    for (let at = 0; at < 3; at += 1) await create("while it is away");
    const second = await run("Across restarts of a program");
    await second.says(`${count + 3} so far`);
    await second.end();
  });

  test("Who it is", async () => {
    const program = await run("Who it is");
    await program.says("connecting ");
    await program.says("open ");
    await program.end();
  });

  test("The first rows in an order, and counts", async () => {
    const program = await run("The first rows in an order, and counts");
    await create("Sweep the yard");
    await until("the newest is first", () => /^Sweep the yard/m.test(program.out));
    const { items } = await call(server, "GET", "/api/items?status=eq.open&limit=200");
    await until("its count is told", () => program.out.includes(`open: ${items.length}`));
    await program.end();
  });

  test("there is no other example", () => assert.deepEqual([...left], []));
}
