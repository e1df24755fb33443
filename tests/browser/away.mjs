/**
 * What pages show after they were away: the server killed, its database restarted, the network cut, each while another program
 * goes on writing. In the end both are what SELECT says, without a reload, and they say what was missed.
 */
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { after, afterEach, before, describe, test } from "node:test";
import { chromium } from "playwright-core";
import { Proxy, Psql } from "./cutting.mjs";
import { call, CHROMIUM, CHROMIUM_ARGS, missing, NARROW, Server, until, Watched, WIDE } from "./support.mjs";
import { look } from "./views.mjs";

const SHOTS = process.env.SCREENSHOTS;
/** So that all rows of these tests are drawn, and can be compared. */
const TALL = { width: WIDE.width, height: 4_000 };
/** What a browser says by itself of a server that is not there. */
const ABSENCE = /ERR_CONNECTION|ERR_EMPTY_RESPONSE|ERR_INCOMPLETE|ERR_SOCKET|ERR_NETWORK|WebSocket connection to .* failed|status of 503/;

const reason = missing();
if (reason) {
  console.log(`skipped: the tests of absence, because there is ${reason}`);
  test("the browser tests can run", { skip: process.env.CI === "true" ? false : reason }, () => assert.fail(reason));
} else {
  describe("away", { timeout: 180_000 }, suite);
}

