/**
 * Every view of the dashboard, and how one gets there: what gallery.mjs looks at, in both themes and at both widths. The shop of
 * fixtures/shop.sql is behind `SHOP_VIEWS`, a server that asks for a log-in behind `LOGIN_VIEWS`.
 */
import { until } from "./support.mjs";

/** More than the shop: a live query, a table without rows, and cards on the board. */
export const MORE_SQL = `
  create table wishes (id int primary key, wish text); select plank.watch('wishes', writable => true);
  select plank.watch_query('orders_by_status', 'select status, count(*) as orders, sum(total) as total from orders group by status', '{status}');
  insert into items (name, status, description) values ('Plane the larch', 'open', 'Both sides, then oil'), ('Order hinges', 'active', null), ('Call the mill', 'open', null), ('Sharpen the auger', 'done', 'On the fine stone');`;

const firstRow = (page) => page.locator(".grid tbody tr").first().waitFor();
const cell = (page, name) => page.locator(`.grid td[data-name="${name}"]`).first();
const filterBox = (page) => page.getByRole("combobox", { name: /^Filter rows/ });

const popup = (name) => async (page) => {
  await firstRow(page);
  await page.locator(".popup summary", { hasText: name }).click();
  await page.locator(".popup[open] > :not(summary)").waitFor();
};
const edited = (column) => async (page) => {
  await cell(page, column).click();
  await page.keyboard.press("F2");
  await page.locator(".cell-editor :is(input, select, textarea)").waitFor();
};
const typed = (text, shown) => async (page) => {
  await firstRow(page);
  await filterBox(page).fill(text);
  await filterBox(page).press("Enter");
  await page.getByText(shown).waitFor();
};
const paste = async (page, text) => {
  await firstRow(page);
  await page.getByRole("grid").evaluate((element, data) => {
    const clipboardData = new DataTransfer();
    clipboardData.setData("text/plain", data);
    element.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true }));
  }, text);
  await page.getByRole("dialog").waitFor();
};

/** @typedef {{name: string, at: string, to: (page: object, more: {sql: (text: string) => Promise<string>, watched: object, is_narrow: boolean}) => Promise<void>}} View */

