#!/usr/bin/env node
/**
 * node play.mjs [--only NAME]... [--broken BREAKS SOURCES] -- COMMAND...
 *
 * Plays the scripts of cases/ to the player that COMMAND starts. With --broken a copy of SOURCES is broken in each of the ways of the
 * file BREAKS, one at a time, and each has to be caught by its script; PLANK_CLIENT then is the copy.
 */
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Player } from "./player.mjs";
import { Broken, play } from "./script.mjs";

/** Scripts mostly wait, so several are played at a time. */
const PLAYERS = 12;
/** A broken client has failed when it does not do by then what a whole one does at once. */
const BROKEN_STEP_MAX_MS = 6_000;

/** How often a script is played with a broken client until it notices. */
const BROKEN_PLAYS = 5;

const CASES = new URL("cases/", import.meta.url);

async function cases(only) {
  const names = (await readdir(CASES)).map((name) => name.replace(/\.json$/, "")).sort();
  for (const name of only) if (!names.includes(name)) throw new Error(`there is no script ${name}`);
  const wanted = only.length ? names.filter((name) => only.includes(name)) : names;
  const read = await Promise.all(wanted.map(async (name) => ({ name, script: JSON.parse(await readFile(new URL(`${name}.json`, CASES), "utf8")) })));
  // What takes longest begins first.
  return read.sort((a, b) => (b.script.is_slow ?? false) - (a.script.is_slow ?? false));
}

async function inTurns(items, work) {
  const left = [...items];
  await Promise.all(
    Array.from({ length: PLAYERS }, async () => {
      for (let item = left.shift(); item; item = left.shift()) await work(item);
    }),
  );
}

let failures = 0;
let passed = 0;
function tell(name, error) {
  if (error) failures += 1;
  else passed += 1;
  console.log(error ? `not ok: ${name}: ${error.message}` : `kept: ${name}`);
}

async function whole(scripts, command) {
  const idle = [];
  await inTurns(scripts, async ({ name, script }) => {
    const player = idle.pop() ?? (await new Player(command).ready());
    try {
      await play(script, player);
      idle.push(player);
      tell(name);
    } catch (error) {
      player.stop();
      tell(name, error);
    }
  });
  for (const player of idle) player.stop();
}

/** Whether the script fails as it has to when the client is broken. */
async function caught({ script, file, from, to }, sources, command) {
  const copy = await mkdtemp(join(tmpdir(), "plank-broken-"));
  try {
    await cp(sources, copy, { recursive: true });
    const path = join(copy, file);
    const source = await readFile(path, "utf8");
    if (source.split(from).length !== 2) throw new Error(`${file} does not have exactly one ${JSON.stringify(from)}`);
    await writeFile(path, source.replace(from, () => to));
    // Pieces that a script sends one after another may come together on a busy machine, where a client that can't join them does well.
    for (let played = 0; played < BROKEN_PLAYS; played += 1) {
      const player = new Player(command, { PLANK_CLIENT: copy, PYTHONPATH: copy });
      try {
        await player.ready();
        await play(script, player, BROKEN_STEP_MAX_MS);
      } catch (error) {
        if (error instanceof Broken && !player.ended) return error.message;
        throw error;
      } finally {
        player.stop();
      }
    }
    throw new Error("the script does not notice");
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}

async function broken(scripts, breaks, sources, command) {
  const missing = scripts.filter(({ name }) => !(name in breaks)).map(({ name }) => name);
  if (missing.length) throw new Error(`nothing says how to break ${missing.join(", ")}`);
  const all = scripts.map(({ name, script }) => ({ name, script, ...breaks[name] }));
  await inTurns(all, async (each) => {
    const error = await caught(each, sources, command).then((message) => process.env.VERBOSE && console.log(`  ${each.name}: ${message}`), (error) => error);
    tell(`${each.name}, broken`, error);
  });
}

const end = process.argv.indexOf("--");
if (end < 0) throw new Error("usage: node play.mjs [--only NAME]... [--broken BREAKS SOURCES] -- COMMAND...");
const command = process.argv.slice(end + 1);
const { values, positionals } = parseArgs({
  args: process.argv.slice(2, end),
  options: { only: { type: "string", multiple: true, default: [] }, broken: { type: "string" } },
  allowPositionals: true,
});
const scripts = await cases(values.only);
if (values.broken) await broken(scripts, JSON.parse(await readFile(values.broken, "utf8")), positionals[0], command);
else await whole(scripts, command);
console.log(`# pass ${passed}\n# fail ${failures}`);
process.exit(failures ? 1 : 0);
