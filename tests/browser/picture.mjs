/**
 * The picture of the README, from the real thing: `npm run picture` writes docs/dashboard.png. It shows the orders of the shop while
 * another program writes to them.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { Psql } from "./cutting.mjs";
import { CHROMIUM, CHROMIUM_ARGS, missing, Server, Watched } from "./support.mjs";

const FILE = fileURLToPath(new URL("../../docs/dashboard.png", import.meta.url));
const SHOP = readFileSync(new URL("fixtures/shop.sql", import.meta.url), "utf8");
const VIEWPORT = { width: 1440, height: 620 };
const WRITES = [
  "update orders set status = 'packed' where id = 2998",
  "update orders set total = total + 49.90, note = 'Two more hinges' where id = 2996",
  "insert into orders (id, customer_id, status, total, placed_at, deliver_on) values (3001, 17, 'placed', 128.40, '2026-11-30 18:04:51Z', '2026-12-05')",
  "update orders set status = 'shipped', deliver_on = '2026-12-02' where id = 2993",
  `update orders set details = details || '{"channel": "phone", "utm": {"source": "news", "campaign": "winter"}}' where id = 3000`,
];

async function take(server, browser) {
  const psql = new Psql(server.database_url);
  await psql.run(SHOP);
  const watched = await Watched.open(browser, `${server.url}/#/t/orders?order=placed_at.desc&filter=total%3E100`, { viewport: VIEWPORT, colorScheme: "light", timezoneId: "Europe/Berlin" });
  await watched.state("live");
  await watched.page.locator(".grid tr[data-key='3000']").waitFor();
  for (const sql of WRITES) await psql.run(sql);
  psql.stop();
  await watched.page.locator(`.changes li:nth-child(${WRITES.length})`).waitFor();
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
