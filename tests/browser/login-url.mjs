/**
 * The dashboard with a log-in page of its own (`--login-url`): plank's page sends people there, takes the token back behind the #, and is
 * where it was. The page here is one that a company might have: it knows where plank is, and sends nobody anywhere else.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { chromium } from "playwright-core";
import { Psql } from "./cutting.mjs";
import { CHROMIUM, CHROMIUM_ARGS, missing, NARROW, PLANK_BIN, Server, until, Watched, WIDE } from "./support.mjs";
import { look } from "./views.mjs";

const SHOTS = process.env.SCREENSHOTS;
const reason = missing();

if (reason) {
  console.log(`skipped: the tests of the log-in page, because there is ${reason}`);
  test("the browser tests can run", { skip: process.env.CI === "true" ? false : reason }, () => assert.fail(reason));
} else {
  describe("a log-in page of one's own", { timeout: 180_000 }, suite);
}

function suite() {
  let dir, secret, server, browser, psql, page_of_company;
  /** What the log-in page was asked, and what it says next: behind the #, without the state. */
  const asked = [];
  let says = "";

  const token = (sub, role, ttl = "1h") =>
    execFileSync(PLANK_BIN, ["token", "--sub", sub, "--role", role, "--ttl", ttl, "--jwt-secret-file", secret], { encoding: "utf8" }).trim();

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), "plank-login-"));
    secret = join(dir, "secret");
    await writeFile(secret, "a secret of a test, which is as long as it has to be", { mode: 0o600 });
    page_of_company = http.createServer((request, response) => {
      const url = new URL(request.url, "http://company");
      if (url.pathname !== "/login") return response.writeHead(204).end();
      asked.push(url.searchParams);
      const to = url.searchParams.get("return_to");
      if (to !== `${server.url}/`) return response.writeHead(400).end("no address of plank");
      response.writeHead(302, { location: `${to}#${says}&state=${encodeURIComponent(url.searchParams.get("state"))}` }).end();
    });
    await new Promise((resolve) => page_of_company.listen(0, "127.0.0.1", resolve));
    server = await Server.start("--auth", "on", "--jwt-secret-file", secret, "--login-url", `http://127.0.0.1:${page_of_company.address().port}/login?app=plank`);
    browser = await chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_ARGS });
    psql = new Psql(server.database_url);
    await psql.run(`create table books (id int primary key, title text); insert into books select i, 'Book ' || i from generate_series(1, 40) i;
      select plank.watch('books'); select plank.allow('books', 'viewer'); select plank.allow('items', 'viewer');
      select plank.allow('books', 'editor', null, '{select,insert,update}')`);
  });

  after(async () => {
    psql?.stop();
    await browser?.close();
    await server?.stop();
    page_of_company?.close();
    await rm(dir, { recursive: true, force: true });
  });

  const VIEW = "#/t/books?order=title.desc&row=7";

  async function open(hash, options = {}) {
    const urls = [];
    const watched = await Watched.open(browser, `${server.url}/${hash}`, { viewport: WIDE, ...options }, (page) => {
      page.on("request", (request) => urls.push(request.url()));
    });
    watched.urls = urls;
    // The figures are for operators.
    watched.allow(/status of 40[13]/);
    watched.allow(/a request left the origin: http:\/\/127\.0\.0\.1:\d+\/login\?app=plank&return_to=/);
    return watched;
  }
  const button = (watched) => watched.page.getByRole("button", { name: "Log in", exact: true });
  async function close(watched) {
    assert.deepEqual(watched.faults(), []);
    await watched.context.close();
  }

  test("people are sent there, come back to the view that they asked for, and the token is in no address", async () => {
    const watched = await open(VIEW);
    const { page } = watched;
    await button(watched).waitFor();
    await page.getByText("You come back to where you are.").waitFor();
    await look(watched, "log-in-url-1440-light", SHOTS);
    const given = token("ann", "viewer");
    says = `token=${given}`;
    await button(watched).click();
    await page.getByRole("heading", { name: "books id 7" }).waitFor();
    assert.equal(page.url(), `${server.url}/${VIEW}`);
    const { app, return_to, state, ...more } = Object.fromEntries(asked.at(-1));
    assert.deepEqual([app, return_to, more], ["plank", `${server.url}/`, {}], "where the view is stays here");
    assert.match(state, /^[0-9a-f]{32}$/);
    assert.ok(!watched.urls.some((url) => url.split("#")[0].includes(given)), "it is in no request");
    assert.equal(await page.evaluate(() => sessionStorage.length + document.cookie.length), 0);
    // Back and forth: the address with the token is no place in the history.
    await page.getByRole("link", { name: "Activity" }).click();
    await page.waitForURL(/#\/activity/);
    await page.goBack();
    await page.getByRole("heading", { name: "books id 7" }).waitFor();
    assert.ok(!page.url().includes("token"));
    await close(watched);
  });

  test("it says who one is, until when, and what one may do", async () => {
    const watched = await open(VIEW);
    const { page } = watched;
    says = `token=${token("bob", "editor")}`;
    await button(watched).click();
    await page.locator(".who summary").click();
    await page.getByText("bob, with the role editor").waitFor();
    await page.getByText("You may read 1 table, and write 1 of them.").waitFor();
    await page.getByText(/^Logged in until .*, for (60|59) minutes more\.$/).waitFor();
    assert.match(await page.locator(".who li").textContent(), /books insert, update/);
    await look(watched, "who-1440-light", SHOTS);
    await page.getByRole("button", { name: "Log out" }).click();
    await page.getByText("You are logged out.").waitFor();
    await button(watched).waitFor();
    await close(watched);
  });

  test("a link with another's token logs nobody in, and leaves who is in", async () => {
    const eve = token("eve", "viewer");
    for (const hash of [`#token=${eve}`, `#token=${eve}&state=${"0".repeat(32)}`, `#token=${eve}&state=null`, `#token=${eve}&state=undefined`]) {
      const stranger = await open(hash);
      await stranger.page.getByText("was not begun in this tab").waitFor();
      assert.equal(stranger.page.url(), `${server.url}/#/`);
      await button(stranger).waitFor();
      assert.ok(!stranger.urls.some((url) => url.endsWith("/api/session") && url.includes(eve)));
      await close(stranger);
    }
    const watched = await open(VIEW);
    const { page } = watched;
    says = `token=${token("ann", "viewer")}`;
    await button(watched).click();
    await page.getByRole("heading", { name: "books id 7" }).waitFor();
    await page.evaluate((hash) => (location.hash = hash), `#token=${eve}&state=1`);
    await page.waitForURL(`${server.url}/#/`);
    await page.goto("about:blank");
    await page.goto(`${server.url}/#token=${eve}&state=1`);
    await page.getByText("was not begun in this tab").waitFor();
    assert.equal(await page.locator(".who summary").textContent(), "ann");
    // One that was used is used up.
    const { state } = Object.fromEntries(asked.at(-1));
    await page.goto("about:blank");
    await page.goto(`${server.url}/#token=${eve}&state=${state}`);
    await page.getByText("was not begun in this tab").waitFor();
    assert.equal(await page.locator(".who summary").textContent(), "ann");
    await close(watched);
  });

  test("why the log-in page gave none, and why a token was not taken, is said, and a token may still be typed", async () => {
    const watched = await open(VIEW, { viewport: NARROW });
    const { page } = watched;
    says = "error=access_denied&error_description=You%20are%20no%20reader%20of%20books";
    await button(watched).click();
    await page.getByText("You were not logged in: You are no reader of books.").waitFor();
    says = `token=${token("ann", "viewer").slice(0, -9)}aaaaaaaaa`;
    await button(watched).click();
    await page.getByText("This token is not accepted").waitFor();
    assert.equal(page.url(), `${server.url}/${VIEW}`, "where one wanted to go is kept");
    await look(watched, "log-in-refused-390-light", SHOTS);
    await page.getByLabel("Token").fill(token("ann", "viewer"));
    await page.getByRole("button", { name: "Log in with it" }).click();
    await page.getByRole("heading", { name: "books id 7" }).waitFor();
    await close(watched);
  });

  test("a session that ends comes back where it was", async () => {
    const watched = await open(VIEW);
    const { page } = watched;
    says = `token=${token("ann", "viewer", "8s")}`;
    await button(watched).click();
    await page.getByRole("heading", { name: "books id 7" }).waitFor();
    await page.getByText("Your log-in has expired.").waitFor({ timeout: 30_000 });
    says = `token=${token("ann", "viewer")}`;
    await button(watched).click();
    await page.getByRole("heading", { name: "books id 7" }).waitFor();
    assert.equal(page.url(), `${server.url}/${VIEW}`);
    await until("it is live", async () => (await page.locator(".connection").getAttribute("data-state")) === "live");
    await close(watched);
  });
}