function suite() {
  let server;
  let proxy;
  let browser;
  let psql;
  /** One goes straight to the server, the other through a proxy that can be cut. */
  let a;
  let b;

  const both = (action) => Promise.all([a, b].map(action));
  const table = async () => (await psql.rows("select id, name, status, version from items")).map((line) => JSON.parse(line));
  const item = (name) => call(server, "POST", "/api/items", { name });

  /** Inserts, changes and deletes, so that a page that was away has all of them to catch up with. */
  async function write(name, count) {
    for (let at = 0; at < count; at += 1) {
      await psql.run(`insert into items (name) values ('${name} ${at}')`);
      if (at % 3 === 1) await psql.run(`update items set status = 'done', version = version + 1 where name = '${name} ${at}'`);
      if (at % 3 === 2) await psql.run(`delete from items where name = '${name} ${at - 1}' or name = '${name} ${at}'`);
    }
  }

  before(async () => {
    if (SHOTS) await mkdir(SHOTS, { recursive: true });
    server = await Server.start();
    proxy = await Proxy.start(server.url, Math.random);
    psql = new Psql(server.database_url);
    browser = await chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_ARGS });
    a = await Watched.open(browser, `${server.url}/#/board`, { viewport: TALL });
    b = await Watched.open(browser, `http://${new URL(proxy.url).host}/#/board`, { viewport: TALL });
    await both((watched) => watched.state("live"));
    await both((watched) => watched.page.evaluate(() => (window.not_reloaded = true)));
  });

  after(async () => {
    psql?.stop();
    proxy?.stop();
    await browser?.close();
    await server?.stop();
  });

  afterEach(async () => {
    assert.deepEqual([...a.faults(), ...b.faults()], []);
    await both(async ({ page }) => assert.equal(await page.evaluate(() => window.not_reloaded), true));
    for (const { page } of [a, b]) if (await page.locator(".missed").count()) await page.getByRole("button", { name: "Seen" }).click();
    await psql.run("delete from items");
    await both((watched) => watched.shows(table));
  });

  test("a server that is killed while another program writes, and comes back", async () => {
    for (let at = 0; at < 3; at += 1) await item(`Before ${at}`);
    await both((watched) => watched.card("Before 2").waitFor());
    await both((watched) => watched.allow(ABSENCE));
    const writing = (async () => {
      for (let at = 0; ; at += 1) await item(`while ${at}`);
    })().catch(() => "cut off");
    await a.card("while 3").waitFor();
    await server.kill();
    assert.equal(await writing, "cut off");
    await both((watched) => watched.state("reconnecting", "offline"));
    assert.match(await a.page.locator(".connection-text").textContent(), /^Reconnecting (in \d+ s|now)$|^Connecting$/);
    assert.match(await a.page.locator(".meta").textContent(), /as of \d/);
    await shotAway("reconnecting");
    await server.start();
    psql.stop();
    psql = new Psql(server.database_url);
    await write("after", 9);
    await both((watched) => watched.state("live"));
    await both((watched) => watched.shows(table));
  });

  const shotAway = async (name) => {
    for (const viewport of [WIDE, NARROW]) {
      await b.page.setViewportSize(viewport);
      await look(b, `${name}-${viewport.width}-light`, SHOTS);
    }
    await b.page.setViewportSize(TALL);
  };

  test("a network that is cut while changes go on: one page misses them, and then says what", async () => {
    const kept = await item("Kept");
    await item("Deleted meanwhile");
    await both((watched) => watched.card("Deleted meanwhile").waitFor());
    b.allow(ABSENCE);
    proxy.is_closed = true;
    proxy.cut();
    await b.state("reconnecting", "offline");
    await write("missed", 7);
    await call(server, "PATCH", `/api/items/${kept.id}`, { status: "active" });
    await psql.run("delete from items where name = 'Deleted meanwhile'");
    await a.inColumn("active", "Kept").waitFor();
    assert.equal(await b.inColumn("active", "Kept").count(), 0);
    proxy.is_closed = false;
    await b.page.getByRole("button", { name: "Try now" }).click({ timeout: 2_000 }).catch(() => {});
    await b.state("live");
    await both((watched) => watched.shows(table));
    const banner = b.page.locator(".missed");
    await banner.waitFor();
    assert.match(await banner.textContent(), /While you were away, since .*: 7 items added, 3 changes, 5 deleted\./);
    assert.match(await b.card("Kept").getAttribute("class"), /card-missed/);
    assert.equal(await a.page.locator(".missed").count(), 0);
    await shotAway("missed");
    await banner.getByRole("button", { name: "Seen" }).click();
    await banner.waitFor({ state: "detached" });
    assert.equal(await b.page.locator(".card-missed").count(), 0);
  });

  test("a page with much to catch up with says so, and is live only when it shows all of it", async () => {
    b.allow(ABSENCE);
    proxy.is_closed = true;
    proxy.cut();
    await b.state("reconnecting", "offline");
    const count = 30_000;
    await psql.run(`insert into items (name) select 'Many ' || i from generate_series(1, ${count}) i`);
    await a.page.waitForFunction((text) => document.querySelector(".meta")?.textContent.includes(text), `${count.toLocaleString("en")} items`);
    await b.page.evaluate(() => {
      window.said = [];
      const label = document.querySelector(".connection-text");
      new MutationObserver(() => window.said.push([label.textContent, document.querySelector(".meta span").textContent])).observe(label, { subtree: true, childList: true, characterData: true });
    });
    proxy.is_closed = false;
    await b.state("live");
    const said = await b.page.evaluate(() => window.said);
    const live = said.filter(([label]) => label === "Live").map(([, shown]) => shown);
    assert.deepEqual([...new Set(live)], [`${count.toLocaleString("en")} items`]);
    assert.ok(said.some(([label]) => /^Catching up [1-9][\d,]* changes$/.test(label)), JSON.stringify(said));
    assert.match(await b.page.locator(".missed").textContent(), /While you were away, since .*: 30,000 items added\./);
  });

  test("a network that is cut at random bytes while another program writes", async () => {
    b.allow(ABSENCE);
    const cuts = proxy.cuts;
    proxy.is_cutting = true;
    proxy.cut();
    await write("cut", 36);
    proxy.is_cutting = false;
    proxy.cut();
    await both((watched) => watched.state("live"));
    await both((watched) => watched.shows(table));
    assert.ok(proxy.cuts > cuts);
  });

  test("a database that is restarted while the pages look on", async () => {
    await item("Before");
    await both((watched) => watched.card("Before").waitFor());
    await both((watched) => watched.allow(ABSENCE));
    // Its postmaster ends as with a crash, and plank starts it again.
    const pid = await psql.run("select pg_read_file('postmaster.pid')");
    psql.stop();
    process.kill(Number(pid.split("\n")[0]), "SIGQUIT");
    await until("the server has noticed", async () => (await fetch(`${server.url}/readyz`)).status === 503, 10_000);
    await until("the server follows it again", async () => (await fetch(`${server.url}/readyz`)).ok, 40_000);
    psql = new Psql(server.database_url);
    await write("after", 9);
    await both((watched) => watched.state("live"));
    await both((watched) => watched.shows(table));
  });
}
