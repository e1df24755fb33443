/**
 * The board in a real Chromium against the real binary: two people look at one table. `npm ci && npm test`.
 *
 * PLANK_BIN and CHROMIUM name the programs; SCREENSHOTS names a directory for pictures of every view.
 */
import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { mkdir } from "node:fs/promises";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { chromium } from "playwright-core";
import { call, CHROMIUM, CHROMIUM_ARGS, listed, missing, proxyUnder, Server, until, Watched, WIDE } from "./support.mjs";
import { look } from "./views.mjs";

const SHOTS = process.env.SCREENSHOTS;

const reason = missing();
if (reason) {
  console.log(`skipped: the dashboard's browser tests, because there is ${reason}`);
  test("the browser tests can run", { skip: process.env.CI === "true" ? false : reason }, () => assert.fail(reason));
} else {
  describe("dashboard", { timeout: 180_000 }, suite);
}

function suite() {
  let server;
  let browser;
  let a;
  let b;
  let round = 0;

  const http = (method, path, body, headers) => call(server, method, path, body, headers);
  const item = (name, more = {}) => http("POST", "/api/items", { name, ...more });
  const change = (row, body) => http("PATCH", `/api/items/${row.id}`, body, { "if-match": `"${row.version}"` });
  const both = (action) => Promise.all([a, b].map(action));
  const shot = (watched, name) => look(watched, name, SHOTS);
  const dialog = (watched) => watched.page.getByRole("dialog");
  const focused = (watched) => watched.page.evaluate(() => document.activeElement.closest(".card")?.querySelector(".card-name").textContent);

  /** Creates an item the way a person does. */
  const add = async (watched, name) => {
    await watched.page.getByRole("button", { name: "New item", exact: true }).click();
    await dialog(watched).getByLabel("Name").fill(name);
    await dialog(watched).getByRole("button", { name: "Add item" }).click();
    await dialog(watched).waitFor({ state: "detached" });
  };

  const open = async (watched, name) => {
    await watched.card(name).locator(".card-main").click();
    await dialog(watched).getByLabel("Name").waitFor();
    return dialog(watched);
  };

  /** Answers requests in the server's place until it is told to stop. */
  const answer = async (watched, method, status, headers = {}) => {
    const body = JSON.stringify({ type: "about:blank", title: "", status, detail: `refused with ${status}` });
    const serve = (route) =>
      route.request().method() === method ? route.fulfill({ status, contentType: "application/problem+json", headers, body }) : route.fallback();
    await watched.page.route("**/api/items**", serve);
    watched.allow(new RegExp(`status of ${status}`));
    return () => watched.page.unroute("**/api/items**", serve);
  };

  before(async () => {
    if (SHOTS) await mkdir(SHOTS, { recursive: true });
    server = await Server.start();
    browser = await chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_ARGS });
    a = await Watched.open(browser, `${server.url}/#/board`, { viewport: WIDE });
    b = await Watched.open(browser, `${server.url}/#/board`, { viewport: WIDE });
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  beforeEach(async () => {
    for (const { id } of await listed(server)) await http("DELETE", `/api/items/${id}`);
    // Anew, so that one test that fails leaves the next ones alone.
    await both(async ({ page }) => {
      await page.unrouteAll({ behavior: "ignoreErrors" });
      await page.goto(`${server.url}/?${(round += 1)}#/board`);
      await page.locator("[data-nothing]").waitFor();
    });
    await both((watched) => watched.state("live"));
  });

  afterEach(() => {
    assert.deepEqual([...a.faults(), ...b.faults()], []);
  });

  test("an empty table says so, and how to fill it", async () => {
    assert.match(await a.page.locator("[data-nothing]").textContent(), /No items yet.*insert into items/);
    assert.equal(await a.page.locator(".connection-text").textContent(), "Live");
  });

  test("the page is under a strict content security policy", async () => {
    const response = await fetch(server.url);
    const policy = response.headers.get("content-security-policy") ?? "";
    for (const part of ["default-src 'none'", "frame-ancestors 'none'", "script-src 'self' 'sha256-"]) assert.ok(policy.includes(part), `${part} in: ${policy}`);
    assert.ok(!policy.includes("unsafe"), policy);
  });

  test("an item created in one page appears in the other, and flashes only there", async () => {
    await add(a, "Paint the fence");
    await b.card("Paint the fence").waitFor();
    assert.match(await b.card("Paint the fence").getAttribute("class"), /flash/);
    await until("it is stored and shown", async () => (await a.card("Paint the fence").getAttribute("data-version")) === "1");
    assert.doesNotMatch(await a.card("Paint the fence").getAttribute("class"), /flash/);
    assert.match(await b.page.locator(".meta").textContent(), /1 item.*Paint the fence added/);
  });

  test("a card that is dragged to another column is there in both pages, before the server has answered", async () => {
    await item("Paint the fence");
    await a.inColumn("open", "Paint the fence").waitFor();
    let release;
    const released = new Promise((resolve) => (release = resolve));
    await a.page.route("**/api/items/*", async (route) => (await released, route.continue()));
    const { x, y } = await a.card("Paint the fence").boundingBox();
    await a.page.mouse.move(x + 60, y + 20);
    await a.page.mouse.down();
    await a.page.mouse.move(x + 80, y + 40, { steps: 3 });
    const column = await a.page.locator('.column[data-status="done"]').boundingBox();
    await a.page.mouse.move(column.x + 90, column.y + 200, { steps: 5 });
    await a.page.locator('.column[data-over="true"][data-status="done"]').waitFor();
    await shot(a, "drag-1440-light");
    await a.page.mouse.up();
    await a.inColumn("done", "Paint the fence").waitFor();
    assert.match(await a.card("Paint the fence").getAttribute("class"), /card-pending/);
    assert.equal((await listed(server))[0].status, "open");
    assert.equal(await dialog(a).count(), 0, "a drag is no click");
    release();
    await b.inColumn("done", "Paint the fence").waitFor();
    await until("it is answered", async () => !/card-pending/.test(await a.card("Paint the fence").getAttribute("class")));
    await a.page.unroute("**/api/items/*");
  });

  test("Escape ends a drag, and nothing has moved", async () => {
    await item("Paint the fence");
    await a.card("Paint the fence").hover();
    await a.page.mouse.down();
    const column = await a.page.locator('.column[data-status="active"]').boundingBox();
    await a.page.mouse.move(column.x + 90, column.y + 200, { steps: 5 });
    await a.page.keyboard.press("Escape");
    await a.page.locator(".card-ghost").waitFor({ state: "detached" });
    await a.page.mouse.up();
    assert.equal((await listed(server))[0].status, "open");
    assert.equal(await dialog(a).count(), 0);
  });

  test("a move that the server refuses is taken back, said, and can be tried again", async () => {
    await item("Paint the fence");
    const stop = await answer(a, "PATCH", 503, { "retry-after": "1" });
    await a.card("Paint the fence").hover();
    await a.page.getByRole("button", { name: "Move Paint the fence to Active" }).click();
    await a.page.getByText("The database is away. Nothing was saved").waitFor();
    await a.inColumn("open", "Paint the fence").waitFor();
    await shot(a, "refused-1440-light");
    await stop();
    await a.page.getByRole("button", { name: "Try again" }).click();
    await b.inColumn("active", "Paint the fence").waitFor();
  });

  test("a move that came second shows both versions, and is done only when told to", async () => {
    const row = await item("Paint the fence");
    a.allow(/status of 412/);
    // Another user is faster between the key and the server: the request leaves with the version that was shown.
    let current = row;
    await a.page.route("**/api/items/*", async (route) => {
      if (route.request().method() === "PATCH" && current === row) current = await change(row, { name: "Paint the gate", status: "active" });
      await route.continue();
    });
    await a.card("Paint the fence").locator(".card-main").focus();
    await a.page.keyboard.press("Shift+ArrowRight");
    await a.page.keyboard.press("Shift+ArrowRight");
    await dialog(a).getByText("Not saved: another user changed this item.").waitFor();
    assert.match(await dialog(a).locator(".conflict").textContent(), /version 2.*Theirs.*Yours.*Statusactivedone/);
    await a.inColumn("active", "Paint the gate").waitFor();
    assert.equal((await listed(server))[0].status, "active");
    await shot(a, "conflict-move-1440-light");
    await dialog(a).getByRole("button", { name: "Save mine" }).click();
    await b.inColumn("done", "Paint the gate").waitFor();
    await a.page.unroute("**/api/items/*");
  });

  test("an edit in one page appears in the other", async () => {
    await item("Paint the fence", { description: "green", data: { priority: 1 } });
    const editor = await open(b, "Paint the fence");
    await editor.getByLabel("Name").fill("Paint the gate");
    await editor.getByLabel("Data (a JSON object)").fill('{"colour": "red"}');
    await shot(b, "editor-1440-light");
    await editor.getByRole("button", { name: "Save" }).click();
    await a.card("Paint the gate").waitFor();
    assert.match(await a.card("Paint the gate").textContent(), /green · colour: red/);
    assert.deepEqual((await listed(server))[0].data, { colour: "red" });
    await until("the focus is back on its card", async () => (await focused(b)) === "Paint the gate");
  });

  test("a name that is refused is explained at its field, and what was typed stays", async () => {
    a.allow(/status of 422/);
    await a.page.keyboard.press("n");
    await dialog(a).getByLabel("Description").fill("typed");
    await dialog(a).getByRole("button", { name: "Add item" }).click();
    const input = dialog(a).getByLabel("Name");
    await a.page.locator("#edit-name-error").waitFor();
    assert.match(await a.page.locator("#edit-name-error").textContent(), /^Name has /);
    assert.equal(await input.getAttribute("aria-describedby"), "edit-name-error");
    await until("the field has the focus", () => input.evaluate((element) => element === document.activeElement));
    assert.equal(await a.page.locator(".card").count(), 0, "what was shown in advance is taken back");
    assert.equal(await dialog(a).getByLabel("Description").inputValue(), "typed");
    await shot(a, "invalid-1440-light");
    await input.fill("Valid");
    await dialog(a).getByLabel("Data (a JSON object)").fill("{oops");
    await dialog(a).getByRole("button", { name: "Add item" }).click();
    await a.page.getByText("This is no JSON").waitFor();
    await dialog(a).getByLabel("Data (a JSON object)").fill("");
    await a.page.keyboard.press("Control+Enter");
    await b.card("Valid").waitFor();
  });

  test("an edit that came second shows what is there now, and saves only when told to", async () => {
    const row = await item("Paint the fence", { description: "green" });
    a.allow(/status of 412/);
    const editor = await open(a, "Paint the fence");
    await editor.getByLabel("Name").fill("Mine");
    await change(row, { name: "Theirs", description: "blue" });
    await editor.getByText("Another user changed this item just now").waitFor();
    await editor.getByRole("button", { name: "Save" }).click();
    await editor.getByText("Not saved: another user changed this item.").waitFor();
    assert.match(await editor.locator(".conflict").textContent(), /version 2.*Theirs.*Yours.*Theirs.*Mine/);
    assert.equal(await editor.getByLabel("Description").inputValue(), "blue");
    await a.card("Theirs").waitFor();
    await shot(a, "conflict-1440-light");
    await editor.getByRole("button", { name: "Save mine" }).click();
    await b.card("Mine").waitFor();
    const [saved] = await listed(server);
    assert.deepEqual([saved.name, saved.description, saved.version], ["Mine", "blue", 3]);
  });

  /** Keeps a request of the page back until it is let go. */
  const holding = async (watched, method) => {
    const gate = new EventEmitter();
    const hold = async (route) => {
      if (route.request().method() !== method) return route.fallback();
      gate.emit("came");
      await once(gate, "go");
      await route.continue();
      gate.emit("gone");
    };
    await watched.page.route("**/api/items/*", hold);
    const go = async () => {
      const gone = once(gate, "gone");
      gate.emit("go");
      await gone;
      await watched.page.unroute("**/api/items/*", hold);
    };
    return { came: once(gate, "came"), go };
  };

  test("what is typed while a save is under way is there when another user was first", async () => {
    const row = await item("Paint the fence");
    a.allow(/status of 412/);
    const editor = await open(a, "Paint the fence");
    await editor.getByLabel("Name").fill("Mine");
    const held = await holding(a, "PATCH");
    await editor.getByRole("button", { name: "Save" }).click();
    await held.came;
    await change(row, { name: "Theirs" });
    await editor.getByLabel("Description").fill("typed meanwhile");
    await held.go();
    await editor.getByText("Not saved: another user changed this item.").waitFor();
    assert.equal(await editor.getByLabel("Description").inputValue(), "typed meanwhile");
    await editor.getByRole("button", { name: "Save mine" }).click();
    await b.card("Mine").waitFor();
    assert.equal((await listed(server))[0].description, "typed meanwhile");
  });

  test("a move that came second leaves an open dialog alone, and can be looked at afterwards", async () => {
    const row = await item("Paint the fence");
    await item("Mow the lawn");
    a.allow(/status of 412/);
    const held = await holding(a, "PATCH");
    await a.card("Paint the fence").locator(".card-main").focus();
    await a.page.keyboard.press("Shift+ArrowRight");
    await held.came;
    await change(row, { description: "theirs" });
    const editor = await open(a, "Mow the lawn");
    await editor.getByLabel("Name").fill("Mow all of it");
    // Where there is no field, a key of the board is none.
    await editor.getByRole("heading").click();
    await a.page.keyboard.press("n");
    await held.go();
    const toast = a.page.getByText("“Paint the fence” was not moved: another user changed it first.");
    await toast.waitFor();
    assert.equal(await editor.getByLabel("Name").inputValue(), "Mow all of it");
    await editor.getByRole("button", { name: "Save" }).click();
    await b.card("Mow all of it").waitFor();
    await a.page.getByRole("button", { name: "Look" }).click();
    await dialog(a).getByText("Not saved: another user changed this item.").waitFor();
    await a.page.keyboard.press("Escape");
    await dialog(a).waitFor({ state: "detached" });
  });

  test("an item that has left the filter while it is edited is saved all the same", async () => {
    const row = await item("Paint the fence");
    const filter = a.page.getByRole("searchbox");
    await filter.fill("status=eq.open");
    await filter.press("Enter");
    await a.page.waitForURL(/status/);
    assert.equal(await filter.evaluate((input) => input === document.activeElement), true, "the focus stays where one types");
    const editor = await open(a, "Paint the fence");
    await editor.getByLabel("Name").fill("Paint the gate");
    a.allow(/status of 412/);
    await change(row, { status: "done" });
    await a.card("Paint the fence").waitFor({ state: "detached" });
    await editor.getByRole("button", { name: "Save" }).click();
    await editor.getByText("Not saved: another user changed this item.").waitFor();
    await editor.getByRole("button", { name: "Save mine" }).click();
    await b.inColumn("done", "Paint the gate").waitFor();
  });

  test("an item that is deleted while it is edited keeps what was typed", async () => {
    const row = await item("Paint the fence");
    const editor = await open(a, "Paint the fence");
    await editor.getByLabel("Name").fill("Paint it anyway");
    await http("DELETE", `/api/items/${row.id}`);
    await editor.getByText("Another user deleted this item.").waitFor();
    await editor.getByRole("button", { name: "Create it again" }).click();
    await both((watched) => watched.card("Paint it anyway").waitFor());
    assert.equal(await a.page.locator(".card").count(), 1);
  });

  test("a delete asks first, and a refused one is taken back", async () => {
    await item("Paint the fence");
    await a.card("Paint the fence").locator(".card-main").focus();
    const stop = await answer(a, "DELETE", 503);
    await a.page.keyboard.press("Delete");
    await dialog(a).getByText("Delete “Paint the fence”?").waitFor();
    await shot(a, "delete-1440-light");
    await a.page.keyboard.press("Enter");
    await a.page.getByText("The database is away.").waitFor();
    await a.card("Paint the fence").waitFor();
    await stop();
    await a.page.getByRole("button", { name: "Try again" }).click();
    await both((watched) => watched.card("Paint the fence").waitFor({ state: "detached" }));
    assert.deepEqual(await listed(server), []);
  });

  test("a delete of what another user has changed is not done", async () => {
    const row = await item("Paint the fence");
    a.allow(/status of 412/);
    await open(a, "Paint the fence");
    await change(row, { description: "important" });
    await dialog(a).getByText("Another user changed this item just now").waitFor();
    await dialog(a).getByRole("button", { name: "Delete: Paint the fence" }).click();
    await dialog(a).getByRole("button", { name: "Delete for good: Paint the fence" }).click();
    await a.page.getByText("Not deleted: another user changed").waitFor();
    await a.card("important").waitFor();
    await a.page.getByRole("button", { name: "Delete it anyway" }).click();
    await b.card("Paint the fence").waitFor({ state: "detached" });
  });

  test("everything can be done with the keyboard alone", async () => {
    await item("Below");
    await a.page.keyboard.press("n");
    await until("the dialog has the focus", () => a.page.evaluate(() => document.activeElement.id === "edit-name"));
    await a.page.keyboard.type("By keyboard");
    await a.page.keyboard.press("Enter");
    await b.inColumn("open", "By keyboard").waitFor();
    await dialog(a).waitFor({ state: "detached" });
    await a.card("Below").locator(".card-main").focus();
    await a.page.keyboard.press("ArrowUp");
    await until("the card above has the focus", async () => (await focused(a)) === "By keyboard");
    await a.page.keyboard.press("Shift+ArrowRight");
    await b.inColumn("active", "By keyboard").waitFor();
    await until("the focus has gone with it", async () => (await focused(a)) === "By keyboard");
    await a.page.keyboard.press("Shift+ArrowRight");
    await b.inColumn("done", "By keyboard").waitFor();
    await until("the focus has gone with it", async () => (await focused(a)) === "By keyboard");
    await a.page.keyboard.press("ArrowLeft");
    await until("an empty column is passed over", async () => (await focused(a)) === "Below");
    await a.page.keyboard.press("ArrowRight");
    await until("it is back", async () => (await focused(a)) === "By keyboard");
    await a.page.keyboard.press("Enter");
    await until("the editor has the focus", () => a.page.evaluate(() => document.activeElement.id === "edit-name"));
    await a.page.keyboard.press("Control+a");
    await a.page.keyboard.type("Renamed");
    await a.page.keyboard.press("Control+Enter");
    await b.card("Renamed").waitFor();
    await until("the focus is back", async () => (await focused(a)) === "Renamed");
    await a.page.keyboard.press("Delete");
    await until("it asks", () => a.page.evaluate(() => document.activeElement.textContent === "Delete"));
    await a.page.keyboard.press("Enter");
    await b.card("Renamed").waitFor({ state: "detached" });
    await a.page.keyboard.press("/");
    await until("the filter has the focus", () => a.page.evaluate(() => document.activeElement.type === "search"));
  });

  test("a card that another user moves under the focus keeps it", async () => {
    const row = await item("Paint the fence");
    await a.card("Paint the fence").locator(".card-main").focus();
    await change(row, { status: "done" });
    await a.inColumn("done", "Paint the fence").waitFor();
    await until("the focus went with it", async () => (await focused(a)) === "Paint the fence");
  });

  test("the filter is the server's: rows come, go, and are refused by its rules", async () => {
    await item("Paint the fence");
    const lawn = await item("Mow the lawn", { status: "active" });
    const filter = a.page.getByRole("searchbox");
    await filter.fill("status=eq.active");
    await filter.press("Enter");
    await a.card("Paint the fence").waitFor({ state: "detached" });
    await a.card("Mow the lawn").waitFor();
    assert.match(a.page.url(), /#\/board\?filter=status%3Deq\.active$/);
    await change(lawn, { status: "done" });
    await a.page.getByText("No item passes this filter.").waitFor();
    await shot(a, "filtered-1440-light");
    await filter.fill("colour=eq.red");
    await filter.press("Enter");
    await a.page.getByText(/^Not applied: .*colour/).waitFor();
    await shot(a, "filter-refused-1440-light");
    await filter.fill("LAWN");
    await filter.press("Enter");
    await a.card("Mow the lawn").waitFor();
    assert.equal(await a.page.locator(".card").count(), 1);
    await filter.press("Escape");
    await a.card("Paint the fence").waitFor();
  });

  test("a server that has lost its database is not called live, until it has it again", async () => {
    a.allow(/status of 503/);
    await a.page.route("**/readyz", (route) => route.fulfill({ status: 503, contentType: "application/json", body: '{"status":"not ready"}' }));
    // A tab that comes back asks at once.
    await a.page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
    await a.state("away");
    assert.match(await a.page.locator(".connection-text").textContent(), /^Changes delayed since /);
    await a.page.unroute("**/readyz");
    await a.page.locator('.connection[data-state="live"]').waitFor({ timeout: 5_000 });
  });

  test("a theme that was chosen stays, and is there before the page is", async () => {
    const background = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await background(a.page);
    await a.page.getByRole("button", { name: "Theme: auto" }).click();
    await a.page.getByRole("button", { name: "Theme: light" }).click();
    const dark = await background(a.page);
    assert.notEqual(dark, light);
    await a.page.reload();
    await a.state("live");
    assert.equal(await background(a.page), dark);
    await a.page.getByRole("button", { name: "Theme: dark" }).click();
    assert.equal(await background(a.page), light);
  });

  test("pages work under a path of a reverse proxy", async () => {
    const proxy = await proxyUnder("/tools/plank/", server.url);
    const prefixed = await Watched.open(browser, `${proxy.url}#/board`, { viewport: WIDE });
    try {
      await prefixed.state("live");
      await add(prefixed, "Through the proxy");
      await both((watched) => watched.card("Through the proxy").waitFor());
      await prefixed.page.getByRole("link", { name: "Tables", exact: true }).click();
      await prefixed.page.getByRole("link", { name: /^items/ }).click();
      await prefixed.page.getByRole("gridcell", { name: "Through the proxy" }).waitFor();
      await prefixed.page.getByRole("link", { name: "Activity" }).click();
      await prefixed.page.locator(".plot canvas").first().waitFor();
      assert.deepEqual(prefixed.faults(), []);
    } finally {
      await prefixed.context.close();
      proxy.close();
    }
  });
}
