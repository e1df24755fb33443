/** The packages as npm makes them: what is in them, their sizes, their types, and a program in an empty project that uses them. */
import assert from "node:assert/strict";
import { access, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { SourceMap } from "node:module";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import { bundle, HERE, plankWith, run } from "./support.mjs";

const CORE_MAX = 5 * 1024;
const REACT_MAX = 1024;

const installed = await mkdtemp(join(tmpdir(), "plank-npm-"));
after(() => rm(installed, { recursive: true, force: true }));
const at = (name) => join(installed, "node_modules", name);
const root = (name) => readFile(new URL(`../../../${name}`, import.meta.url), "utf8");
let packed;

before(async () => {
  packed = [];
  for (const name of ["plank-client", "plank-tanstack-db"]) {
    const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", installed], { cwd: join(HERE, "..", name) });
    // Scripts of the package may say something before it.
    packed.push(JSON.parse(stdout.slice(stdout.search(/^\[$/m)))[0]);
  }
  await writeFile(join(installed, "package.json"), JSON.stringify({ name: "empty", private: true, type: "module" }));
  const archives = packed.map(({ filename }) => `./${filename}`);
  await run("npm", ["install", "--no-audit", "--no-fund", "--legacy-peer-deps", ...archives], { cwd: installed });
});

test("a package has what it exports, its types, its page and its licences, and nothing else", () => {
  const files = packed.map(({ files }) => files.map(({ path }) => path).filter((path) => !path.startsWith("min/")).sort());
  const common = ["LICENSE-APACHE", "LICENSE-MIT", "README.md"];
  const bindings = ["live", "react", "svelte", "vue"].flatMap((name) => [`${name}.d.ts`, `${name}.js`]);
  const core = ["plank.d.ts", "plank.js", "stream.js", "table.js"].map((name) => `dist/${name}`);
  assert.deepEqual(files[0], [...common, ...core, ...bindings, "package.json"].sort());
  assert.deepEqual(files[1], [...common, "filter.js", "index.d.ts", "index.js", "package.json"].sort());
});

test("the core is the file that a plank serves, and the version is that of plank", async () => {
  for (const name of ["plank.js", "stream.js", "table.js", "plank.d.ts"]) {
    assert.equal(await readFile(join(at("plank-client"), "dist", name), "utf8"), await root(`static/${name}`), name);
  }
  for (const { version } of packed) assert.match(await root("Cargo.toml"), new RegExp(`^version = "${version}"$`, "m"));
});

test("the core is at most 5 KiB gzipped, the React binding at most 1 KiB more, minified; those of Svelte and Vue have less than 60 lines", async () => {
  const size = async (contents) => {
    const text = await bundle("", {
      entryPoints: undefined,
      stdin: { contents, resolveDir: HERE },
      minify: true,
      splitting: true,
      external: ["react", "./stream.js", "./table.js"],
    });
    return gzipSync(text, { level: 9 }).length;
  };
  const core = await size('export * from "plank-client"');
  const react = await size('export * from "plank-client"; export * from "plank-client/react"');
  console.log(`core ${core} bytes, React binding ${react - core} bytes`);
  assert.ok(core <= CORE_MAX && react - core <= REACT_MAX, `${core} and ${react - core} bytes`);
  for (const name of ["svelte", "vue"]) assert.ok((await readFile(join(at("plank-client"), `${name}.js`), "utf8")).split("\n").length < 60, name);
});

test("each minified module has a source map, whose sources are in the package and are what it was made of", async () => {
  const entries = [
    ["plank-client", ["plank.js", "react.js", "svelte.js", "vue.js"], ["dist/plank.js", "dist/stream.js", "dist/table.js", "live.js", "react.js", "svelte.js", "vue.js"], "nothing was heard"],
    ["plank-tanstack-db", ["index.js"], ["filter.js", "index.js"], "bad_filter"],
  ];
  for (const [name, modules, sources, text] of entries) {
    const min = join(at(name), "min");
    const files = await readdir(min);
    assert.deepEqual(modules.filter((file) => !files.includes(file)), [], name);
    const seen = new Set();
    let found = 0;
    for (const file of files.filter((file) => file.endsWith(".js"))) {
      const script = await readFile(join(min, file), "utf8");
      assert.match(script, new RegExp(`\\n//# sourceMappingURL=${file}\\.map\\n$`), file);
      const map = JSON.parse(await readFile(join(min, `${file}.map`), "utf8"));
      for (const source of map.sources) {
        const path = join(min, source);
        await access(path);
        seen.add(relative(at(name), path));
      }
      // A text is where the map says that it is.
      for (const { index } of script.matchAll(new RegExp(`"${text}"`, "g"))) {
        const line = script.slice(0, index).split("\n").length - 1;
        const column = index - script.lastIndexOf("\n", index - 1) - 1;
        const { originalSource, originalLine, originalColumn } = new SourceMap(map).findEntry(line, column);
        const original = (await readFile(join(min, originalSource), "utf8")).split("\n")[originalLine];
        assert.ok(original.slice(originalColumn).startsWith(`"${text}"`), `${file}: ${original}`);
        found += 1;
      }
    }
    assert.deepEqual([...seen].sort(), sources, name);
    assert.ok(found > 0, `${text} is in no script of ${name}`);
  }
});

test("types fit what there is", async () => {
  await writeFile(join(installed, "program.ts"), `
    import { connect, type Client } from "plank-client";
    import { PlankProvider, useRow, useRows } from "plank-client/react";
    import { rows } from "plank-client/svelte";
    import { useRows as useVueRows } from "plank-client/vue";
    import { createCollection } from "@tanstack/db";
    import { plankCollectionOptions } from "plank-tanstack-db";
    interface Todo { id: number; name: string }
    const client: Client = connect("http://127.0.0.1:1/ws");
    const names: readonly string[] = useRows<Todo>({ table: "todos", order: undefined } as { table: string }).rows.map(({ name }) => name);
    const one: Todo | null = useRow<Todo>("todos", { id: 1 }).row;
    PlankProvider({ url: "/ws", auth: async () => "token" });
    rows<Todo>(client, { table: "todos" }).subscribe(({ rows, status }) => [rows[0]?.name, status === "live"]);
    const ref: Todo[] = [...useVueRows<Todo>(client, () => ({ table: "todos" })).value.rows];
    const todos = createCollection(plankCollectionOptions<Todo>({ client, table: "todos" }));
    const held: Todo | undefined = todos.get(1);
    // @ts-expect-error: a row has no such column
    held?.nope;
    // @ts-expect-error: there has to be a table
    useRows({ filter: "a=eq.1" });
    export { names, one, ref };
  `);
  const modules = join(HERE, "../node_modules");
  const types = { react: "@types/react/index.d.ts", vue: "vue/dist/vue.d.mts", "@tanstack/db": "@tanstack/db/dist/esm/index.d.ts" };
  const paths = Object.fromEntries(Object.entries(types).map(([name, file]) => [name, [`${modules}/${file}`]]));
  const compilerOptions = { strict: true, noEmit: true, module: "nodenext", moduleResolution: "nodenext", target: "es2022", skipLibCheck: true, types: [], lib: ["es2022", "dom", "dom.iterable"], paths };
  await writeFile(join(installed, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["program.ts"] }));
  await run(join(modules, ".bin/tsc"), ["-p", installed]).catch(({ stdout }) => assert.fail(stdout));
});

for (const module of ["plank-client", "plank-client/min/plank.js"]) test(`a program in an empty project follows a table and writes it, with ${module}`, async () => {
  const plank = await plankWith("");
  await writeFile(join(installed, "program.mjs"), `
    import { connect } from "${module}";
    const client = connect(process.argv[2]);
    const items = client.subscribe({ table: "items", snapshot: true });
    for await (const { snapshot } of items) if (snapshot) break;
    const { id } = await client.table("items").insert({ name: "from an empty project" });
    console.log(items.rows.get(String(id)).name);
    client.close();
  `);
  const { stdout } = await run(process.execPath, ["--no-warnings", join(installed, "program.mjs"), `${plank.url}/ws`], { timeout: 60_000 });
  assert.equal(stdout.trim(), "from an empty project");
});
