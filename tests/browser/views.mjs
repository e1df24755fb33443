/**
 * Every view once: no, few and many rows, wide and narrow, light and dark. Looks for what no eye is needed for, and
 * leaves pictures for the eye.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { call, listed, NARROW, until, Watched, WIDE } from "./support.mjs";

const MANY_ROWS = 300;
/** Requests under way at a time while the many rows are made. */
const LANES = 4;
const STATUSES = ["open", "active", "done"];

/** Names as people write them, and one as they paste it. */
const FEW = [
  { name: "Paint the fence", description: "Two coats, the second after a dry night" },
  { name: "Order 40 larch planks", data: { priority: 3, owner: "ann", supplier: { name: "Holz & Söhne", quote: 1240.5 } } },
  { name: "Ask Ann about the gate hinges" },
  {
    name: "Averyveryverylongnamewithoutanyspacethatnevercouldbreakbyitselfbutmustnotmakethepagewiderthanitis",
    description: "https://example.com/a/path/that/is/long/enough/to/be/wider/than/a/narrow/screen/all/by/itself",
    data: { source: "import" },
  },
];

export async function checkViews({ server, browser, shots }) {
  const create = (body, at) => call(server, "POST", "/api/items", { status: STATUSES[at % 3], ...body });
  const check = (amount) => checkAmount({ server, browser, shots, amount });
  await check("none");
  for (const [at, body] of FEW.entries()) await create(body, at);
  await check("few");
  const lane = async (first) => {
    for (let at = first; at < MANY_ROWS; at += LANES) await create({ name: `Item ${at}`, data: at % 5 ? {} : { batch: at } }, at);
  };
  await Promise.all(Array.from({ length: LANES }, (_, at) => lane(FEW.length + at)));
  await check("many");
}

async function checkAmount({ server, browser, shots, amount }) {
  const count = (await listed(server)).length;
  for (const colorScheme of ["light", "dark"]) {
    for (const viewport of [WIDE, NARROW]) {
      // Without motion, so that a picture does not depend on when it was taken.
      const watched = await Watched.open(browser, server.url, { viewport, colorScheme, reducedMotion: "reduce" });
      const name = `${amount}-${viewport.width}-${colorScheme}`;
      await watched.state("live");
      await until("all rows are drawn", async () => (await watched.page.locator(".row").count()) === count);
      await look(watched, name, shots);
      if (count > 0) {
        await watched.page.getByRole("button", { name: /^Edit:/ }).first().click();
        await watched.page.getByRole("button", { name: /^Delete:/ }).nth(1).click();
        await look(watched, `${name}-editing`, shots);
      }
      assert.deepEqual(watched.faults(), []);
      await watched.context.close();
    }
  }
}

/** Takes a picture, and measures what a picture of the window would not show. */
export async function look({ page }, name, shots) {
  if (shots) await page.screenshot({ path: join(shots, `${name}.png`) });
  const wider_px = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(wider_px <= 0, `${name} is ${wider_px} px too wide`);
}