/** @type {View[]} */
export const SHOP_VIEWS = [
  {
    name: "home",
    at: "#/",
    to: async (page, { sql }) => {
      await until("counts", async () => /\d,\d{3}/.test(await page.getByRole("row", { name: /^orders / }).textContent()));
      await until("rates", async () => {
        await sql("update stock set quantity = quantity + 1 where warehouse = 'north'; update products set updated_at = now() where sku like 'OAK%'");
        return /[1-9]/.test(await page.getByRole("row", { name: /^products / }).locator(".spark b").textContent());
      });
    },
  },
  {
    name: "home-nothing",
    at: "#/",
    to: async (page) => {
      await page.getByRole("searchbox").fill("nothing like it");
      await page.getByText("No table has nothing like it in its name.").waitFor();
    },
  },
  {
    name: "grid",
    at: "#/t/orders?order=placed_at.desc&filter=status%3Dpaid",
    to: async (page, { sql }) => {
      await firstRow(page);
      await sql("update orders set total = total + 1 where id in (select id from orders where status = 'paid' order by placed_at desc nulls last limit 3)");
      await page.locator('.changes [data-op="update"]').first().waitFor({ state: "attached" });
    },
  },
  {
    name: "changes",
    at: "#/t/orders",
    to: async (page, { sql, is_narrow }) => {
      await firstRow(page);
      await sql("update orders set details = jsonb_set(coalesce(details, '{}'), '{channel}', to_jsonb('shop ' || to_char(clock_timestamp(), 'MI:SS'))), note = 'Two more hinges' where id in (8, 12)");
      await page.locator('.changes [data-op="update"]').first().waitFor({ state: "attached" });
      if (is_narrow) await page.getByRole("radio", { name: "Changes" }).check();
    },
  },
  {
    name: "chosen",
    at: "#/t/orders",
    to: async (page) => {
      await page.getByRole("checkbox", { name: "Choose the row 3", exact: true }).click();
      await page.getByRole("checkbox", { name: "Choose the row 5", exact: true }).click();
      await cell(page, "total").click();
      await page.getByText("2 rows chosen").waitFor();
    },
  },
  { name: "read-only", at: "#/t/payments?order=paid_at.desc", to: firstRow },
  { name: "no-key", at: "#/t/visits", to: firstRow },
  { name: "query", at: "#/t/plank_query.orders_by_status", to: firstRow },
  { name: "sheet", at: '#/t/products?row="OAK-0001"', to: (page) => page.locator(".row-sheet .tree").first().waitFor() },
  {
    name: "sheet-history",
    at: "#/t/orders?row=2008",
    to: async (page, { sql }) => {
      await page.locator(".row-sheet .history .meta-line", { hasText: "All changes since" }).waitFor();
      await sql(`update orders set details = coalesce(details, '{}') || jsonb_build_object('channel', 'fax ' || to_char(clock_timestamp(), 'MI:SS'), 'is_urgent', true), status = 'packed' where id = 2008`);
      const change = page.locator('.row-sheet .history [data-op="update"]').first();
      await change.waitFor();
      await change.evaluate((element) => element.scrollIntoView({ block: "end" }));
    },
  },
  { name: "sheet-pointers", at: "#/t/customers?row=8", to: (page) => until("the count", async () => /\d/.test((await page.locator(".pointers b").first().textContent().catch(() => "")) ?? "")) },
  { name: "sheet-none", at: "#/t/orders?row=999999", to: (page) => page.getByText("There is no such row.").waitFor() },
  {
    name: "sheet-edit",
    at: '#/t/products?row="OAK-0001"',
    to: async (page) => {
      await page.getByRole("button", { name: "Change attributes" }).click();
      await page.locator(".row-sheet textarea").waitFor();
    },
  },
  { name: "new", at: "#/t/products?row=new", to: (page) => page.getByLabel("sku", { exact: true }).waitFor() },
  {
    name: "new-refused",
    at: "#/t/coupons?row=new",
    to: async (page, { watched }) => {
      watched.allow(/status of 400/);
      await page.getByLabel("code", { exact: true }).fill("SPRING");
      await page.getByLabel("percent", { exact: true }).fill("none");
      await page.keyboard.press("Enter");
      await page.getByText(/^Not saved: /).waitFor();
    },
  },
  { name: "filter", at: "#/t/products", to: popup("Filter") },
  { name: "columns", at: "#/t/products", to: popup("Columns") },
  { name: "export", at: "#/t/orders?filter=total%3E100&order=placed_at.desc&columns=id,total,placed_at", to: popup("Export") },
  { name: "edit", at: "#/t/products", to: edited("title") },
  { name: "edit-choice", at: "#/t/orders", to: edited("status") },
  { name: "edit-day", at: "#/t/orders", to: edited("deliver_on") },
  { name: "edit-json", at: "#/t/products", to: edited("attributes") },
  {
    name: "refused",
    at: "#/t/orders",
    to: async (page, { watched }) => {
      watched.allow(/status of 400/);
      await cell(page, "total").click();
      await page.keyboard.type("-1");
      await page.keyboard.press("Enter");
      await page.locator('.grid td[data-state="refused"]').waitFor();
      await page.keyboard.press("ArrowUp");
      await page.locator(".cell-refusal").waitFor();
    },
  },
  {
    name: "conflict",
    at: "#/t/orders",
    to: async (page, { sql, watched }) => {
      watched.allow(/status of 412/);
      await page.route("**/rest", async (route) => {
        await sql("update orders set note = 'Call at ' || to_char(clock_timestamp(), 'MI:SS'), status = 'shipped' where id = 1");
        await route.continue();
      });
      await cell(page, "note").click();
      await page.keyboard.type("Ring the bell");
      await page.keyboard.press("Enter");
      await page.getByRole("dialog").getByText("Another user has changed this row").waitFor();
      await page.unroute("**/rest");
    },
  },
  {
    name: "deleted",
    at: "#/t/reviews",
    to: async (page) => {
      await cell(page, "body").click();
      await page.keyboard.press("Delete");
      await page.getByText("1 row deleted.").waitFor();
    },
  },
  {
    name: "complete",
    at: "#/t/orders",
    to: async (page) => {
      await firstRow(page);
      await filterBox(page).focus();
      await page.keyboard.type("status=");
      await page.keyboard.press("ArrowDown");
      await page.locator('#filter-choices [aria-selected="true"]').waitFor();
    },
  },
  { name: "mistake", at: "#/t/orders", to: typed("totl>5", /the part before > is no column/) },
  { name: "nothing", at: "#/t/orders", to: typed("nothing like it", /Looked for/) },
  { name: "paste", at: "#/t/coupons", to: (page) => paste(page, "code\tpercent\tvalid\nSPRING\t5\t[2027-03-01,2027-06-01)\nSUMMER\t10\t\n") },
  {
    name: "paste-refused",
    at: "#/t/coupons",
    to: async (page, { watched }) => {
      watched.allow(/status of 400/);
      await paste(page, "code\tpercent\nSPRING\t5\nSUMMER\tmany\n");
      await page.getByRole("button", { name: "Add 2 rows" }).click();
      await page.getByText(/Nothing was saved\. Line 2: /).waitFor();
    },
  },
  {
    name: "keys",
    at: "#/t/orders",
    to: async (page) => {
      await firstRow(page);
      await page.keyboard.press("?");
      await page.getByRole("heading", { name: "Keys" }).waitFor();
    },
  },
  { name: "empty", at: "#/t/wishes", to: (page) => page.getByText("This table is empty.").waitFor() },
  { name: "gone", at: "#/t/nowhere", to: (page) => page.getByText("There is no watched table nowhere.").waitFor() },
  { name: "board", at: "#/board", to: (page) => page.locator(".card:visible").first().waitFor() },
  {
    name: "board-new",
    at: "#/board",
    to: async (page) => {
      await page.getByRole("button", { name: "New item", exact: true }).click();
      await page.getByRole("dialog").getByLabel("Name").waitFor();
    },
  },
  {
    name: "board-edit",
    at: "#/board",
    to: async (page) => {
      await page.locator(".card:visible .card-main").first().click();
      await page.getByRole("dialog").getByLabel("Name").waitFor();
    },
  },
  {
    name: "activity",
    at: "#/activity",
    to: async (page, { sql }) => {
      await page.locator(".plot canvas").first().waitFor();
      await until("a rate", async () => {
        await sql("update stock set quantity = quantity + 1 where warehouse = 'north'");
        return /updates [1-9]/.test(await page.locator(".plot", { hasText: "Changes per second" }).locator(".legend").textContent());
      });
    },
  },
];

