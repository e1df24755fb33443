/** Takes a picture, and measures what a picture of the window would not show. */
import assert from "node:assert/strict";
import { join } from "node:path";

export async function look({ page }, name, shots) {
  if (shots) await page.screenshot({ path: join(shots, `${name}.png`) });
  const wider_px = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(wider_px <= 0, `${name} is ${wider_px} px too wide`);
}
