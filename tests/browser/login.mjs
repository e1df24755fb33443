/**
 * The dashboard where people have to log in, with the real server: a token becomes a cookie, the page shows what the policies
 * let its owner see, and it ends with the token, with a log-out, or when the policy is taken back.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { chromium } from "playwright-core";
import { Psql } from "./cutting.mjs";
import { CHROMIUM, CHROMIUM_ARGS, missing, PLANK_BIN, Server, until, Watched, WIDE } from "./support.mjs";

const reason = missing();

if (reason) {
  console.log(`skipped: the tests of the log-in, because there is ${reason}`);
  test("the browser tests can run", { skip: process.env.CI === "true" ? false : reason }, () => assert.fail(reason));
} else {
  describe("a dashboard that asks who is there", { timeout: 120_000 }, suite);
}

function suite() {
  let dir, secret, server, browser, psql;

  const token = (sub, role, ttl = "1h") =>
    execFileSync(PLANK_BIN, ["token", "--sub", sub, "--role", role, "--ttl", ttl, "--jwt-secret-file", secret], { encoding: "utf8" }).trim();

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), "plank-login-"));
    secret = join(dir, "secret");
    await writeFile(secret, "a secret of a test, which is as long as it has to be", { mode: 0o600 });
    server = await Server.start("--auth", "on", "--jwt-secret-file", secret);
    browser = await chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_ARGS });
    psql = new Psql(server.database_url);
    await psql.run(`insert into items (name, status) values ('for everybody', 'open'), ('for editors', 'done');
      select plank.allow('items', 'viewer', 'status=neq.done');
      select plank.allow('items', 'editor', null, '{select,insert,update,delete}')`);
  });

  after(async () => {
    psql?.stop();
    await browser?.close();
    await server?.stop();
    await rm(dir, { recursive: true, force: true });
  });

  async function logIn(watched, text) {
    const { page } = watched;
    await page.getByLabel("Token").fill(text);
    await page.getByRole("button", { name: "Log in" }).click();
  }

  test("a token is asked for, and then the page shows what its owner may see", async () => {
    const watched = await Watched.open(browser, `${server.url}/#/board`, { viewport: WIDE });
    const { page } = watched;
    watched.allow(/status of 401/);
    await page.getByRole("heading", { name: "Log in to plank" }).waitFor();
    await logIn(watched, "abc");
    await page.getByRole("alert").waitFor();
    await logIn(watched, `Bearer ${token("ann", "viewer")}`);
    await watched.state("live");
    await page.locator(".card", { hasText: "for everybody" }).waitFor();
    assert.equal(await page.locator(".card", { hasText: "for editors" }).count(), 0);
    // What becomes visible comes, and what is hidden goes, while the page is shown.
    await psql.run("update items set status = 'active' where name = 'for editors'");
    await page.locator(".card", { hasText: "for editors" }).waitFor();
    await psql.run("update items set status = 'done' where name = 'for editors'");
    await page.locator(".card", { hasText: "for editors" }).waitFor({ state: "detached" });
    // The cookie is for no script, and a second page needs no second log-in.
    assert.equal(await page.evaluate(() => document.cookie), "");
    const second = await watched.context.newPage();
    await second.goto(`${server.url}/#/board`);
    await second.locator(".card", { hasText: "for everybody" }).waitFor();
    await second.close();
    // Taken back: the page says so, without a reload.
    await psql.run("select plank.deny('items', 'viewer')");
    await page.locator(".card", { hasText: "for everybody" }).waitFor({ state: "detached" });
    await psql.run("select plank.allow('items', 'viewer', 'status=neq.done')");
    await page.locator(".card", { hasText: "for everybody" }).waitFor();
    assert.deepEqual(watched.faults(), []);
    await watched.context.close();
  });

  test("a session ends with its token, and an editor may write", async () => {
    const watched = await Watched.open(browser, `${server.url}/#/board`, { viewport: WIDE });
    const { page } = watched;
    watched.allow(/status of 401/);
    // Long enough for a log-in on a machine that is busy.
    await logIn(watched, token("bob", "editor", "10s"));
    await watched.state("live");
    await page.getByText("Your log-in has expired.").waitFor();
    await logIn(watched, token("bob", "editor"));
    await watched.state("live");
    await page.getByRole("button", { name: "New item", exact: true }).click();
    await page.getByRole("dialog").getByLabel("Name").fill("made by bob");
    await page.keyboard.press("Enter");
    await until("the item", async () => (await psql.run("select count(*) from items where name = 'made by bob'")).includes("1"));
    assert.deepEqual(watched.faults(), []);
    await watched.context.close();
  });
}
