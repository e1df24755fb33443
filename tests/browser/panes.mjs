/** What is beside the rows and around them: the list of changes, a live query among the tables, the key that stands still, and a phone. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { chromium } from "playwright-core";
import { Psql } from "./cutting.mjs";
import { CHROMIUM, CHROMIUM_ARGS, missing, NARROW, Server, until, Watched, WIDE } from "./support.mjs";

const SHOP = readFileSync(new URL("fixtures/shop.sql", import.meta.url), "utf8");

const reason = missing();
if (reason) {
  console.log(`skipped: the tests of the panes, because there is ${reason}`);
  test("the browser tests can run", { skip: process.env.CI === "true" ? false : reason }, () => assert.fail(reason));
} else {
  describe("panes", { timeout: 120_000 }, suite);
}

function suite() {
  let server, browser, psql;

  before(async () => {
    server = await Server.start();
    psql = new Psql(server.database_url);
    await psql.run(SHOP);
    browser = await chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_ARGS });
  });

  after(async () => {
    psql?.stop();
    await browser?.close();
    await server?.stop();
  });

  const open = async (hash, options = {}) => {
    const watched = await Watched.open(browser, `${server.url}/${hash}`, { viewport: WIDE, ...options });
    await watched.state("live");
    await watched.page.locator(".grid tbody tr").first().waitFor();
    return watched;
  };
  const close = async (watched) => {
    assert.deepEqual(watched.faults(), []);
    await watched.context.close();
  };
  const cell = (watched, key, name) => watched.page.locator(`.grid tr[data-key='${key}'] td[data-name="${name}"]`);

  test("the list of changes has what happened before, and only this row, only mine and hold do what they say", async () => {
    // Of the first change that the log has of a row nobody tells what was before.
    await psql.run("update orders set note = 'first' where id = 3; update orders set note = 'before' where id in (3, 4)");
    const watched = await open("#/t/orders");
    const { page } = watched;
    /** Each with what its note is now, and was if that is known. */
    const listed = () =>
      page.$$eval(".changes [data-op]", (all) =>
        all.map((li) => {
          const note = [...li.querySelectorAll("dt")].find((dt) => dt.textContent === "note").nextElementSibling;
          const text = (name) => note.querySelector(name)?.lastChild.textContent;
          return `${li.querySelector(".change-key").textContent} ${text("del") ? `${text("del")} → ` : ""}${text("ins")}`;
        }),
      );
    const shows = (...expected) => until(expected.join(), async () => JSON.stringify(await listed()) === JSON.stringify(expected)).catch(async () => assert.deepEqual(await listed(), expected));
    const before = ["id 4 before", "id 3 first → before", "id 3 first"];
    await shows(...before);
    await cell(watched, 3, "note").click();
    await page.keyboard.type("by this page");
    await page.keyboard.press("Enter");
    await shows("id 3 before → by this page", ...before);
    await psql.run("update orders set note = 'by psql' where id = 3");
    const more = ["id 3 by this page → by psql", "id 3 before → by this page", ...before];
    await shows(...more);
    const pane = page.locator(".changes");
    const button = (name) => pane.getByRole("button", { name, exact: true });
    await button("Mine").click();
    await shows("id 3 before → by this page");
    await button("Mine").click();
    await cell(watched, 3, "note").click();
    await button("This row").click();
    await shows(...more.filter((one) => one.startsWith("id 3")));
    await button("Mine").click();
    await shows("id 3 before → by this page");
    await cell(watched, 5, "note").click();
    await pane.getByText("None of the 5 changes that are kept here is of this row and made by this page since it was loaded.").waitFor();
    await button("Mine").click();
    await button("This row").click();
    await button("Hold").click();
    await psql.run("update orders set note = 'later' where id in (6, 7)");
    await button("Go on, 2 more").waitFor();
    await shows(...more);
    await button("Go on, 2 more").click();
    await shows("id 7 null → later", "id 6 null → later", ...more);
    // Several rows at once are one transaction of this page, and a reload begins anew.
    await page.getByRole("checkbox", { name: "Choose the row 8", exact: true }).click();
    await page.getByRole("checkbox", { name: "Choose the row 9", exact: true }).click();
    await cell(watched, 8, "note").click();
    await page.keyboard.type("together");
    await page.keyboard.press("Enter");
    await button("Mine").click();
    await until("those as well", async () => (await listed()).sort().join() === "id 3 before → by this page,id 8 null → together,id 9 null → together");
    await page.reload();
    await button("Mine").click();
    await pane.getByText(/^None of the 9 changes .* made by this page since it was loaded\.$/).waitFor();
    await close(watched);
  });

  test("the list of changes is that of the filter, also of what happened before", async () => {
    await psql.run("update reviews set stars = 5 where id = 7; update reviews set body = 'Squeaks no more' where id in (7, 8)");
    const watched = await open("#/t/reviews?filter=id%3D8");
    const { page } = watched;
    // Which row of a statement is first is PostgreSQL's choice.
    const keys = (...expected) => until(expected.join(), async () => (await page.$$eval(".changes [data-op] .change-key", (all) => all.map((one) => one.textContent).sort().join())) === expected.join());
    await keys("id 8");
    await psql.run("update reviews set stars = 4 where id in (7, 8)");
    await keys("id 8", "id 8");
    const box = page.getByRole("combobox", { name: /^Filter rows/ });
    // What is refused changes nothing.
    await box.fill("nope=eq.1");
    await box.press("Enter");
    await page.getByText(/^Not applied: /).waitFor();
    await keys("id 8", "id 8");
    await box.fill("");
    await box.press("Enter");
    await keys("id 7", "id 7", "id 7", "id 8", "id 8");
    await close(watched);
  });

  test("several rows that are changed together are refused when another user was first with one of them", async () => {
    const watched = await open("#/t/orders");
    const { page } = watched;
    for (const key of [20, 21]) await page.getByRole("checkbox", { name: `Choose the row ${key}`, exact: true }).click();
    await page.route("**/rest", async (route) => {
      await psql.run("update orders set note = 'theirs' where id = 21");
      await route.continue();
    });
    watched.allow(/status of 412/);
    await cell(watched, 20, "note").click();
    await page.keyboard.type("mine");
    await page.keyboard.press("Enter");
    await page.getByText(/^Nothing was saved: /).waitFor();
    await until("theirs is kept, and the refusal at the cell", async () => (await cell(watched, 21, "note").getAttribute("data-state")) === "refused" && (await cell(watched, 21, "note").textContent()) === "theirs");
    assert.equal(await cell(watched, 20, "note").getAttribute("data-state"), null);
    assert.equal((await psql.rows("select note from orders where id in (20, 21) and note = 'mine'")).length, 0);
    await close(watched);
  });

  test("a live query is a table among the others, and moves", async () => {
    await psql.run("select plank.watch_query('orders_by_status', 'select status, count(*) as orders from orders group by status', '{status}')");
    const watched = await Watched.open(browser, `${server.url}/#/`, { viewport: WIDE });
    const { page } = watched;
    await page.getByRole("link", { name: /^orders_by_status live query, 2 columns/ }).click();
    await watched.state("live");
    const count = async () => JSON.parse((await psql.rows("select count(*) as n from orders where status = 'paid'"))[0]).n;
    const shown = async () => Number(await cell(watched, '"paid"', "orders").textContent());
    await cell(watched, '"paid"', "orders").waitFor();
    assert.equal(await shown(), await count());
    await psql.run("update orders set status = 'shipped' where id in (select id from orders where status = 'paid' limit 7)");
    await until("as many as there are", async () => (await shown()) === (await count()));
    assert.equal(await page.getByRole("button", { name: "New row" }).count(), 0, "nobody writes a result");
    await close(watched);
  });

  test("the key stands still while the other columns are scrolled", async () => {
    const watched = await open("#/t/order_lines", { viewport: { width: 460, height: 700 } });
    const { page } = watched;
    const lefts = () => page.$$eval(".grid tbody tr:first-child td[data-name], .grid thead th[aria-colindex]", (all) => all.map((one) => Math.round(one.getBoundingClientRect().left)));
    const before = await lefts();
    const columns = before.length / 2;
    await page.locator(".grid").evaluate((grid) => (grid.scrollLeft = 20));
    await until("the others have moved", async () => (await lefts())[columns - 1] === before[columns - 1] - 20);
    const now = await lefts();
    for (const at of [0, 1]) assert.deepEqual([now[at], now[at + columns]], [before[at], before[at + columns]], "head and cell of a key's column");
    await close(watched);
  });

  test("on a phone the name of the table stays in sight, and the sheet of a row is the whole page", async () => {
    const watched = await open("#/t/orders", { viewport: NARROW, hasTouch: true, isMobile: true });
    const { page } = watched;
    const box = (locator) => locator.boundingBox();
    await page.locator(".grid").evaluate((grid) => (grid.scrollTop = 3_000));
    const title = await box(page.getByRole("heading", { name: /orders$/ }));
    assert.ok(title.y >= 0 && title.y + title.height < NARROW.height / 3 && title.width > 40, JSON.stringify(title));
    await page.locator(".grid tbody tr a").nth(10).tap();
    await page.locator(".row-sheet .value").first().waitFor();
    assert.deepEqual(await box(page.locator(".row-sheet")), { x: 0, y: 0, ...NARROW });
    // What a thumb has to hit is large enough: WCAG asks for 24 px.
    const small = await page.locator(".row-sheet button").evaluateAll((all) => all.map((one) => one.getBoundingClientRect()).filter(({ height, width }) => height < 24 || width < 24).length);
    assert.equal(small, 0);
    await page.getByRole("button", { name: "Close" }).tap();
    await page.locator(".row-sheet").waitFor({ state: "detached" });
    await close(watched);
  });
}
