/**
 * TanStack DB's own suite for collections (suite/, which is theirs), against a real plank. It is written for vitest: `suite-vitest.mjs` stands in
 * for it.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { bundle, HERE } from "./support.mjs";

const cache = new URL("../node_modules/.cache/", import.meta.url);
const text = await bundle(`${HERE}suite-plank.ts`, {
  alias: { vitest: `${HERE}suite-vitest.mjs` },
  platform: "node",
  external: ["@tanstack/db", "plank-client", "plank-tanstack-db", "expect", "./support.mjs"],
});
await mkdir(cache, { recursive: true });
const path = new URL("suite.mjs", cache);
await writeFile(path, text.replace('"./support.mjs"', JSON.stringify(new URL("support.mjs", import.meta.url).href)));
await import(path);
