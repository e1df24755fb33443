/**
 * What stands in for a browser's EventSource, as people install it from npm: `eventsource` in Node.js, and `event-source-polyfill`, which
 * resumes by a word of the query. A plank that is killed and started again loses no event of theirs, and repeats none.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { describe, test } from "node:test";
import { EventSource } from "eventsource";
import { call, PLANK_BIN, Server, until } from "./support.mjs";

const require = createRequire(import.meta.url);
const { EventSourcePolyfill } = require("event-source-polyfill");

const reason = existsSync(PLANK_BIN) ? null : `no plank at ${PLANK_BIN}`;
describe("polyfills of EventSource", { skip: reason ?? false, timeout: 120_000 }, () => {
  for (const [name, open] of [
    ["eventsource", (url) => new EventSource(url)],
    ["event-source-polyfill", (url) => new EventSourcePolyfill(url, { heartbeatTimeout: 60_000 })],
    ["event-source-polyfill with a cache buster", (url) => new EventSourcePolyfill(`${url}&_=${Date.now()}`, { heartbeatTimeout: 60_000 })],
  ]) {
    test(`${name} resumes where it was`, async () => {
      const server = await Server.start();
      const names = [];
      let live = 0;
      const source = open(`${server.url}/api/stream?table=items`);
      try {
        source.addEventListener("subscribed", () => (live += 1));
        source.addEventListener("changes", ({ data }) => names.push(...JSON.parse(data).changes.map(({ row }) => row.name)));
        await until("it is live", () => live === 1);
        await call(server, "POST", "/api/items", { name: "one" });
        await until("it has heard of one", () => names.length === 1);
        await server.kill();
        await server.start();
        await call(server, "POST", "/api/items", { name: "two" });
        await call(server, "POST", "/api/items", { name: "three" });
        await until("it has heard of all", () => names.includes("three"), 30_000);
        assert.deepEqual(names, ["one", "two", "three"]);
      } finally {
        source.close();
        await server.stop();
      }
    });
  }
});