/** Where no table is watched. */
export const BARE_VIEWS = [{ name: "home-bare", at: "#/", to: (page) => page.getByText("No table is watched yet.").waitFor() }];

const logIn = async (page, token) => {
  await page.getByLabel("Token").fill(token);
  await page.getByRole("button", { name: "Log in", exact: true }).click();
};
const inside = (page) => page.locator(".who summary").waitFor();

/** Of a server with `--auth on`; `tokens` are of a `viewer`, who may read orders, and of a `stranger`, who may read nothing. */
export const LOGIN_VIEWS = [
  { name: "login", at: "#/", to: (page) => page.getByLabel("Token").waitFor() },
  {
    name: "login-refused",
    at: "#/",
    to: async (page) => {
      await logIn(page, "no.token");
      await page.getByRole("alert").waitFor();
    },
  },
  {
    name: "login-nothing",
    at: "#/",
    to: async (page, { tokens }) => {
      await logIn(page, tokens.stranger);
      await page.getByText("There is no table that your role may read.").waitFor();
    },
  },
  {
    name: "login-gone",
    at: "#/t/customers",
    to: async (page, { tokens }) => {
      await logIn(page, tokens.viewer);
      await page.getByText("There is no watched table customers.").waitFor();
    },
  },
  {
    name: "login-who",
    at: "#/t/orders",
    to: async (page, { tokens }) => {
      await logIn(page, tokens.viewer);
      await inside(page);
      await firstRow(page);
      await page.locator(".who summary").click();
      await page.getByRole("button", { name: "Log out" }).waitFor();
    },
  },
];
