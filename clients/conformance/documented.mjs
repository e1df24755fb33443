/** node documented.mjs FILE: whether FILE names each rule by its script, in the words of the script. */
import { readdir, readFile } from "node:fs/promises";

const CASES = new URL("cases/", import.meta.url);
const text = await readFile(process.argv[2], "utf8");
const names = (await readdir(CASES)).map((name) => name.replace(/\.json$/, ""));
const faults = [];
for (const name of names) {
  const { rule } = JSON.parse(await readFile(new URL(`${name}.json`, CASES), "utf8"));
  if (!text.includes(`| ${rule} | \`${name}\` |`)) faults.push(`${name} is not there with its rule`);
}
const [, section = ""] = text.match(/^## Rules for clients$([^]*?)^## /m) ?? [];
for (const [, name] of section.matchAll(/^\|.*\| `([a-z-]+)` \|$/gm)) if (!names.includes(name)) faults.push(`there is no script ${name}`);
for (const fault of faults) console.error(`${process.argv[2]}: ${fault}`);
process.exit(faults.length ? 1 : 0);
