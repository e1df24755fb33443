/**
 * The picture of the README, from the real thing: `npm run picture` writes docs/dashboard.png.
 *
 * Only the ages of the rows are made up, since nobody wants to wait a day for a picture.
 */
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { call, CHROMIUM, CHROMIUM_ARGS, missing, Server, Watched } from "./support.mjs";

const FILE = fileURLToPath(new URL("../../docs/dashboard.png", import.meta.url));
const VIEWPORT = { width: 1440, height: 560 };

/** Oldest first, with the minutes since the last change. */
const ROWS = [
  [2 * 24 * 60, { name: "Measure the garden fence", description: "24 m along the lane, 11 m to the barn", status: "done" }],
  [26 * 60, { name: "Order 40 larch planks", status: "active", data: { supplier: "Holz & Söhne", quote: 1240.5, delivery: "Friday" } }],
  [5 * 60, { name: "Borrow the post hole digger", description: "Ann has it until noon", status: "done", data: { owner: "ann" } }],
  [47, { name: "Set the corner posts", description: "Concrete needs two dry days", status: "active", data: { priority: 1 } }],
  [12, { name: "Ask Bob about the gate hinges", status: "open" }],
  [3, { name: "Paint the fence", description: "Two coats, the second after a dry night", status: "open", data: { colour: "red ochre", litres: 15 } }],
];

async function take(server, browser) {
  const ages_min = new Map();
  let posts;
  for (const [age_min, body] of ROWS) {
    const row = await call(server, "POST", "/api/items", body);
    ages_min.set(row.id, age_min);
    if (body.name.startsWith("Set")) posts = row;
  }
  const watched = await Watched.open(browser, server.url, { viewport: VIEWPORT, colorScheme: "light" }, (page) =>
    page.route("**/api/items?*", async (route) => {
      const response = await route.fetch();
      const listing = await response.json();
      for (const row of listing.items) row.updated_at = new Date(Date.now() - (ages_min.get(row.id) + 0.5) * 60_000).toISOString();
      await route.fulfill({ response, json: listing });
    }),
  );
  await watched.state("live");
  // Somebody else changes a row while the page looks on.
  await call(server, "PATCH", `/api/items/${posts.id}`, { status: "done" });
  await watched.page.locator('.row.flash-odd[data-status="done"]', { hasText: "corner posts" }).waitFor();
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
