/**
 * What hands and eyes need besides a mouse and two good eyes: columns that are dragged or moved by keys, a filter that helps, colours that are
 * the reader's own, a page at 200 %.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { chromium } from "playwright-core";
import { Psql } from "./cutting.mjs";
import { CHROMIUM, CHROMIUM_ARGS, missing, Server, until, Watched, WIDE } from "./support.mjs";
import { look } from "./views.mjs";

const SHOTS = process.env.SCREENSHOTS;
const SHOP = readFileSync(new URL("fixtures/shop.sql", import.meta.url), "utf8");

const reason = missing();
if (reason) {
  console.log(`skipped: the tests of modes, because there is ${reason}`);
  test("the browser tests can run", { skip: process.env.CI === "true" ? false : reason }, () => assert.fail(reason));
} else {
  describe("modes", { timeout: 180_000 }, suite);
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
  const heads = (page) => page.$$eval(".grid thead th button", (all) => all.map((one) => one.firstChild.textContent.trim()));
  const head = (page, name) => page.locator(".grid thead th", { has: page.getByRole("button", { name, exact: false }) }).filter({ hasText: name });
  const middle = async (locator, share = 0.5) => {
    const { x, y, width, height } = await locator.boundingBox();
    return [x + width * share, y + height / 2];
  };

  test("a column is dragged by its head, not in front of the key, and a click still sorts", async () => {
    const watched = await open("#/t/coupons");
    const { page } = watched;
    const drag = async (name, onto, share, key) => {
      await page.mouse.move(...(await middle(head(page, name))));
      await page.mouse.down();
      await page.mouse.move(...(await middle(head(page, onto), share)), { steps: 6 });
      await page.locator(".move-marker").waitFor();
      if (name === "percent" && share === 0.9 && !key) await look(watched, "drag-column-1440-light", SHOTS);
      if (key) await page.keyboard.press(key);
      await page.mouse.up();
      await page.locator(".move-marker").waitFor({ state: "detached" });
    };
    assert.deepEqual(await heads(page), ["code", "percent", "valid", "is_active"]);
    await drag("percent", "is_active", 0.9);
    await until("it is the last", async () => (await heads(page)).join() === "code,valid,is_active,percent");
    assert.match(page.url(), /columns=valid,is_active,percent$/, "it is in the address, and nothing is sorted");
    await drag("is_active", "code", 0.1);
    await until("it is behind the key", async () => (await heads(page)).join() === "code,is_active,valid,percent");
    await drag("percent", "is_active", 0.1, "Escape");
    assert.deepEqual(await heads(page), ["code", "is_active", "valid", "percent"]);
    // The key stands still.
    await page.mouse.move(...(await middle(head(page, "code"))));
    await page.mouse.down();
    await page.mouse.move(...(await middle(head(page, "percent"))), { steps: 4 });
    assert.equal(await page.locator(".move-marker").count(), 0);
    await page.mouse.up();
    await head(page, "percent").getByRole("button").click();
    await page.waitForURL(/order=percent/);
    await close(watched);
  });

  test("the filter says what may come next, by the keyboard and by the mouse, and names a column that is none", async () => {
    const watched = await open("#/t/orders");
    const { page } = watched;
    const box = page.getByRole("combobox", { name: /^Filter rows/ });
    const options = () => page.locator("#filter-choices li").allTextContents();
    await page.keyboard.press("/");
    await page.keyboard.type("sta");
    await until("the column", async () => /^status \S*order_status$/.test((await options()).join()));
    await page.keyboard.press("ArrowDown");
    assert.equal(await box.getAttribute("aria-activedescendant"), "filter-choice-0");
    await page.keyboard.press("Enter");
    await until("its signs", async () => (await options()).some((one) => one.startsWith("status= is")));
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Tab");
    await until("its labels", async () => (await options()).join() === "draft ,placed ,paid ,packed ,shipped ,returned ");
    await look(watched, "complete-1440-light", SHOTS);
    await page.locator("#filter-choices li", { hasText: "paid" }).click();
    assert.equal(await box.inputValue(), "status=paid");
    await page.keyboard.type(" and is_g");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    assert.equal(await box.inputValue(), "status=paid and is_gift");
    await page.keyboard.type("=true");
    await page.keyboard.press("Enter");
    await page.getByText("is_gift is true").waitFor();
    const [{ n }] = (await psql.rows("select count(*) as n from orders where status = 'paid' and is_gift")).map((line) => JSON.parse(line));
    await until("those rows", async () => (await page.locator(".table-meta span").first().textContent()).startsWith(`${n} row`));
    // Escape closes the list, and then empties the box.
    await box.fill("tot");
    await page.keyboard.press("Escape");
    assert.equal(await box.inputValue(), "tot");
    await page.keyboard.press("Escape");
    await until("no filter", async () => !page.url().includes("filter="));
    await box.fill("totl>5");
    await page.keyboard.press("Enter");
    await page.getByText("In “totl>5” the part before > is no column. Is it total? It is looked for as words.").waitFor();
    await look(watched, "mistake-1440-light", SHOTS);
    await close(watched);
  });

  test("with colours of the reader what is active, chosen, pressed or refused can be told", async () => {
    const watched = await open("#/t/orders", { forcedColors: "active" });
    const { page } = watched;
    const cell = (key, name) => page.locator(`.grid tr[data-key='${key}'] td[data-name="${name}"]`);
    const look_of = (locator, ...names) => locator.evaluate((element, names) => names.map((name) => getComputedStyle(element)[name]).join(), names);
    await cell(2, "total").click();
    await page.keyboard.type("-1");
    watched.allow(/status of 400/);
    await page.keyboard.press("Enter");
    await until("the refusal", async () => (await cell(2, "total").getAttribute("data-state")) === "refused");
    await page.getByRole("checkbox", { name: "Choose the row 3", exact: true }).click();
    await cell(4, "note").click();
    const plain = await look_of(cell(5, "note"), "outlineStyle", "backgroundColor");
    assert.match(await look_of(cell(2, "total"), "outlineStyle", "outlineWidth"), /^dashed,2px/);
    assert.match(await look_of(cell(4, "note"), "outlineStyle", "outlineWidth"), /^solid,2px/);
    assert.match(plain, /^none/);
    assert.notEqual(await look_of(cell(3, "note"), "outlineStyle", "backgroundColor"), plain, "a chosen row");
    const [pressed, other] = [page.getByRole("button", { name: "Changes", exact: true }), page.getByRole("button", { name: "Hold" })];
    assert.equal(await pressed.getAttribute("aria-pressed"), "true");
    assert.notEqual(await look_of(pressed, "backgroundColor"), await look_of(other, "backgroundColor"));
    assert.match(await look_of(page.locator(".chip").first(), "borderTopStyle"), /solid/);
    await look(watched, "forced-colours-1440", SHOTS);
    await page.goto(`${server.url}/#/activity`);
    await page.locator(".plot canvas").first().waitFor();
    const swatches = await page.$$eval(".plot:nth-of-type(1) .legend i", (all) => new Set(all.map((one) => getComputedStyle(one).backgroundColor)).size);
    assert.equal(swatches, 3, "a legend is of colours");
    await look(watched, "forced-colours-activity-1440", SHOTS);
    await close(watched);
  });

  test("at 200 % of 1440 x 900 each view can be read and used, and nothing is cut off", async () => {
    // Two pixels of the screen for one: what a browser does at 200 %.
    const watched = await open("#/t/orders", { viewport: { width: 720, height: 450 }, deviceScaleFactor: 2 });
    const { page } = watched;
    const rows = await page.locator(".grid").evaluate((grid) => (grid.clientHeight - grid.querySelector("thead").clientHeight) / grid.querySelector("tbody tr").offsetHeight);
    assert.ok(rows >= 10, `${rows} rows`);
    await look(watched, "zoom-grid", SHOTS);
    for (const [hash, shown, name] of [
      ["#/", ".home tbody tr", "home"],
      ["#/t/orders?row=2", ".row-sheet .value", "sheet"],
      ["#/t/products?row=new", ".row-sheet input, .row-sheet select", "new"],
      ["#/activity", ".plot canvas", "activity"],
    ]) {
      await page.goto(`${server.url}/${hash}`);
      await page.locator(shown).first().waitFor();
      await look(watched, `zoom-${name}`, SHOTS);
      // Whatever has the focus can be seen.
      for (let at = 0; at < 12; at += 1) {
        await page.keyboard.press("Tab");
        const hidden = await page.evaluate(() => {
          const { left, right, top, bottom, width } = document.activeElement.getBoundingClientRect();
          return document.activeElement !== document.body && width > 1 && (right < 0 || bottom < 0 || left > innerWidth || top > innerHeight) ? document.activeElement.outerHTML.slice(0, 200) : null;
        });
        assert.equal(hidden, null);
      }
    }
    await close(watched);
  });
}
