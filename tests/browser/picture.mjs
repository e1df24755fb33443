/**
 * The picture of the README, from the real thing: `npm run picture` writes docs/dashboard.png.
 *
 * Only the ages of the rows are made up, since nobody wants to wait a day for a picture.
 */
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { Psql } from "./cutting.mjs";
import { call, CHROMIUM, CHROMIUM_ARGS, missing, Server, Watched } from "./support.mjs";

const FILE = fileURLToPath(new URL("../../docs/dashboard.png", import.meta.url));
const VIEWPORT = { width: 1440, height: 620 };

/** Oldest first, with the minutes since the last change. */
const ROWS = [
  [3 * 24 * 60, { name: "Take the old fence down", status: "done" }],
  [2 * 24 * 60, { name: "Measure the garden fence", description: "24 m along the lane, 11 m to the barn", status: "done" }],
  [26 * 60, { name: "Order 40 larch planks", status: "active", data: { supplier: "Holz & Söhne", quote: 1240.5 } }],
  [9 * 60, { name: "Sharpen the auger", status: "done", data: { owner: "bob" } }],
  [5 * 60, { name: "Borrow the post hole digger", description: "Ann has it until noon", status: "active", data: { owner: "ann" } }],
  [60, { name: "Tell the neighbours", description: "The lane is closed on Friday", status: "open" }],
  [47, { name: "Set the corner posts", description: "Concrete needs two dry days", status: "active", data: { priority: 1 } }],
  [12, { name: "Ask Bob about the gate hinges", status: "open" }],
  [7, { name: "Find out who owns the hedge", status: "open", data: { priority: 3 } }],
  [3, { name: "Paint the fence", description: "Two coats, the second after a dry night", status: "open", data: { colour: "red ochre", litres: 15 } }],
];

async function take(server, browser) {
  const psql = new Psql(server.database_url);
  let posts;
  for (const [age_min, body] of ROWS) {
    const row = await call(server, "POST", "/api/items", body);
    // Past the triggers, one of which says when a row was changed.
    await psql.run(`set session_replication_role = replica; update items set updated_at = now() - interval '${age_min}.5 minutes' where id = ${row.id}`);
    if (body.name.startsWith("Set")) posts = row;
  }
  psql.stop();
  const watched = await Watched.open(browser, server.url, { viewport: VIEWPORT, colorScheme: "light" });
  await watched.state("live");
  // Another user moves a card while the page looks on.
  await call(server, "PATCH", `/api/items/${posts.id}`, { status: "done" });
  await watched.page.locator('.column[data-status="done"] .card.flash-odd', { hasText: "corner posts" }).waitFor();
  await watched.page.screenshot({ path: FILE });
  const faults = watched.faults();
  if (faults.length > 0) throw new Error(faults.join("\n"));
}

const reason = missing();
if (reason) throw new Error(reason);
const server = await Server.start();
try {
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_ARGS });
  try {
    await take(server, browser);
  } finally {
    await browser.close();
  }
} finally {
  await server.stop();
}
