/**
 * The tables, the activity, the log-in, and what holds for every view: nothing that axe-core finds wrong, no view wider
 * than its screen, and the bytes of a first visit. SCREENSHOTS names a directory for pictures of every view.
 */
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import http from "node:http";
import { after, before, describe, test } from "node:test";
import { chromium } from "playwright-core";
import { Psql } from "./cutting.mjs";
import { call, CHROMIUM, CHROMIUM_ARGS, missing, NARROW, Server, until, Watched, WIDE } from "./support.mjs";
import { look } from "./views.mjs";

const SHOTS = process.env.SCREENSHOTS;
const KIB = 1024;
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

const reason = missing();
if (reason) {
  console.log(`skipped: the tests of the views, because there is ${reason}`);
  test("the browser tests can run", { skip: process.env.CI === "true" ? false : reason }, () => assert.fail(reason));
} else {
  describe("views", { timeout: 180_000 }, suite);
}

function suite() {
  let server;
  let browser;
  let psql;

  const open = (hash = "", options = {}, prepare) => Watched.open(browser, `${server.url}/${hash}`, { viewport: WIDE, ...options }, prepare);
  const close = async (watched) => {
    assert.deepEqual(watched.faults(), []);
    await watched.context.close();
  };

  before(async () => {
    if (SHOTS) await mkdir(SHOTS, { recursive: true });
    server = await Server.start();
    psql = new Psql(server.database_url);
    browser = await chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_ARGS });
  });

  after(async () => {
    psql?.stop();
    await browser?.close();
    await server?.stop();
  });

  /** The files of the page that have been transferred; answers of the API are no part of it. */
  const files = async ({ page }) => {
    const addresses = await page.evaluate(() => {
      const entries = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
      return entries.filter(({ transferSize }) => transferSize > 0).map(({ name }) => name.split("#")[0]);
    });
    return [...new Set(addresses)].filter((address) => !/\/(api|metrics|readyz)\b/.test(address));
  };

  const length = (address, coding) =>
    new Promise((resolve, reject) => {
      const answered = async (response) => resolve((await response.toArray()).reduce((sum, { length }) => sum + length, 0));
      http.get(address, { headers: { "accept-encoding": coding } }, answered).on("error", reject);
    });

  const bytes = async (addresses, coding) => (await Promise.all(addresses.map((address) => length(address, coding)))).reduce((sum, one) => sum + one, 0);

  test("a first visit transfers at most 40 KiB gzipped, and 75 KiB with the plots", async () => {
    const watched = await open();
    await watched.state("live");
    await watched.page.waitForLoadState("networkidle");
    const first = await files(watched);
    await watched.page.getByRole("link", { name: "Activity" }).click();
    await watched.page.locator(".plot canvas").first().waitFor();
    const with_plots = await files(watched);
    assert.ok(first.length > 10 && with_plots.length > first.length, `${with_plots}`);
    const sums = {};
    // Browsers take brotli over HTTPS and on this machine, and gzip over plain HTTP.
    for (const coding of ["gzip", "br"]) sums[coding] = [await bytes(first, coding), await bytes(with_plots, coding)];
    const said = Object.entries(sums).map(([coding, pair]) => `${coding} ${pair.map((sum) => (sum / KIB).toFixed(1)).join(", with plots ")} KiB`);
    console.log(`first visit: ${said.join("; ")}`);
    assert.ok(sums.gzip[0] > 10 * KIB && sums.gzip[0] <= 40 * KIB, `${sums.gzip[0]} bytes`);
    assert.ok(sums.gzip[1] > sums.gzip[0] + 20 * KIB && sums.gzip[1] <= 75 * KIB, `${sums.gzip[1]} bytes`);
    await close(watched);
  });

  test("a file has a tag for each of its forms, and is not sent twice", async () => {
    const get = (headers) => fetch(`${server.url}/static/views/filter.js`, { headers: { "accept-encoding": "identity", ...headers } });
    const tags = [];
    for (const coding of ["identity", "gzip", "br"]) {
      const response = await get({ "accept-encoding": coding });
      assert.equal(response.headers.get("content-encoding") ?? "identity", coding);
      assert.equal(response.headers.get("vary"), "accept-encoding");
      assert.match(await response.text(), /export const Filter\b/);
      const tag = response.headers.get("etag");
      assert.equal((await get({ "accept-encoding": coding, "if-none-match": tag })).status, 304);
      tags.push(tag);
    }
    assert.equal(new Set(tags).size, 3);
  });

  test("a watched table is live: rows, filter, columns, order, and its changes with old and new values", async () => {
    await psql.run(`create table orders (id bigint primary key, customer text, total numeric, paid boolean, at timestamptz);
      insert into orders select i, 'customer ' || i, i * 10, i % 2 = 0, '2026-11-24 08:00Z' from generate_series(1, 12) i; select plank.watch('orders')`);
    const watched = await open("#/");
    const { page } = watched;
    await page.getByRole("link", { name: /^orders/ }).click();
    await page.getByRole("gridcell", { name: "customer 12", exact: true }).waitFor();
    await watched.state("live");
    const column = (at) => page.$$eval(".grid tbody tr", (rows, at) => rows.map((row) => row.cells[at].textContent), at);
    await page.getByRole("button", { name: "total" }).click();
    await page.getByRole("button", { name: "total" }).click();
    await until("the order", async () => (await column(0)).slice(0, 3).join() === "12,11,10");
    await psql.run("update orders set total = 1000.5, customer = 'changed' where id = 3; insert into orders values (13, 'new', null, null, null); delete from orders where id = 12");
    await page.locator('.changes [data-op="delete"]').waitFor();
    await until("null is the largest, as in PostgreSQL", async () => (await column(0)).slice(0, 3).join() === "13,3,11");
    const update = await page.locator('.changes [data-op="update"]').textContent();
    assert.match(update, /updateid 3.*customerbefore: customer 3 → now: changedtotalbefore: 30 → now: 1000\.5/);
    assert.match(await page.locator('.changes [data-op="delete"]').textContent(), /customerbefore: customer 12/);
    await look(watched, "table-1440-light", SHOTS);
    await page.getByRole("button", { name: "Hold" }).click();
    await psql.run("delete from orders where id = 1");
    await page.getByRole("button", { name: "Go on, 1 more" }).click();
    assert.equal(await page.locator('.changes [data-op="delete"]').count(), 2);
    await page.locator(".columns summary").click();
    await page.getByRole("checkbox", { name: /^paid/ }).uncheck();
    await page.getByRole("columnheader", { name: "paid" }).waitFor({ state: "detached" });
    assert.ok(await page.getByRole("checkbox", { name: /^id/ }).isDisabled());
    await page.keyboard.press("Escape");
    const filter = page.getByRole("combobox", { name: /^Filter rows/ });
    await filter.fill("total=gt.100");
    await filter.press("Enter");
    await until("only those that pass", async () => (await column(0)).length === 2);
    await psql.run("update orders set total = 1 where id = 3");
    await page.locator('.changes [data-op="delete"]', { hasText: "An update made it leave the filter." }).waitFor();
    await until("it has left", async () => (await column(0)).length === 1);
    await filter.fill("nope=eq.1");
    await filter.press("Enter");
    await page.getByText(/^Not applied: .*nope/).waitFor();
    await psql.run("select plank.unwatch('orders')");
    await page.getByText("There is no watched table orders.").or(page.getByText("This table is not watched any more.")).first().waitFor();
    await close(watched);
  });

  test("a table without a key is read again after its changes", async () => {
    await psql.run("create table loose (what text); insert into loose values ('first'); select plank.watch('loose')");
    const watched = await open("#/t/loose");
    await watched.page.getByText("This table has no primary key").waitFor();
    await watched.page.getByRole("gridcell", { name: "first" }).waitFor();
    await psql.run("insert into loose values ('second')");
    await watched.page.getByRole("gridcell", { name: "second" }).waitFor();
    await watched.page.locator('.changes [data-op="insert"]', { hasText: "second" }).waitFor();
    const filter = watched.page.getByRole("combobox", { name: /^Filter rows/ });
    await filter.fill("#1");
    await filter.press("Enter");
    await watched.page.getByText("No row passes this filter.").waitFor();
    await psql.run("insert into loose values ('say #1')");
    await watched.page.getByRole("gridcell", { name: "say #1" }).waitFor();
    // After a reset they are read again as well.
    await psql.run("alter table loose alter column what type varchar(40)");
    await watched.page.locator(".grid th", { hasText: "what" }).and(watched.page.locator(":has([title*='character varying(40)'])")).waitFor();
    await watched.page.getByRole("gridcell", { name: "say #1" }).waitFor();
    await filter.fill("");
    await filter.press("Enter");
    await watched.page.getByRole("gridcell", { name: "first" }).waitFor();
    // With a key it is a table like others.
    await psql.run("alter table loose add primary key (what)");
    await watched.page.getByText("This table has no primary key").waitFor({ state: "detached" });
    await watched.page.getByRole("gridcell", { name: "first" }).waitFor();
    await psql.run("select plank.unwatch('loose')");
    await close(watched);
  });

  test("a user who comes back to the items from the tables is told their state, and not that of nothing", async () => {
    const watched = await open("#/tables/public.items");
    await watched.page.getByRole("gridcell").first().or(watched.page.getByText("This table is empty")).waitFor();
    await watched.page.getByRole("link", { name: "Tables", exact: true }).click();
    await watched.page.getByRole("link", { name: /^Board/ }).click();
    await watched.page.locator(".board").waitFor();
    await watched.state("live");
    await psql.run("select plank.unwatch('items')");
    await watched.page.locator(".connection-text", { hasText: "Not watched any more" }).waitFor();
    await psql.run("select plank.watch('items', writable => true)");
    await close(watched);
  });

  test("the activity shows what the server counts, and says it when it may not be seen", async () => {
    const watched = await open("#/activity");
    const { page } = watched;
    await page.getByText("following", { exact: true }).waitFor();
    await page.locator(".plot canvas").first().waitFor();
    const plot = page.locator(".plot", { hasText: "Changes per second" });
    await until("a rate of inserts", async () => {
      await call(server, "POST", "/api/items", { name: "Counted" });
      return /inserts [1-9]/.test(await plot.locator(".legend").textContent());
    });
    await page.locator(".busiest").getByRole("link", { name: "items" }).waitFor();
    // What clients follow, and what is sent to them.
    const follower = await open("#/board");
    await follower.state("live");
    const topics = page.getByRole("region", { name: "Heaviest topics" });
    await until("what is sent to the board", async () => {
      await call(server, "POST", "/api/items", { name: "Counted" });
      return /items.*all.*[1-9].*[1-9][\d.]* (B|KiB)/.test(await topics.textContent());
    });
    await close(follower);
    const reached = [...(await (await fetch(`${server.url}/metrics`)).text()).matchAll(/^plank_limits_total\{.*\} [1-9]/gm)].length;
    assert.equal(await page.getByRole("region", { name: "Limits that were reached" }).locator("tbody tr").count(), reached);
    assert.equal(await page.getByText("None since the server started.").count(), reached ? 0 : 1);
    for (const span of ["1 min", "30 min"]) {
      await page.getByRole("radio", { name: span }).check();
      assert.ok(await page.getByRole("radio", { name: span }).isChecked());
    }
    // What was read is there after a look at something else.
    const readings = await plot.locator(".legend").textContent();
    assert.match(readings, /inserts/);
    await page.getByRole("link", { name: "Tables", exact: true }).click();
    await page.getByRole("heading", { name: "Tables" }).waitFor();
    await page.getByRole("link", { name: "Activity" }).click();
    await page.locator(".plot canvas").first().waitFor();
    await look(watched, "activity-topics-1440-light", SHOTS);
    await page.route("**/metrics", (route) => route.fulfill({ status: 403, contentType: "text/html", body: "<html>Forbidden</html>" }));
    watched.allow(/status of 403/);
    await page.getByText("are not shown here (403)").waitFor();
    await page.getByText("What is shown is from before.").waitFor();
    await close(watched);
    const refused = await open("#/activity", {}, (one) => one.route("**/metrics", (route) => route.fulfill({ status: 403, body: "" })));
    await refused.page.getByText("as nginx/plank.conf does").waitFor();
    await look(refused, "activity-refused-1440-light", SHOTS);
    refused.allow(/status of 403/);
    await close(refused);
  });

  test("who has to log in is asked, with a token that is taken; a log-out and an expired one lead back", async () => {
    let is_in = false;
    const json = (route, status, body) => route.fulfill({ status, contentType: "application/problem+json", body: JSON.stringify(body) });
    const tokens = [];
    const watched = await open("#/board", {}, (page) =>
      page.route("**/api/session", async (route) => {
        const method = route.request().method();
        const token = (await route.request().allHeaders()).authorization;
        if (method === "POST") {
          tokens.push(token);
          if (token !== "Bearer good.token") return json(route, 401, { title: "Unauthorized", status: 401, detail: "its signature is wrong" });
          is_in = true;
        }
        if (method === "DELETE") is_in = false;
        if (method === "DELETE") return route.fulfill({ status: 204 });
        return is_in ? json(route, 200, { auth: true, sub: "ann", role: "reader", exp: Date.now() / 1000 + 3600 }) : json(route, 401, { title: "Unauthorized", status: 401, detail: "log in" });
      }),
    );
    watched.allow(/status of 401/);
    const { page } = watched;
    await page.getByRole("heading", { name: "Log in to plank" }).waitFor();
    await look(watched, "login-1440-light", SHOTS);
    await page.getByLabel("Token").fill("bad.token");
    await page.keyboard.press("Enter");
    await page.getByText("This token is not accepted: its signature is wrong").waitFor();
    await page.getByLabel("Token").fill(" Bearer good.token\n");
    await page.getByRole("button", { name: "Log in" }).click();
    await watched.state("live");
    await page.locator(".who summary", { hasText: "ann" }).waitFor();
    assert.deepEqual(tokens, ["Bearer bad.token", "Bearer good.token"]);
    await page.locator(".who summary").click();
    await page.getByRole("button", { name: "Log out" }).click();
    await page.getByText("You are logged out.").waitFor();
    await page.getByLabel("Token").fill("good.token");
    await page.keyboard.press("Enter");
    await watched.state("live");
    // The next request finds the log-in expired.
    await page.route("**/api/items", (route) => json(route, 401, { title: "Unauthorized", status: 401, detail: "expired" }));
    await page.keyboard.press("n");
    await page.getByRole("dialog").getByLabel("Name").fill("Too late");
    await page.keyboard.press("Enter");
    await page.getByText("Your log-in has expired.").waitFor();
    await page.getByLabel("Token").waitFor();
    watched.allow(/status of 401/);
    await close(watched);
  });

  test("a socket that is closed for want of a log-in leads to it", async () => {
    for (const [code, why] of [[4502, "Your log-in has expired."], [4503, "With this log-in you may not see the tables."]]) {
      const watched = await open("", {}, (page) => page.routeWebSocket("**/ws", (socket) => socket.close({ code, reason: "" })));
      await watched.page.getByText(why).waitFor();
      await close(watched);
    }
  });

  for (const amount of ["none", "few", "many"]) {
    test(`${amount === "none" ? "no" : amount} rows: no view is too wide or against the rules of axe, in both themes`, async () => {
      await psql.run("truncate items");
      if (amount !== "none") for (const [at, body] of FEW.entries()) await call(server, "POST", "/api/items", { status: STATUSES[at % 3], ...body });
      if (amount === "many") await psql.run("insert into items (name, status, description) select 'Item ' || i, (array['open', 'active', 'done'])[1 + i % 3], case when i % 4 = 0 then 'Two coats' end from generate_series(1, 3000) i");
      for (const colorScheme of ["light", "dark"]) {
        for (const viewport of [WIDE, NARROW]) {
          // Without motion, so that a picture does not depend on when it was taken.
          const watched = await open("#/board", { viewport, colorScheme, reducedMotion: "reduce" });
          const { page } = watched;
          const check = async (view) => {
            const name = `${view}-${amount}-${viewport.width}-${colorScheme}`;
            await look(watched, name, SHOTS);
          };
          await watched.state("live");
          await page.locator(amount === "none" ? "[data-nothing]" : ".card:visible").first().waitFor();
          await check("items");
          await page.getByRole("button", { name: "New item", exact: true }).click();
          await page.getByRole("dialog").getByLabel("Name").waitFor();
          if (amount !== "many") await check("editor");
          await page.keyboard.press("Escape");
          await page.getByRole("dialog").waitFor({ state: "detached" });
          await page.getByRole("link", { name: "Tables", exact: true }).click();
          await page.getByRole("link", { name: /^items/ }).waitFor();
          await check("home");
          await page.getByRole("link", { name: /^items/ }).click();
          await page.locator(amount === "none" ? ".grid .nothing" : ".grid tbody tr").first().waitFor();
          await watched.state("live");
          if (amount !== "none") {
            await psql.run("update items set version = version + 1 where id = (select min(id) from items)");
            await page.locator('.changes [data-op="update"]').first().waitFor({ state: "attached" });
          }
          await check("table");
          if (amount === "few") {
            await page.getByRole("link", { name: "Activity" }).click();
            await page.locator(".plot canvas").first().waitFor();
            await check("activity");
          }
          await close(watched);
        }
      }
    });
  }
}
