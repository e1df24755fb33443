/** What is shipped: its size, and that the types name what there is. The packages are tested in clients/js. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import * as plank from "../../static/plank.js";

const STATIC = new URL("../../static/", import.meta.url);
const read = (name) => readFile(new URL(name, STATIC), "utf8");
const zipped = async (name) => gzipSync(await read(name), { level: 9 }).length;

test("plank.js is at most 5,000 bytes gzipped, alone; what streams need at most 3 KiB, and what writes need at most 6", async () => {
  const source = await read("plank.js");
  assert.deepEqual([...source.matchAll(/\bimport\b[^;]*?["'](.*?)["']/g)].map(([, name]) => name), ["./stream.js", "./table.js"]);
  for (const part of [/import\("\.\/stream\.js"\)/, /import\("\.\/table\.js"\)/]) assert.match(source, part, "which is loaded only where it is needed");
  for (const part of ["stream.js", "table.js"]) {
    assert.deepEqual([...(await read(part)).matchAll(/\bfrom "(.*?)"/g)].map(([, name]) => name), ["./plank.js"]);
  }
  const sizes = [await zipped("plank.js"), await zipped("stream.js"), await zipped("table.js")];
  assert.ok(sizes[0] <= 5_000 && sizes[1] <= 3 * 1024 && sizes[2] <= 6 * 1024, `${sizes} bytes`);
});

test("the types name what a client and a subscription have", async () => {
  const types = await read("plank.d.ts");
  const members = (name) => {
    const [, body] = types.match(new RegExp(`^export (?:class|interface) ${name}\\b[^{]*\\{\\n([^]*?)^\\}`, "m"));
    return [...new Set([...body.matchAll(/^ {2}(?:readonly )?(\w+)\??[(:]/gm)].map(([, member]) => member))].sort();
  };
  class Silent {
    close() {}
  }
  const client = plank.connect("ws://127.0.0.1:1/ws", { WebSocket: Silent });
  const subscription = client.subscribe({ table: "items" });
  client.close();
  const has = (object) => {
    const names = [...Object.keys(object), ...Object.getOwnPropertyNames(Object.getPrototypeOf(object))];
    // What begins with _ is between the two of them; the last ones are of the handlers and of what was asked for.
    return names.filter((name) => !/^_|^(constructor|id|spec|handlers)$/.test(name)).sort();
  };
  assert.deepEqual(members("Client"), has(client));
  assert.deepEqual(members("Subscription"), has(subscription));
  assert.deepEqual(members("Table"), Object.keys(client.table("items")).sort());
  assert.deepEqual(members("State"), Object.keys(client.state).sort());
  for (const name of ["connect", "keyOf", "Client"]) assert.match(types, new RegExp(`^export (?:function|class) ${name}\\b`, "m"));
});
