/**
 * Any table on the dashboard, with a shop of twelve tables: home, the grid, the sheet of a row, and writing. Two pages and a psql
 * beside them. SCREENSHOTS names a directory for pictures of every view.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { chromium } from "playwright-core";
import { Psql } from "./cutting.mjs";
import { CHROMIUM, CHROMIUM_ARGS, missing, Server, until, Watched, WIDE } from "./support.mjs";
import { look } from "./views.mjs";

const SHOTS = process.env.SCREENSHOTS;
const SHOP = readFileSync(new URL("fixtures/shop.sql", import.meta.url), "utf8");

const reason = missing();
if (reason) {
  console.log(`skipped: the tests of the tables, because there is ${reason}`);
  test("the browser tests can run", { skip: process.env.CI === "true" ? false : reason }, () => assert.fail(reason));
} else {
  describe("tables", { timeout: 240_000 }, suite);
}

function suite() {
  let server;
  let browser;
  let psql;

  const open = async (hash = "", options = {}) => {
    const watched = await Watched.open(browser, `${server.url}/${hash}`, { viewport: WIDE, timezoneId: "Europe/Berlin", ...options });
    await watched.state("live");
    return watched;
  };
  const close = async (watched) => {
    assert.deepEqual(watched.faults(), []);
    await watched.context.close();
  };
  const cell = (watched, key, name) => watched.page.locator(`.grid tr[data-key='${key}'] td[data-name="${name}"]`);
  const keys = (watched) => watched.page.$$eval(".grid tbody tr", (rows) => rows.map((row) => row.dataset.key));
  const grid = (watched) => watched.page.getByRole("grid");
  const sql = (text) => psql.run(text);
  const value = async (text) => (await psql.rows(text)).join();
  /** The text of a cell, as soon as it is this. */
  const shows = (watched, key, name, text) => until(`${name} of ${key} shows ${text}`, async () => (await cell(watched, key, name).textContent().catch(() => null)) === text);

  before(async () => {
    if (SHOTS) await mkdir(SHOTS, { recursive: true });
    server = await Server.start();
    psql = new Psql(server.database_url);
    await sql(SHOP);
    browser = await chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_ARGS });
  });

  after(async () => {
    psql?.stop();
    await browser?.close();
    await server?.stop();
  });

  test("home lists each table with its rows, its changes and what one may do, and finds one by the keyboard", async () => {
    const watched = await open();
    const { page } = watched;
    const row = (name) => page.getByRole("row", { name: new RegExp(`^${name} `) });
    await until("the rows of orders", async () => /orders 9 columns3,000/.test(await row("orders").textContent()));
    assert.match(await row("orders").textContent(), /read and write$/);
    assert.match(await row("payments").textContent(), /read$/);
    assert.match(await row("visits").textContent(), /no key/);
    await until("a rate of changes", async () => {
      await sql("update stock set quantity = quantity + 1 where warehouse = 'north'");
      return /[1-9]/.test(await row("stock").locator(".spark b").textContent());
    });
    await page.keyboard.press("/");
    await page.keyboard.type("ord");
    await until("the two that have it in their name", async () => (await page.locator(".home tbody tr th").count()) === 2);
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "orders" }).waitFor();
    await page.goBack();
    await page.getByRole("searchbox").fill("nothing like it");
    await page.getByText("No table has nothing like it in its name. 13 names looked at.").waitFor();
    await close(watched);
  });

  test("a link is a view: order by several columns, filter, columns and the open row are in the address", async () => {
    const watched = await open("#/t/orders?order=status.desc,total&filter=is_gift%3Dis.true&columns=id,total,status");
    const { page } = watched;
    const expected = await psql.rows("select id from orders where is_gift order by status desc, total, id limit 5");
    await until("the order", async () => (await keys(watched)).slice(0, 5).join() === expected.map((line) => JSON.parse(line).id).join());
    assert.deepEqual(await page.$$eval(".grid thead th button", (all) => all.map((one) => one.firstChild.textContent.trim())), ["id", "total", "status"]);
    await page.getByText("is_gift is true").waitFor();
    await page.getByRole("button", { name: "Without is_gift is true" }).click();
    await page.getByRole("button", { name: /^total/ }).click({ modifiers: ["Shift"] });
    await until("the address", async () => /order=status\.desc,total\.desc&columns=/.test(page.url()) && !page.url().includes("filter"));
    const [top] = await psql.rows("select id from orders order by status desc, total desc, id limit 1");
    const first = JSON.parse(top).id;
    await page.locator(`.grid tr[data-key='${first}'] a`).click();
    await page.getByRole("heading", { name: `orders id ${first}` }).waitFor();
    const second = await open(page.url().replace(server.url + "/", ""));
    await second.page.getByRole("heading", { name: `orders id ${first}` }).waitFor();
    await second.page.keyboard.press("Escape");
    await second.page.getByRole("heading", { name: `orders id ${first}` }).waitFor({ state: "detached" });
    assert.ok(!second.page.url().includes("row="));
    await close(second);
    await close(watched);
  });

  test("values are as PostgreSQL has them, and times in the zone that is named", async () => {
    await sql(`create table everything (id int primary key, n numeric, big bigint, f float8, m timestamptz, local timestamp, d date, i interval, r int4range, a text[], b bytea, j jsonb, t text, flag boolean);
      insert into everything values (1, 1.500000000000000000001, 9223372036854775807, 0.1, '2026-07-01 10:00:00.123456Z', '2026-07-01 10:00', 'infinity', '1 mon 2 days 03:04', '[1,5)', '{a,"b c",null}', '\\x00ff', '{"price": 2.50}', '', null);
      select plank.watch('everything', writable => true)`);
    const watched = await open("#/t/everything");
    const expected = { n: "1.500000000000000000001", big: "9223372036854775807", f: "0.1", m: "2026-07-01 12:00:00.123456", local: "2026-07-01 10:00:00", d: "infinity", i: "1 mon 2 days 03:04:00", r: "[1,5)", a: '{a,"b c",NULL}', b: "\\x00ff", j: '{"price":2.50}', t: "empty", flag: "null" };
    for (const [name, text] of Object.entries(expected)) await shows(watched, 1, name, text);
    await watched.page.getByRole("button", { name: "Europe/Berlin" }).click();
    await shows(watched, 1, "m", "2026-07-01 10:00:00.123456");
    // They come by the socket as they come by a request.
    await sql("update everything set n = 2.00, j = '{\"price\": 1.10}'");
    await shows(watched, 1, "n", "2.00");
    await shows(watched, 1, "j", '{"price":1.10}');
    assert.match(await cell(watched, 1, "n").getAttribute("class"), /flash/);
    assert.doesNotMatch(await cell(watched, 1, "big").getAttribute("class"), /flash/);
    await close(watched);
  });

  test("the list is what a select gives, while rows come, move and go", async () => {
    const watched = await open("#/t/orders?order=placed_at.desc");
    const same = async (where = "") =>
      until("the first rows", async () => {
        const expected = (await psql.rows(`select id from orders ${where} order by placed_at desc, id limit 12`)).map((line) => String(JSON.parse(line).id));
        return (await keys(watched)).slice(0, 12).join() === expected.join();
      });
    await same();
    await sql("insert into orders (customer_id, placed_at) values (1, null), (2, now()), (3, '2026-11-30 17:59Z')");
    await same();
    await sql("update orders set placed_at = now() + interval '1 day' where id = 17; delete from orders where id in (select id from orders order by placed_at desc nulls last limit 3)");
    await same();
    await sql("update orders set placed_at = null where id = 40");
    await same();
    await until("the count", async () => (await watched.page.locator(".table-meta").textContent()).startsWith(Number(await value("select count(*) as n from orders").then((line) => JSON.parse(line).n)).toLocaleString("en")));
    // The order of texts is PostgreSQL's: the page asks for it again.
    await watched.page.goto(`${server.url}/#/t/customers?order=name`);
    await sql("insert into customers (id, name, email, joined_on) values (9001, 'Åsa Berg', 'asa@example.com', '2026-01-01'); update customers set name = 'aaron' where id = 7");
    await until("texts in their order", async () => {
      const expected = (await psql.rows("select id from customers order by name, id limit 12")).map((line) => String(JSON.parse(line).id));
      return (await keys(watched)).slice(0, 12).join() === expected.join();
    });
    await close(watched);
  });

  test("changes outside the view are counted, and the far end and a key are reached by keys", async () => {
    const watched = await open("#/t/payments?order=paid_at");
    const { page } = watched;
    await sql("create table far (id int primary key, what text); insert into far select i, 'row ' || i from generate_series(1, 30000) i; analyze far; select plank.watch('far')");
    await page.goto(`${server.url}/#/t/far`);
    await page.locator(".grid tr[data-key='1']").waitFor();
    await until("the count", async () => /^about 30,000 rows/.test(await page.locator(".table-meta").textContent()));
    await sql("update far set what = 'changed' where id = 15000");
    await page.getByText("1 change outside the view").waitFor();
    await grid(watched).focus();
    await page.keyboard.press("Control+End");
    await page.locator(".grid tr[data-key='30000']").waitFor();
    await page.keyboard.press("Control+Home");
    await page.locator(".grid tr[data-key='1']").waitFor();
    await page.getByLabel("Go to id").fill("15000");
    await page.keyboard.press("Enter");
    await shows(watched, 15_000, "what", "changed");
    const seen = await page.evaluate(() => ({ rows: document.querySelectorAll(".grid tbody tr").length }));
    assert.ok(seen.rows < 80, `${seen.rows}`);
    await page.mouse.move(400, 500);
    await page.mouse.wheel(0, -3_200);
    await page.locator(".grid tr[data-key='14900']").waitFor();
    await close(watched);
  });

  test("columns are as wide as one draws them, chosen and moved, and it is kept", async () => {
    const watched = await open("#/t/products");
    const { page } = watched;
    const edge = page.getByRole("separator", { name: "Width of title" });
    // The first rows say how wide their columns are.
    await page.locator(".grid tbody tr").first().waitFor();
    const before = Number(await edge.getAttribute("aria-valuenow"));
    await edge.focus();
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowRight");
    await page.locator(".columns summary").click();
    await page.getByRole("checkbox", { name: /^weight_kg/ }).uncheck();
    await page.getByRole("button", { name: "Move title back" }).click();
    await page.keyboard.press("Escape");
    await page.reload();
    await page.getByRole("separator", { name: "Width of title" }).waitFor();
    assert.equal(Number(await edge.getAttribute("aria-valuenow")), before + 32);
    assert.match(page.url(), /columns=category,title,price,tags,/);
    await close(watched);
  });

  test("the sheet of a row has all its values, its history, and copies", async () => {
    const watched = await open("#/t/orders?row=2008");
    const { page } = watched;
    await watched.context.grantPermissions(["clipboard-read", "clipboard-write"]);
    const sheet = page.locator(".row-sheet");
    await sheet.getByText("campaign").waitFor();
    await sql("update orders set total = 5.50, details = (details - 'channel') || '{\"via\": \"fax\", \"utm\": {\"source\": \"news\", \"campaign\": \"winter\"}}' where id = 2008");
    const change = sheet.locator('[data-op="update"]').first();
    await change.waitFor();
    assert.match(await change.textContent(), /total.*16\.08.*5\.50/);
    // JSON differs inside of its tree: what came, what went, and what is another value.
    const differing = await change.locator("li[data-differs]").evaluateAll((all) => all.map((one) => `${one.dataset.differs} ${one.textContent.replaceAll(/\s+/g, " ").trim()}`));
    assert.deepEqual(differing, ['update utm campaign before: "autumn" → now: "winter"1 value as before', 'update campaign before: "autumn" → now: "winter"', 'insert via now: "fax"', 'delete channel before: "phone"']);
    await sheet.getByRole("button", { name: "Copy as JSON" }).click();
    await page.getByText("The row, as JSON, copied.").waitFor();
    const copied = () => page.evaluate(() => navigator.clipboard.readText());
    assert.match(await copied(), /"id": 2008,[^]*"total": 5\.50,/);
    await sheet.locator("#value-total").hover();
    await sheet.getByRole("button", { name: "Copy total" }).click();
    await page.getByText("total copied.").waitFor();
    assert.equal(await copied(), "5.50");
    await sheet.getByRole("button", { name: "Copy as INSERT" }).click();
    await page.getByText("The row, as INSERT, copied.").waitFor();
    const text = await page.evaluate(() => navigator.clipboard.readText());
    await sql("create temp table copied (like orders); set search_path = pg_temp, public");
    await sql(text.replace("public.orders", "copied"));
    assert.equal(await value("select (select copied from copied)::text = (select o::text from public.orders o where id = 2008) as same"), '{"same":true}');
    await sql("reset search_path");
    // What happened before is there for those who come back.
    await page.reload();
    await sheet.locator('[data-op="update"]').first().waitFor();
    await sql("delete from orders where id = 2008");
    await page.getByText("This row has been deleted.").waitFor();
    await close(watched);
  });

  test("values are written by the keyboard alone, shown at once, and taken back with the reason at the cell", async () => {
    const [watched, other] = [await open("#/t/orders"), await open("#/t/orders")];
    const { page } = watched;
    await cell(watched, 2, "total").click();
    await page.keyboard.type("77.5");
    await page.keyboard.press("Enter");
    await shows(watched, 2, "total", "77.50");
    await shows(other, 2, "total", "77.50");
    await page.keyboard.type("-1");
    await page.keyboard.press("Enter");
    watched.allow(/status of 400/);
    // The cell below was written, and refused.
    await until("the refusal", async () => (await cell(watched, 3, "total").getAttribute("data-state")) === "refused");
    await page.keyboard.press("ArrowUp");
    assert.match(await page.locator(".cell-refusal").textContent(), /Not saved: .*total/);
    await shows(watched, 3, "total", "51.03");
    await page.keyboard.press("F2");
    assert.equal(await page.locator(".cell-editor input").inputValue(), "-1");
    await page.keyboard.press("Escape");
    // An enumeration, a boolean, a date, null.
    await cell(watched, 4, "status").click();
    await page.keyboard.press("F2");
    await page.locator(".cell-editor select").selectOption({ label: "shipped" });
    await page.keyboard.press("Tab");
    await shows(other, 4, "status", "shipped");
    await cell(watched, 4, "note").click();
    await page.keyboard.type("By hand");
    await page.keyboard.press("Enter");
    await shows(other, 4, "note", "By hand");
    await cell(watched, 4, "note").click();
    await page.keyboard.press("F2");
    await page.keyboard.press("Alt+n");
    await page.keyboard.press("Enter");
    await shows(other, 4, "note", "null");
    await page.keyboard.press("Control+z");
    await shows(other, 4, "note", "By hand");
    await close(other);
    await close(watched);
  });

  test("a conflict shows both values, and one is chosen", async () => {
    const watched = await open("#/t/orders");
    const { page } = watched;
    await cell(watched, 10, "note").click();
    await page.keyboard.press("F2");
    await page.locator(".cell-editor input").fill("mine");
    // The page does not hear of it before it writes.
    await page.route("**/rest", async (route) => {
      await sql("update orders set note = 'theirs' where id = 10");
      await route.continue();
    });
    watched.allow(/status of 412/);
    await page.keyboard.press("Enter");
    const dialog = page.getByRole("dialog");
    await dialog.getByText("Another user has changed this row").waitFor();
    assert.match(await dialog.textContent(), /noteLeave it with the neighbour at number 10theirsmine/);
    await look(watched, "conflict-1440-light", SHOTS);
    await page.unroute("**/rest");
    await dialog.getByRole("button", { name: "Write mine" }).click();
    await shows(watched, 10, "note", "mine");
    await until("it is written", async () => (await value("select note from orders where id = 10")) === '{"note":"mine"}');
    await close(watched);
  });

  test("rows are added, duplicated, chosen, changed together, deleted and brought back", async () => {
    const watched = await open("#/t/coupons");
    const { page } = watched;
    await page.getByRole("button", { name: "New row" }).click();
    await page.getByLabel("code", { exact: true }).fill("WINTER");
    await page.getByLabel("percent", { exact: true }).fill("none");
    await page.keyboard.press("Enter");
    watched.allow(/status of 400/);
    await page.getByText(/^Not saved: .*smallint/).waitFor();
    await page.getByLabel("percent", { exact: true }).fill("15");
    await page.keyboard.press("Enter");
    await shows(watched, '"WINTER"', "percent", "15");
    await cell(watched, '"WINTER"', "percent").dblclick();
    await page.getByRole("button", { name: "Duplicate" }).click();
    await page.getByLabel("code", { exact: true }).fill("WINTER2");
    await page.getByRole("button", { name: "Add row" }).click();
    await shows(watched, '"WINTER2"', "percent", "15");
    await page.getByRole("checkbox", { name: 'Choose the row "WINTER"', exact: true }).click();
    await page.getByRole("checkbox", { name: 'Choose the row "WINTER2"' }).click();
    await cell(watched, '"WINTER"', "percent").click();
    await page.keyboard.type("30");
    await page.keyboard.press("Enter");
    await shows(watched, '"WINTER"', "percent", "30");
    await shows(watched, '"WINTER2"', "percent", "30");
    await grid(watched).focus();
    await page.keyboard.press("Delete");
    await page.getByText("2 rows deleted.").waitFor();
    await cell(watched, '"WINTER"', "percent").waitFor({ state: "detached" });
    await page.locator(".toast").getByRole("button", { name: "Undo" }).click();
    await shows(watched, '"WINTER2"', "percent", "30");
    await close(watched);
  });

  test("rows that are pasted are shown first, and written all or none", async () => {
    const watched = await open("#/t/coupons");
    const { page } = watched;
    const paste = (text) =>
      grid(watched).evaluate((element, data) => {
        const clipboardData = new DataTransfer();
        clipboardData.setData("text/plain", data);
        element.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true }));
      }, text);
    await paste("code\tpercent\nA1\t5\nA2\tmany\n");
    await page.getByRole("heading", { name: "Add 2 rows to public.coupons" }).waitFor();
    await look(watched, "paste-1440-light", SHOTS);
    watched.allow(/status of 400/);
    await page.getByRole("button", { name: "Add 2 rows" }).click();
    await page.getByText(/Nothing was saved\. Line 2: /).waitFor();
    assert.equal(await value("select count(*) as n from coupons where code like 'A_'"), '{"n":0}');
    await page.getByRole("button", { name: "Cancel" }).click();
    await paste("code\tpercent\nA1\t5\nA2\t6\n");
    await page.getByRole("button", { name: "Add 2 rows" }).click();
    await shows(watched, '"A2"', "percent", "6");
    await close(watched);
  });

  test("a filter is what one types: signs, a column and a value, words, and a form with what fits", async () => {
    const watched = await open("#/t/orders");
    const { page } = watched;
    const box = page.getByRole("combobox", { name: /^Filter rows/ });
    const count = (where) => value(`select count(*) as n from orders where ${where}`).then((line) => JSON.parse(line).n);
    const filtered = async (typed, where) => {
      await box.fill(typed);
      await box.press("Enter");
      const expected = (await count(where)).toLocaleString("en");
      await until(`${typed}: ${expected} rows`, async () => (await page.locator(".table-meta span").first().textContent()).startsWith(`${expected} row`));
    };
    await filtered("total>900", "total > 900");
    await filtered("id 100", "id = 100");
    await filtered("neighbour", "note ilike '%neighbour%'");
    await filtered("status=paid and total<100", "status = 'paid' and total < 100");
    await page.locator(".condition summary").click();
    await page.getByLabel("Column", { exact: true }).selectOption("is_gift");
    await page.getByLabel("Condition", { exact: true }).selectOption({ label: "is true" });
    await page.getByRole("button", { name: "Add", exact: true }).click();
    const expected = await count("status = 'paid' and total < 100 and is_gift");
    await until("one more condition", async () => (await page.locator(".table-meta span").first().textContent()).startsWith(`${expected} row`));
    await box.fill("nothing like it");
    await box.press("Enter");
    await page.getByText("Looked for “nothing like it” in note.").waitFor();
    await close(watched);
  });

  test("what is shown is exported as CSV, NDJSON and JSON", async () => {
    const watched = await open("#/t/orders?filter=total%3E900&order=total.desc&columns=id,total,note");
    const { page } = watched;
    await page.locator(".popup summary", { hasText: "Export" }).click();
    const save = async (name) => {
      const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name, exact: true }).click()]);
      return readFileSync(await download.path(), "utf8");
    };
    const expected = (await psql.rows("select id, total, note from orders where total > 900 order by total desc, id")).map((line) => JSON.parse(line));
    const csv = (await save("CSV")).trim().split("\r\n");
    assert.equal(csv[0], "id,total,note");
    assert.equal(csv.length, expected.length + 1);
    assert.equal(csv[1].split(",")[0], String(expected[0].id));
    assert.match(csv[1], /,\d+\.\d\d,/);
    assert.deepEqual((await save("JSON")) && JSON.parse(await save("JSON")).map(({ id }) => id), expected.map(({ id }) => id));
    assert.equal((await save("NDJSON")).trim().split("\n").length, expected.length);
    await page.getByRole("button", { name: "Python" }).click();
    await page.locator(".export pre", { hasText: 'order="total.desc,id"' }).waitFor();
    await close(watched);
  });

  test("where one may only read there is no button that writes", async () => {
    const watched = await open("#/t/payments");
    const { page } = watched;
    await page.locator(".grid tbody tr").first().waitFor();
    assert.equal(await page.getByRole("button", { name: "New row" }).count(), 0);
    assert.equal(await page.locator(".grid input").count(), 0);
    await page.locator(".grid tbody tr a").first().click();
    await page.locator(".row-sheet .value").first().waitFor();
    assert.equal(await page.getByRole("button", { name: /^(Change|Delete|Duplicate)/ }).count(), 1, "the pane of changes alone");
    await close(watched);
  });

  test("a table that goes is said to be gone, and comes back by itself", async () => {
    const watched = await open("#/t/suppliers");
    const { page } = watched;
    await page.getByText("Scierie du Rhône").waitFor();
    // What is asked for in this moment is refused.
    watched.allow(/status of 40[34]/);
    await sql("select plank.unwatch('suppliers')");
    await page.getByText("There is no watched table suppliers.").waitFor();
    await sql("select plank.watch('suppliers')");
    await page.getByText("Scierie du Rhône").waitFor();
    await close(watched);
  });

  test("? lists the keys, and Escape closes them", async () => {
    const watched = await open("#/t/orders");
    await watched.page.locator(".grid tbody tr").first().waitFor();
    await watched.page.keyboard.press("?");
    await watched.page.getByRole("heading", { name: "Keys" }).waitFor();
    await look(watched, "keys-1440-light", SHOTS);
    await watched.page.keyboard.press("Escape");
    await watched.page.getByRole("dialog").waitFor({ state: "detached" });
    await close(watched);
  });

  test("at 200 % zoom of 1440 x 900 there are ten rows", async () => {
    const watched = await open("#/t/orders", { viewport: { width: 720, height: 450 } });
    const { page } = watched;
    await page.locator(".grid tbody tr").first().waitFor();
    await look(watched, "zoom", SHOTS);
    const height_px = await page.locator(".grid").evaluate((element) => element.clientHeight - element.querySelector("thead").clientHeight);
    assert.ok(height_px >= 10 * (await page.locator(".grid tbody tr").first().evaluate((row) => row.offsetHeight)), `${height_px} px`);
    await close(watched);
  });
}
