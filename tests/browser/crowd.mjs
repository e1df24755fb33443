/**
 * An office of 400 clients behind one address, when plank is restarted: with limits far too low for it, and with those that plank
 * has by itself. All of them are back on WebSockets, none has taken a refusal for a path that blocks.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { describe, test } from "node:test";
import { call, PLANK_BIN, Server, until } from "./support.mjs";
import { connect } from "../../static/plank.js";

const CLIENTS = 400;
/** The longest that a client waits that was told another time, and what its own back-off may add. */
const BACK_MAX_MS = 60_000;

const reason = existsSync(PLANK_BIN) ? null : `no plank at ${PLANK_BIN}`;
describe("a crowd behind one address", { skip: reason ?? false, timeout: 240_000 }, () => {
  for (const [what, flags, least_ms] of [
    // 100 at once, and then 20 a second.
    ["limits that are too low for it: it comes back at their rate", ["--max-handshakes-per-second", "20"], 10_000],
    ["the limits that plank has by itself: it comes back at once", [], 0],
  ]) {
    test(what, async () => {
      const server = await Server.start("--limit-loopback", ...flags);
      const clients = [];
      try {
        const streams = new Set();
        for (let n = 0; n < CLIENTS; n += 1) {
          const client = connect(server.url.replace("http", "ws") + "/ws");
          client.onState(({ transport }) => transport === "sse" && streams.add(n));
          const items = client.subscribe({ table: "items", snapshot: true });
          clients.push({ client, items });
        }
        const all_live = () => clients.every(({ client, items }) => client.state.phase === "open" && items.live);
        await until("all are there", all_live, BACK_MAX_MS);
        await server.kill();
        await until("all have lost it", () => clients.every(({ client }) => client.state.phase !== "open"), BACK_MAX_MS);
        await server.start();
        const started = performance.now();
        await until("all are back", all_live, BACK_MAX_MS);
        const took_ms = performance.now() - started;
        console.log(`${CLIENTS} clients were back after ${Math.round(took_ms / 100) / 10} s`);
        assert.ok(took_ms >= least_ms, "the limit holds");
        await call(server, "POST", "/api/items", { name: "after the restart" });
        await until("all see it", () => clients.every(({ items }) => items.rows.size === 1), BACK_MAX_MS);
        assert.deepEqual([...streams], [], "a refusal is no blocked path");
      } finally {
        for (const { client } of clients) client.close();
        await server.stop();
      }
    });
  }
});
