/**
 * The whole of editing by the keyboard alone: no test here may use a pointer, and one that does fails. Values of each type, null, what is
 * refused, several rows, the sheet, new rows, duplicates, deletes and their undo, rows of a spreadsheet, and a conflict.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { chromium } from "playwright-core";
import { Psql } from "./cutting.mjs";
import { CHROMIUM, CHROMIUM_ARGS, missing, Server, until, Watched, WIDE } from "./support.mjs";

const SHOP = readFileSync(new URL("fixtures/shop.sql", import.meta.url), "utf8");
/** More than any view has before what is looked for. */
const TABS_MAX = 80;

const reason = missing();
if (reason) {
  console.log(`skipped: the tests of the keyboard, because there is ${reason}`);
  test("the browser tests can run", { skip: process.env.CI === "true" ? false : reason }, () => assert.fail(reason));
} else {
  describe("editing by the keyboard alone", { timeout: 240_000 }, suite);
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

  const one = async (text) => JSON.parse((await psql.rows(text))[0] ?? "null");
  const holds = (what, query, expected) => until(what, async () => JSON.stringify(await one(query)) === JSON.stringify(expected));

  /** A page that counts pointers as faults. */
  async function open(hash) {
    const watched = await Watched.open(browser, `${server.url}/${hash}`, { viewport: WIDE, permissions: ["clipboard-read", "clipboard-write"] }, (page) =>
      page.addInitScript(() => addEventListener("pointerdown", () => console.error("a pointer was used"), true)),
    );
    await watched.state("live");
    return watched;
  }
  async function close(watched) {
    assert.deepEqual(watched.faults(), []);
    await watched.context.close();
  }
  /** Presses keys one after the other; a word in quotes is typed. */
  async function press(page, ...keys) {
    for (const key of keys) await (key[0] === '"' ? page.keyboard.type(key.slice(1, -1)) : page.keyboard.press(key));
  }
  const name = (page) =>
    page.evaluate(() => {
      const { activeElement: at } = document;
      return at.getAttribute("aria-label") ?? (at.labels?.[0] ?? at).textContent.replaceAll(/\s+/g, " ").trim();
    });
  /** Goes on with Tab until what has the focus is called this. */
  async function tabTo(page, pattern, key = "Tab") {
    const passed = [];
    for (let at = 0; at < TABS_MAX; at += 1) {
      await page.keyboard.press(key);
      const now = await name(page);
      if (pattern.test(now)) return;
      passed.push(now.slice(0, 40));
    }
    assert.fail(`no ${pattern} among ${passed.join(" | ")}`);
  }
  /** To the cell of a row, from wherever in the grid. The rows are in the order of the key. */
  async function toCell(page, row, column) {
    await until("the grid has the focus", () => page.evaluate(() => document.activeElement.matches(".grid table")));
    await press(page, "Control+Home", "Home");
    for (let at = 0; at < row; at += 1) await press(page, "ArrowDown");
    for (let at = 0; at < TABS_MAX; at += 1) {
      if ((await page.locator('.grid td[data-active="true"]').getAttribute("data-name")) === column) return;
      await press(page, "ArrowRight");
    }
    assert.fail(`no column ${column}`);
  }
  const inGrid = async (page) => {
    await page.locator(".grid tbody tr").first().waitFor();
    await tabTo(page, /^Rows$/);
  };

  test("from home to a cell: values of each type, null, and what is refused and mended", async () => {
    const watched = await open("#/");
    const { page } = watched;
    await page.getByRole("link", { name: /^orders / }).waitFor();
    await press(page, "/", '"orders"', "Enter");
    await page.getByRole("heading", { name: "orders" }).waitFor();
    await inGrid(page);
    // A number is typed over the one that is there.
    await toCell(page, 1, "total");
    await press(page, '"77.5"', "Enter");
    await holds("a number", "select total from orders where id = 2", { total: 77.5 });
    // It is below now; a refused value stays to be mended.
    watched.allow(/status of 400/);
    await press(page, '"-1"', "Enter");
    await page.locator('.grid td[data-state="refused"]').waitFor();
    await press(page, "ArrowUp");
    await page.locator(".cell-refusal", { hasText: /Not saved: .*total/ }).waitFor();
    await press(page, "F2", "Control+a", '"1"', "Enter");
    await holds("what was mended", "select total from orders where id = 3", { total: 1 });
    await until("no refusal", async () => (await page.locator('.grid td[data-state="refused"]').count()) === 0);
    // A choice and a boolean by the first letters, a day by its parts.
    await toCell(page, 3, "status");
    await press(page, "F2", '"shi"', "Enter");
    await holds("a choice", "select status from orders where id = 4", { status: "shipped" });
    await toCell(page, 3, "is_gift");
    const { is_gift } = await one("select is_gift from orders where id = 4");
    await press(page, "F2", is_gift ? '"f"' : '"t"', "Enter");
    await holds("a boolean", "select is_gift from orders where id = 4", { is_gift: !is_gift });
    await toCell(page, 3, "deliver_on");
    await press(page, "F2", '"12242026"', "Enter");
    await holds("a day", "select deliver_on from orders where id = 4", { deliver_on: "2026-12-24" });
    // JSON is checked before it is sent.
    await toCell(page, 3, "details");
    await press(page, "F2", "Control+a", '"{"', "Control+Enter");
    await page.locator(".cell-editor .field-error", { hasText: "This is no JSON" }).waitFor();
    await press(page, "Control+a", '"{}"', "Control+Enter");
    await holds("JSON", "select details from orders where id = 4", { details: {} });
    // Empty and null are two.
    await toCell(page, 3, "note");
    await press(page, '"x"', "Backspace", "Enter");
    await holds("an empty text", "select note from orders where id = 4", { note: "" });
    await toCell(page, 3, "note");
    await press(page, "F2", "Alt+n", "Enter");
    await holds("null", "select note from orders where id = 4", { note: null });
    await press(page, "Control+z");
    await holds("the text again", "select note from orders where id = 4", { note: "" });
    // Escape writes nothing, Tab keeps and goes on.
    await toCell(page, 3, "note");
    await press(page, '"not this"', "Escape");
    await toCell(page, 3, "details");
    await press(page, "F2", "Control+a", '"[1]"', "Tab");
    await holds("what Tab keeps", "select details, note from orders where id = 4", { details: [1], note: "" });
    assert.equal(await page.locator('.grid td[data-active="true"]').getAttribute("data-name"), "note");
    await close(watched);
  });

  test("in the sheet: values, null, copies, and the way back", async () => {
    const watched = await open("#/t/orders");
    const { page } = watched;
    await inGrid(page);
    await toCell(page, 6, "note");
    await press(page, "Enter");
    await page.getByRole("heading", { name: "orders id 7" }).waitFor();
    await page.locator(".row-sheet .value").first().waitFor();
    await tabTo(page, /^Change note$/);
    await press(page, "Enter", '"Two lines,"', "Enter", '"both kept"', "Control+Enter");
    await holds("a long text", "select note from orders where id = 7", { note: "Two lines,\nboth kept" });
    await until("the focus is where the editor was", async () => (await name(page)) === "Change note");
    await press(page, "Enter");
    await tabTo(page, /^null$/);
    await press(page, "Enter");
    await tabTo(page, /^Save$/, "Shift+Tab");
    await press(page, "Enter");
    await holds("null", "select note from orders where id = 7", { note: null });
    await tabTo(page, /^Copy as INSERT$/, "Shift+Tab");
    await press(page, "Enter");
    await page.getByText("The row, as INSERT, copied.").waitFor();
    assert.match(await page.evaluate(() => navigator.clipboard.readText()), /^insert into public\.orders \(id, /);
    await press(page, "Escape");
    await page.locator(".row-sheet").waitFor({ state: "detached" });
    assert.equal(await name(page), "Rows", "the focus is where it was");
    await close(watched);
  });

  test("rows: new, refused and mended, duplicated, changed together, deleted, and brought back", async () => {
    const watched = await open("#/t/coupons");
    const { page } = watched;
    await page.locator(".grid tbody tr").first().waitFor();
    await press(page, "n");
    await until("the first field", async () => (await name(page)) === "code");
    await press(page, '"WINTER"');
    await tabTo(page, /^percent$/);
    await press(page, '"none"', "Enter");
    watched.allow(/status of 400/);
    await page.getByText(/^Not saved: .*smallint/).waitFor();
    await press(page, "Control+a", '"15"', "Enter");
    await holds("a new row", "select percent from coupons where code = 'WINTER'", { percent: 15 });
    await page.locator(`.grid tr[data-key='"WINTER"']`).waitFor();
    // The rows are AUTUMN10, OLD20, WELCOME and WINTER.
    await toCell(page, 3, "percent");
    await press(page, "Enter");
    await page.locator(".row-sheet .value").first().waitFor();
    await tabTo(page, /^Duplicate$/);
    await press(page, "Enter");
    await until("the first field", async () => (await name(page)) === "code");
    await press(page, '"WINTER2"', "Enter");
    await holds("a duplicate", "select percent from coupons where code = 'WINTER2'", { percent: 15 });
    await page.locator(`.grid tr[data-key='"WINTER2"']`).waitFor();
    // Two rows are chosen, and changed with one value: all or none.
    await toCell(page, 3, "percent");
    await press(page, "Space", "ArrowDown", "Space");
    await page.getByText("2 rows chosen").waitFor();
    await press(page, '"many"', "Enter");
    await page.getByText(/^Nothing was saved: .*smallint/).waitFor();
    assert.equal(await page.locator('.grid td[data-state="refused"]').count(), 1, "at the cell that was refused");
    await press(page, "F2", "Control+a", '"30"', "Enter");
    await holds("both", "select array_agg(percent) as percents from coupons where code like 'WINTER%'", { percents: [30, 30] });
    await until("both are shown", async () => (await page.locator('.grid td[data-name="percent"]', { hasText: /^30$/ }).count()) === 2);
    await press(page, "Delete");
    await page.getByText("2 rows deleted.").waitFor();
    await holds("neither", "select count(*) as n from coupons where code like 'WINTER%'", { n: 0 });
    await press(page, "Control+z");
    await holds("both again", "select array_agg(percent) as percents from coupons where code like 'WINTER%'", { percents: [30, 30] });
    await page.locator(`.grid tr[data-key='"WINTER2"']`).waitFor();
    // Shift and the arrows choose; a button takes it back as well.
    await toCell(page, 3, "percent");
    await press(page, "Shift+ArrowDown", "Delete");
    await holds("neither again", "select count(*) as n from coupons where code like 'WINTER%'", { n: 0 });
    await page.locator(".toast", { hasText: "2 rows deleted." }).waitFor();
    await tabTo(page, /^Undo$/, "Shift+Tab");
    await press(page, "Enter");
    await holds("both once more", "select count(*) as n from coupons where code like 'WINTER%'", { n: 2 });
    await close(watched);
  });

  test("rows of a spreadsheet, and a conflict: the focus is back in the grid after each dialog", async () => {
    const watched = await open("#/t/coupons");
    const { page } = watched;
    await inGrid(page);
    await page.evaluate(() => navigator.clipboard.writeText("code\tpercent\nSPRING\t5\nSUMMER\t6\n"));
    await press(page, "Control+v");
    await page.getByRole("heading", { name: "Add 2 rows to public.coupons" }).waitFor();
    await press(page, "Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    assert.equal(await name(page), "Rows");
    await press(page, "Control+v");
    await page.getByRole("heading", { name: "Add 2 rows to public.coupons" }).waitFor();
    await tabTo(page, /^Add 2 rows$/);
    await press(page, "Enter");
    await holds("both", "select count(*) as n from coupons where code in ('SPRING', 'SUMMER')", { n: 2 });
    await until("the focus is back", async () => (await name(page)) === "Rows");
    await page.route("**/rest", async (route) => {
      await psql.run("update coupons set percent = 50 where code = 'AUTUMN10'");
      await route.continue();
    });
    await toCell(page, 0, "percent");
    watched.allow(/status of 412/);
    await press(page, '"11"', "Enter");
    await page.getByRole("heading", { name: "Another user has changed this row" }).waitFor();
    await page.unroute("**/rest");
    await tabTo(page, /^Write mine$/);
    await press(page, "Enter");
    await holds("mine", "select percent from coupons where code = 'AUTUMN10'", { percent: 11 });
    await until("the focus is back", async () => (await name(page)) === "Rows");
    // The changes are looked at by keys as well, and only those of this page.
    await psql.run("update coupons set percent = 12 where code = 'WELCOME'");
    const changes = page.locator(".changes [data-op]");
    await page.locator('.changes [data-op="update"]', { hasText: "WELCOME" }).waitFor();
    await tabTo(page, /^Mine$/);
    await press(page, "Enter");
    await until("those of this page", async () => (await changes.evaluateAll((all) => all.map((li) => li.querySelector(".change-key").textContent).join())) === "code AUTUMN10,code SUMMER,code SPRING");
    await close(watched);
  });
}
