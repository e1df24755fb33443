/** Links along foreign keys: from a value to the row that it names, and from a row to those that point to it. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { chromium } from "playwright-core";
import { Psql } from "./cutting.mjs";
import { CHROMIUM, CHROMIUM_ARGS, missing, NARROW, Server, until, Watched, WIDE } from "./support.mjs";
import { look } from "./views.mjs";

const SHOTS = process.env.SCREENSHOTS;
const SHOP = readFileSync(new URL("fixtures/shop.sql", import.meta.url), "utf8");

const reason = missing();
if (reason) {
  console.log(`skipped: the tests of links, because there is ${reason}`);
  test("the browser tests can run", { skip: process.env.CI === "true" ? false : reason }, () => assert.fail(reason));
} else {
  describe("links along foreign keys", { timeout: 120_000 }, suite);
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
    return watched;
  };
  const close = async (watched) => {
    assert.deepEqual(watched.faults(), []);
    await watched.context.close();
  };
  const one = async (text) => JSON.parse((await psql.rows(text))[0]);
  const cell = (watched, key, name) => watched.page.locator(`.grid tr[data-key='${key}'] td[data-name="${name}"]`);

  test("a value in the grid leads to its row, by a click and by the keys, and back", async () => {
    const watched = await open("#/t/orders");
    const { page } = watched;
    const { customer_id } = await one("select customer_id from orders where id = 2");
    const customer = cell(watched, 2, "customer_id");
    await customer.waitFor();
    assert.equal(await customer.textContent(), String(customer_id), "the link is no part of the value");
    await look(watched, "links-grid-1440-light", SHOTS);
    await customer.getByRole("link", { name: `Go to customers ${customer_id}` }).click();
    await page.getByRole("heading", { name: `customers id ${customer_id}` }).waitFor();
    await page.goBack();
    await customer.click();
    await page.keyboard.press("Alt+Enter");
    await page.getByRole("heading", { name: `customers id ${customer_id}` }).waitFor();
    await close(watched);
  });

  test("the sheet links its values, and lists the tables that point to its row with how many do", async () => {
    const { id, orders } = await one("select customer_id as id, count(*) as orders from orders group by 1 order by 2 desc, 1 limit 1");
    const watched = await open(`#/t/customers?row=${id}`);
    const { page } = watched;
    const pointers = page.locator(".pointers");
    await until("the count", async () => (await pointers.locator("li", { hasText: "orders" }).locator("b").textContent()) === orders.toLocaleString("en"));
    await look(watched, "links-sheet-1440-light", SHOTS);
    await pointers.getByRole("link", { name: "orders" }).click();
    await page.getByText(`customer_id is ${id}`).waitFor();
    await until("those orders", async () => (await page.locator(".table-meta span").first().textContent()).startsWith(`${orders} row`));
    await page.locator(".grid tbody tr a").first().click();
    await page.locator(".row-sheet").getByRole("link", { name: `customers ${id}` }).click();
    await page.getByRole("heading", { name: `customers id ${id}` }).waitFor();
    await close(watched);
  });

  test("keys of several columns, keys of a table to itself, other unique columns, and null", async () => {
    await psql.run(`alter table customers add column referrer text references customers (email);
      update customers set referrer = (select email from customers where id = 2) where id = 1;
      create table returns (id int primary key, order_id bigint, line smallint, foreign key (order_id, line) references order_lines);
      insert into returns values (1, 1, 2), (2, null, 2); select plank.watch('returns')`);
    const watched = await open("#/t/returns");
    const { page } = watched;
    await cell(watched, 1, "line").getByRole("link", { name: "Go to order_lines 1, 2" }).click();
    await page.getByRole("heading", { name: /^order_lines/ }).waitFor();
    assert.match(await page.locator("#row-title").textContent(), /order_id 1.*line 2|line 2.*order_id 1/);
    await page.locator(".pointers").getByRole("link", { name: "returns" }).click();
    await page.getByText("order_id is 1").waitFor();
    await page.goto(`${server.url}/#/t/returns`);
    await cell(watched, 2, "line").waitFor();
    assert.equal(await cell(watched, 2, "line").locator(".lead").count(), 0, "what is null in part names nothing");
    const { email } = await one("select email from customers where id = 2");
    await page.goto(`${server.url}/#/t/customers?row=1`);
    await page.locator(".row-sheet").getByRole("link", { name: `customers ${email}` }).click();
    await page.getByText(`email is ${email}`).waitFor();
    await page.locator(".grid tr[data-key='2']").waitFor();
    await close(watched);
  });

  test("a foreign key that is added is a link without a reload, and on a phone the sheet has it", async () => {
    await psql.run("create table desks (id int primary key); insert into desks values (7); create table chairs (id int primary key, desk int); insert into chairs values (1, 7); select plank.watch('desks'); select plank.watch('chairs')");
    const watched = await open("#/t/chairs", { viewport: NARROW });
    const { page } = watched;
    await cell(watched, 1, "desk").waitFor();
    await psql.run("alter table chairs add foreign key (desk) references desks");
    await cell(watched, 1, "desk").getByRole("link", { name: "Go to desks 7" }).waitFor();
    await page.locator(".grid tbody tr a").first().click();
    await page.locator(".row-sheet").getByRole("link", { name: "desks 7" }).click();
    await page.locator(".pointers").getByRole("link", { name: "chairs" }).waitFor();
    await look(watched, "links-sheet-390-light", SHOTS);
    await close(watched);
  });
}
