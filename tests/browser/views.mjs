/** Takes a picture, and finds what a picture of the window would not show: a page that is too wide, or against the rules of axe. */
import assert from "node:assert/strict";
import { join } from "node:path";

export async function look(watched, name, shots) {
  const { page } = watched;
  if (shots) await page.screenshot({ path: join(shots, `${name}.png`) });
  const wider_px = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(wider_px <= 0, `${name} is ${wider_px} px too wide`);
  assert.deepEqual(await watched.violations(), [], name);
}
