/**
 * Every view, in both themes and at both widths: none is wider than its screen, cut off, or against the rules of axe, and none leaves an
 * error in the console. SCREENSHOTS names a directory for their pictures (`make screenshots`); VIEW is the name of the only one that is looked at.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { chromium } from "playwright-core";
import { Psql } from "./cutting.mjs";
import { BARE_VIEWS, LOGIN_VIEWS, MORE_SQL, SHOP_VIEWS } from "./gallery-views.mjs";
import { CHROMIUM, CHROMIUM_ARGS, missing, NARROW, PLANK_BIN, Server, Watched, WIDE } from "./support.mjs";
import { look } from "./views.mjs";

const SHOTS = process.env.SCREENSHOTS;
const ONLY = process.env.VIEW;
const SHOP = readFileSync(new URL("fixtures/shop.sql", import.meta.url), "utf8");
const SECRET = "a secret of a test, which is as long as it has to be";

const reason = missing();
if (reason) {
  console.log(`skipped: the pictures of every view, because there is ${reason}`);
  test("the browser tests can run", { skip: process.env.CI === "true" ? false : reason }, () => assert.fail(reason));
} else {
  describe("every view", { timeout: 900_000 }, () => {
    for (const [what, views, prepare] of [
      ["the shop", SHOP_VIEWS, shop],
      ["a log-in", LOGIN_VIEWS, login],
      ["no tables", BARE_VIEWS, bare],
    ]) {
      const wanted = views.filter(({ name }) => !ONLY || name === ONLY);
      if (wanted.length) describe(what, () => suite(wanted, prepare));
    }
  });
}

/** @returns {Promise<{server: Server, sql_before: string, more?: object, end?: () => Promise<void>}>} */
async function shop() {
  return { server: await Server.start(), sql_before: SHOP + MORE_SQL };
}

async function bare() {
  return { server: await Server.start(), sql_before: "select plank.unwatch('items')" };
}

async function login() {
  const dir = await mkdtemp(join(tmpdir(), "plank-gallery-"));
  const secret = join(dir, "secret");
  await writeFile(secret, SECRET, { mode: 0o600 });
  const server = await Server.start("--auth", "on", "--jwt-secret-file", secret);
  const token = (sub, role) => execFileSync(PLANK_BIN, ["token", "--sub", sub, "--role", role, "--ttl", "1h", "--jwt-secret-file", secret], { encoding: "utf8" }).trim();
  const more = { tokens: { viewer: token("ann", "viewer"), stranger: token("bob", "stranger") } };
  return { server, more, sql_before: `${SHOP}; select plank.allow('orders', 'viewer', null, '{select,update}')`, end: () => rm(dir, { recursive: true, force: true }) };
}

function suite(views, prepare) {
  let prepared, psql, browser;

  before(async () => {
    if (SHOTS) await mkdir(SHOTS, { recursive: true });
    prepared = await prepare();
    psql = new Psql(prepared.server.database_url);
    await psql.run(prepared.sql_before);
    browser = await chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_ARGS });
  });

  after(async () => {
    psql?.stop();
    await browser?.close();
    await prepared?.server.stop();
    await prepared?.end?.();
  });

  for (const colorScheme of ["light", "dark"]) {
    for (const viewport of [WIDE, NARROW]) {
      for (const { name, at, to } of views) {
        test(`${name}, ${viewport.width} px, ${colorScheme}`, async () => {
          const options = { viewport, colorScheme, reducedMotion: "reduce", timezoneId: "Europe/Berlin" };
          const watched = await Watched.open(browser, `${prepared.server.url}/${at}`, options);
          // The figures are for operators, and a log-in is asked for.
          if (prepared.more) watched.allow(/status of 40[13]/);
          try {
            await to(watched.page, { sql: (text) => psql.run(text), watched, is_narrow: viewport === NARROW, ...prepared.more });
            await look(watched, `${name}-${viewport.width}-${colorScheme}`, SHOTS);
            assert.deepEqual(watched.faults(), []);
          } finally {
            await watched.context.close();
          }
        });
      }
    }
  }
}
