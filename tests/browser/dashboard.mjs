/**
 * The dashboard in a real Chromium against the real binary: two people look at one table. `npm ci && npm test`.
 *
 * PLANK_BIN and CHROMIUM name the programs; SCREENSHOTS names a directory for pictures of every view.
 */
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { chromium } from "playwright-core";
import { call, CHROMIUM, CHROMIUM_ARGS, listed, missing, NARROW, proxyUnder, Server, until, Watched, WIDE } from "./support.mjs";
import { checkViews, look } from "./views.mjs";

const SHOTS = process.env.SCREENSHOTS;

const reason = missing();
if (reason) {
  console.log(`skipped: the dashboard's browser tests, because there is ${reason}`);
  test("the browser tests can run", { skip: process.env.CI === "true" ? false : reason }, () => assert.fail(reason));
} else {
  describe("dashboard", { timeout: 300_000 }, suite);
}

function suite() {
  let server;
  let browser;
  let a;
  let b;

  const http = (method, path, body, headers) => call(server, method, path, body, headers);
  const item = (name, more = {}) => http("POST", "/api/items", { name, ...more });
  const change = (row, body) => http("PATCH", `/api/items/${row.id}`, body, { "if-match": `"${row.version}"` });
  const both = (action) => Promise.all([a, b].map(action));
  const shot = (watched, name) => look(watched, name, SHOTS);

  /** Creates an item the way a person does. */
  const add = async ({ page }, name) => {
    await page.getByLabel("Name", { exact: true }).fill(name);
    await page.getByRole("button", { name: "Add item" }).click();
  };

  before(async () => {
    if (SHOTS) await mkdir(SHOTS, { recursive: true });
    server = await Server.start();
    browser = await chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_ARGS });
    a = await Watched.open(browser, server.url, { viewport: WIDE });
    b = await Watched.open(browser, server.url, { viewport: WIDE });
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  beforeEach(async () => {
    for (const { id } of await listed(server)) await http("DELETE", `/api/items/${id}`);
    await both((watched) => watched.state("live"));
    await both((watched) => watched.page.locator("[data-empty]").waitFor());
  });

  afterEach(() => {
    assert.deepEqual([...a.faults(), ...b.faults()], []);
  });

  test("an empty table says so, and how to fill it", async () => {
    await a.page.getByText("No items yet.").waitFor();
    assert.match(await a.page.locator("[data-empty]").textContent(), /insert into items/);
    assert.match(await a.page.locator(".connection").textContent(), /Live/);
  });

  test("the page is under a strict content security policy", async () => {
    const response = await fetch(server.url);
    const policy = response.headers.get("content-security-policy") ?? "";
    for (const part of ["default-src 'none'", "frame-ancestors 'none'", "script-src 'self' 'sha256-"]) assert.ok(policy.includes(part), `${part} in: ${policy}`);
    assert.ok(!policy.includes("unsafe"), policy);
  });

  test("an item created in one page appears in the other, and flashes only there", async () => {
    await add(a, "Paint the fence");
    await b.row("Paint the fence").waitFor();
    await a.row("Paint the fence").waitFor();
    assert.match(await b.row("Paint the fence").getAttribute("class"), /flash/);
    assert.doesNotMatch(await a.row("Paint the fence").getAttribute("class"), /flash/);
    assert.equal(await a.page.getByLabel("Name", { exact: true }).inputValue(), "");
  });

  test("an edit in one page appears in the other", async () => {
    await item("Paint the fence", { description: "green", data: { priority: 1 } });
    await b.row("Paint the fence").getByRole("button", { name: "Edit: Paint the fence" }).click();
    await b.page.locator(".editor").getByLabel("Name").fill("Paint the gate");
    await b.page.locator(".editor").getByLabel("Data (a JSON object)").fill('{"colour": "red"}');
    await shot(b, "editor-1440-light");
    await b.page.locator(".editor").getByRole("button", { name: "Save" }).click();
    await a.row("Paint the gate").waitFor();
    await a.row("colour: red").waitFor();
    assert.equal(await a.row("priority").count(), 0);
    assert.deepEqual((await listed(server))[0].data, { colour: "red" });
    assert.equal(await b.page.evaluate(() => document.activeElement.textContent), "Edit");
  });

  test("a status chosen in one page appears in the other, and can be filtered by", async () => {
    await item("Paint the fence");
    await item("Mow the lawn");
    await a.row("Paint the fence").getByLabel("Status of Paint the fence").selectOption("done");
    await b.page.locator('.row[data-status="done"]', { hasText: "Paint the fence" }).waitFor();
    await b.page.getByLabel("Done 1").check();
    await b.row("Mow the lawn").waitFor({ state: "detached" });
    assert.equal(await b.page.locator(".row").count(), 1);
    await b.page.getByLabel("All 2").check();
    await b.page.getByLabel("Search items").fill("LAWN");
    await b.row("Paint the fence").waitFor({ state: "detached" });
    await b.page.getByLabel("Search items").press("Escape");
    await b.row("Paint the fence").waitFor();
  });

  test("a delete in one page empties the other", async () => {
    await item("Paint the fence");
    await a.row("Paint the fence").getByRole("button", { name: "Delete: Paint the fence" }).click();
    await a.row("Paint the fence").getByRole("button", { name: "Delete for good: Paint the fence" }).click();
    await both((watched) => watched.row("Paint the fence").waitFor({ state: "detached" }));
    assert.deepEqual(await listed(server), []);
  });

  test("an item that somebody else inserts appears in both pages", async () => {
    const row = await item("From elsewhere", { status: "active", data: { by: "curl" } });
    await both((watched) => watched.page.locator(`.row[data-id="${row.id}"][data-status="active"]`).waitFor());
  });

  test("a name that is refused is explained at its field", async () => {
    a.allow(/status of 422/);
    await a.page.getByRole("button", { name: "Add item" }).click();
    const input = a.page.getByLabel("Name", { exact: true });
    await a.page.locator("#new-name-error").waitFor();
    assert.match(await a.page.locator("#new-name-error").textContent(), /^Name has /);
    assert.equal(await input.getAttribute("aria-invalid"), "true");
    assert.equal(await input.getAttribute("aria-describedby"), "new-name-error");
    await until("the field has the focus", () => input.evaluate((element) => element === document.activeElement));
    await shot(a, "invalid-1440-light");
    await add(a, "Valid");
    await b.row("Valid").waitFor();
    assert.equal(await a.page.locator("#new-name-error").count(), 0);
  });

  test("an edit that came second shows what is there now, and saves only when told to", async () => {
    const row = await item("Paint the fence", { description: "green" });
    a.allow(/status of 412/);
    await a.row("Paint the fence").getByRole("button", { name: "Edit: Paint the fence" }).click();
    const editor = a.page.locator(".editor");
    await editor.getByLabel("Name").fill("Mine");
    await change(row, { name: "Theirs", description: "blue" });
    await editor.getByText("Somebody else changed this item just now").waitFor();
    await editor.getByRole("button", { name: "Save" }).click();
    await editor.getByText("Not saved: somebody else changed this item.").waitFor();
    assert.match(await editor.locator(".conflict").textContent(), /version 2.*Theirs.*Mine/);
    assert.equal(await editor.getByLabel("Description").inputValue(), "blue");
    await shot(a, "conflict-1440-light");
    await editor.getByRole("button", { name: "Save mine" }).click();
    await b.row("Mine").waitFor();
    const [saved] = await listed(server);
    assert.deepEqual([saved.name, saved.description, saved.version], ["Mine", "blue", 3]);
  });

  test("a status or a delete that came second is not done, and says so in the row", async () => {
    const row = await item("Paint the fence");
    a.allow(/status of 412/);
    // Somebody else is faster between the click and the server: the request leaves with the version that was shown.
    let current = row;
    await a.page.route("**/api/items/*", async (route) => {
      if (route.request().method() !== "GET" && current === row) current = await change(row, { name: "Paint the gate" });
      await route.continue();
    });
    await a.row("Paint the fence").getByLabel("Status of").selectOption("done");
    await a.page.locator(".row-note", { hasText: "somebody else changed this item first" }).waitFor();
    assert.equal((await listed(server))[0].status, "open");
    await shot(a, "row-conflict-1440-light");
    await a.page.getByRole("button", { name: "Do it anyway" }).click();
    await b.page.locator('.row[data-status="done"]', { hasText: "Paint the gate" }).waitFor();
    await a.page.unroute("**/api/items/*");
  });

  test("an item that is deleted while it is edited keeps what was typed", async () => {
    const row = await item("Paint the fence");
    await a.row("Paint the fence").getByRole("button", { name: "Edit: Paint the fence" }).click();
    await a.page.locator(".editor").getByLabel("Name").fill("Paint it anyway");
    await http("DELETE", `/api/items/${row.id}`);
    await a.page.getByText("Somebody else deleted this item.").waitFor();
    await a.page.getByRole("button", { name: "Create it again" }).click();
    await b.row("Paint it anyway").waitFor();
    await a.row("Paint it anyway").waitFor();
    await a.page.locator(".editor").waitFor({ state: "detached" });
    assert.equal(await a.page.locator(".row").count(), 1);
  });

  test("a database that is away is named, and nothing that was typed is lost", async () => {
    a.allow(/status of 503/);
    const problem = { type: "about:blank", title: "Service Unavailable", status: 503, detail: "the database is away" };
    const answer = { status: 503, contentType: "application/problem+json", headers: { "retry-after": "1" }, body: JSON.stringify(problem) };
    await a.page.route("**/api/items", (route) => route.fulfill(answer));
    await add(a, "Kept");
    await a.page.getByText("The database is away. Nothing was saved").waitFor();
    assert.equal(await a.page.getByLabel("Name", { exact: true }).inputValue(), "Kept");
    await shot(a, "away-1440-light");
    await a.page.unroute("**/api/items");
    await a.page.getByRole("button", { name: "Add item" }).click();
    await b.row("Kept").waitFor();
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

  test("everything can be done with the keyboard alone", async () => {
    await a.page.getByLabel("Name", { exact: true }).focus();
    await a.page.keyboard.type("By keyboard");
    await a.page.keyboard.press("Enter");
    await a.row("By keyboard").waitFor();
    await a.page.getByRole("button", { name: "Edit: By keyboard" }).focus();
    await a.page.keyboard.press("Enter");
    await until("the editor has the focus", () => a.page.evaluate(() => document.activeElement.closest(".editor") !== null));
    await a.page.keyboard.type("Renamed");
    await a.page.keyboard.press("Control+Enter");
    await b.row("Renamed").waitFor();
    await until("the focus is back", () => a.page.evaluate(() => document.activeElement.textContent === "Edit"));
    await a.page.keyboard.press("Tab");
    await a.page.keyboard.press("Enter");
    await until("it asks", () => a.page.evaluate(() => document.activeElement.classList.contains("confirm")));
    await a.page.keyboard.press("Enter");
    await b.row("Renamed").waitFor({ state: "detached" });
    assert.equal(await a.page.evaluate(() => document.activeElement.id), "new-name", "the focus is not thrown to the top");
    await a.page.evaluate(() => document.activeElement.blur());
    await a.page.keyboard.press("/");
    assert.equal(await a.page.evaluate(() => document.activeElement.type), "search");
    await a.page.keyboard.press("Escape");
  });

  test("every control has a name for a screen reader", async () => {
    await item("Paint the fence");
    await a.row("Paint the fence").waitFor();
    await a.page.getByRole("button", { name: "+ Details" }).click();
    const nameless = await a.page.$$eval("input, select, textarea, button", (controls) =>
      controls.filter((control) => !(control.labels?.length || control.ariaLabel || control.textContent.trim())).map((control) => control.outerHTML),
    );
    assert.deepEqual(nameless, []);
    await a.page.getByRole("button", { name: "− Details" }).click();
  });

  test("what changes while the list is loading wins over the list", async () => {
    const [, changed, deleted] = [await item("Kept"), await item("Old name"), await item("Deleted")];
    let release;
    const released = new Promise((resolve) => (release = resolve));
    let asked;
    const asking = new Promise((resolve) => (asked = resolve));
    let arrived = 0;
    const late = await Watched.open(browser, server.url, { viewport: WIDE }, async (page) => {
      page.on("websocket", (socket) =>
        socket.on("framereceived", ({ payload }) => {
          const message = JSON.parse(payload);
          if (message.type === "changes") arrived += message.changes.length;
        }),
      );
      await page.route("**/api/items?*", async (route) => {
        const response = await route.fetch();
        asked();
        await released;
        await route.fulfill({ response });
      });
    });
    await asking;
    await change(changed, { name: "New name" });
    await http("DELETE", `/api/items/${deleted.id}`);
    await item("Added");
    await until("the changes are there before the list", () => arrived >= 3);
    assert.equal(await late.page.locator(".row").count(), 0, "no half state is shown");
    release();
    await late.state("live");
    assert.deepEqual((await late.rows()).map(({ name }) => name), ["Added", "New name", "Kept"]);
    assert.deepEqual(late.faults(), []);
    await late.context.close();
  });

  test("a row that changes is young at once", async () => {
    const row = await item("Paint the fence");
    const old = await Watched.open(browser, server.url, { viewport: WIDE }, (page) =>
      page.route("**/api/items?*", async (route) => {
        const response = await route.fetch();
        const listing = await response.json();
        for (const listed of listing.items) listed.updated_at = new Date(Date.now() - 90 * 60_000).toISOString();
        await route.fulfill({ response, json: listing });
      }),
    );
    await old.row("1 h ago").waitFor();
    await change(row, { status: "done" });
    await old.page.locator('.row[data-status="done"]').waitFor();
    assert.match(await old.row("Paint the fence").textContent(), /just now/);
    assert.deepEqual(old.faults(), []);
    await old.context.close();
  });

  test("pages work under a path of a reverse proxy", async () => {
    const proxy = await proxyUnder("/tools/plank/", server.url);
    const prefixed = await Watched.open(browser, proxy.url, { viewport: WIDE });
    try {
      await prefixed.state("live");
      await add(prefixed, "Through the proxy");
      await a.row("Through the proxy").waitFor();
      await prefixed.row("Through the proxy").waitFor();
      assert.deepEqual(prefixed.faults(), []);
    } finally {
      await prefixed.context.close();
      proxy.close();
    }
  });

  test("a server that is killed and comes back leaves no page behind", async () => {
    for (let at = 0; at < 5; at += 1) await item(`Before ${at}`);
    await both((watched) => watched.row("Before 4").waitFor());
    await both((watched) => watched.page.evaluate(() => (window.not_reloaded = true)));
    await both((watched) => watched.allow(/ERR_CONNECTION|ERR_EMPTY_RESPONSE|ERR_INCOMPLETE|ERR_SOCKET|WebSocket connection to .* failed|status of 503/));

    const writing = write("while", 1000).catch(() => "cut off");
    await until("somebody is writing", async () => (await a.page.locator(".row", { hasText: "while" }).count()) > 3);
    await server.kill();
    assert.equal(await writing, "cut off");
    await both((watched) => watched.state("reconnecting", "offline"));
    await shot(a, "reconnecting-1440-light");
    await b.page.setViewportSize(NARROW);
    await shot(b, "reconnecting-390-light");
    await b.page.setViewportSize(WIDE);
    await server.start();
    await write("after", 20);

    await both((watched) => watched.state("live"));
    const expected = (await listed(server)).map(({ id, name, status, version }) => ({ id, name, status, version }));
    assert.ok(expected.some(({ name }) => name.startsWith("after")));
    for (const watched of [a, b]) {
      await until("the page shows what the server lists", async () => JSON.stringify(await watched.rows()) === JSON.stringify(expected)).catch(async () =>
        assert.deepEqual(await watched.rows(), expected),
      );
      assert.equal(await watched.page.evaluate(() => window.not_reloaded), true);
    }
  });

  /** Inserts, changes and deletes, so that a page that was away has all of them to catch up with. */
  async function write(name, count) {
    for (let at = 0; at < count; at += 1) {
      const row = await item(`${name} ${at}`);
      if (at % 3 === 1) await change(row, { status: "done" });
      if (at % 3 === 2) await http("DELETE", `/api/items/${row.id}`);
    }
  }

  test("no view is wider than its screen, with no, few and many rows, in both themes", () => checkViews({ server, browser, shots: SHOTS }));
}
