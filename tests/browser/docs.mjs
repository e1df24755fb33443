/** `/docs` in a real Chromium against the real binary: it shows what openapi.json says, and sends what it shows. */
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { chromium } from "playwright-core";
import { call, CHROMIUM, CHROMIUM_ARGS, missing, proxyUnder, Server, Watched, WIDE } from "./support.mjs";
import { look } from "./views.mjs";

const SHOTS = process.env.SCREENSHOTS;
/** As narrow as phones are. */
const PHONE = { width: 360, height: 740 };

const reason = missing();
if (reason) {
  console.log(`skipped: the browser tests of /docs, because there is ${reason}`);
  test("the browser tests can run", { skip: process.env.CI === "true" ? false : reason }, () => assert.fail(reason));
} else {
  describe("docs", { timeout: 120_000 }, suite);
}

function suite() {
  let server;
  let browser;
  let api;

  const open = async (url, options) => {
    const watched = await Watched.open(browser, url, options);
    await watched.page.locator(".operation").first().waitFor();
    return watched;
  };
  const shown = ({ page }) => page.$$eval(".operation", (all) => all.map(({ dataset }) => dataset.route));
  const documented = () => Object.entries(api.paths).flatMap(([path, item]) => Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`));

  before(async () => {
    if (SHOTS) await mkdir(SHOTS, { recursive: true });
    server = await Server.start();
    browser = await chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_ARGS });
    api = await call(server, "GET", "/openapi.json");
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  test("every route of the document is there, with its parameters and answers", async () => {
    const docs = await open(`${server.url}/docs`, { viewport: WIDE });
    assert.deepEqual((await shown(docs)).sort(), documented().sort());
    assert.ok(documented().length >= 18);
    for (const item of Object.values(api.paths)) {
      for (const operation of Object.values(item)) {
        const article = docs.page.locator(`[id="${operation.operationId}"]`);
        const text = await article.textContent();
        for (const one of operation.parameters ?? []) {
          const { name } = one.$ref ? api.components.parameters[one.$ref.split("/").pop()] : one;
          assert.ok(text.includes(name), `${operation.operationId}: ${name}`);
        }
        const codes = await article.locator(".status-code").allTextContents();
        assert.deepEqual(codes, Object.keys(operation.responses), operation.operationId);
        assert.equal(await docs.page.locator(`nav a[href="#${operation.operationId}"]`).count(), 1);
      }
    }
    assert.deepEqual(docs.faults(), []);
    await docs.context.close();
  });

  test("the page is under the same policy as the dashboard", async () => {
    const policy = async (path) => (await fetch(server.url + path)).headers.get("content-security-policy");
    assert.equal(await policy("/docs"), await policy("/"));
    assert.match(await policy("/docs"), /^default-src 'none';/);
  });

  test("a form changes the command, and what it sends is answered", async () => {
    const { id } = await call(server, "POST", "/api/items", { name: "Ann's plank", data: { price: 1.5 } });
    const docs = await open(`${server.url}/docs`, { viewport: WIDE });
    const list = docs.page.locator("#list");
    await list.getByText("Try it").click();
    await list.getByLabel("filter", { exact: true }).fill("name=eq.Ann's plank");
    const command = await list.locator(".command code").textContent();
    assert.ok(command.startsWith(`curl '${server.url}/api/items?name=eq.Ann%27s`), command);
    await list.getByRole("button", { name: "Send" }).click();
    await list.locator(".outcome").waitFor();
    assert.match(await list.locator(".outcome").textContent(), /^200 OK/);
    const answer = await list.locator(".answer > pre").textContent();
    assert.equal(JSON.parse(answer).items[0].id, id);

    await list.getByLabel("limit", { exact: true }).fill("0");
    docs.allow(/400 \(Bad Request\)/);
    await list.getByRole("button", { name: "Send" }).click();
    await list.locator(".outcome", { hasText: "400" }).waitFor();
    assert.match(await list.locator(".answer > pre").textContent(), /"field": "limit"/);
    assert.deepEqual(docs.faults(), []);
    await docs.context.close();
  });

  test("a filter has a field of its own, and is sent as it stands in an address", async () => {
    const { id } = await call(server, "POST", "/api/items", { name: "felt, red", data: {} });
    const docs = await open(`${server.url}/docs`, { viewport: WIDE });
    const rows = docs.page.locator("#rows");
    await rows.getByText("Try it").click();
    const field = rows.getByLabel("filter", { exact: true });
    assert.equal(await field.getAttribute("placeholder"), "or=(id.gt.100,name.like.a*)&status=eq.open");
    await field.fill('status=eq.open&or=(name.eq."felt, red",id.lt.0)');
    await rows.getByRole("button", { name: "Send" }).click();
    await rows.locator(".outcome").waitFor();
    assert.deepEqual(JSON.parse(await rows.locator(".answer > pre").textContent()).rows.map((row) => row.id), [id]);
    assert.match(await docs.page.locator("#stream .command code").textContent(), /^curl -N '/);
    if (SHOTS) await rows.screenshot({ path: `${SHOTS}/rows.png` });
    if (SHOTS) await docs.page.locator("#stream").screenshot({ path: `${SHOTS}/stream.png` });
    assert.deepEqual(docs.faults(), []);
    await docs.context.close();
  });

  test("a number keeps its digits", async () => {
    const body = '{"name":"precise","data":{"n":12345678901234567890.10}}';
    const made = await fetch(`${server.url}/api/items`, { method: "POST", headers: { "content-type": "application/json" }, body });
    const { id } = await made.json();
    const docs = await open(`${server.url}/docs`, { viewport: WIDE });
    const read = docs.page.locator("#read");
    await read.getByText("Try it").click();
    await read.getByLabel(/^id/).fill(String(id));
    await read.getByRole("button", { name: "Send" }).click();
    await read.locator(".outcome").waitFor();
    assert.match(await read.locator(".answer > pre").textContent(), /"n": 12345678901234567890\.10\n/);
    assert.deepEqual(docs.faults(), []);
    await docs.context.close();
  });

  test("every control has a name, and the keyboard gets past the list of routes", async () => {
    const docs = await open(`${server.url}/docs`, { viewport: WIDE });
    const nameless = await docs.page.$$eval("input, select, button, summary, pre", (controls) =>
      controls.filter((control) => !(control.labels?.length || control.ariaLabel || control.textContent.trim())).map((control) => control.outerHTML),
    );
    assert.deepEqual(nameless, []);
    const twice = await docs.page.$$eval("[id]", (all) => all.map(({ id }) => id).filter((id, at, ids) => ids.indexOf(id) !== at));
    assert.deepEqual(twice, []);
    await docs.page.keyboard.press("Tab");
    assert.equal(await docs.page.evaluate(() => document.activeElement.textContent), "Skip to the routes");
    await docs.page.keyboard.press("Enter");
    await docs.page.keyboard.press("Tab");
    const place = await docs.page.evaluate(() => document.activeElement.closest("main, nav, header")?.tagName);
    assert.equal(place, "MAIN");
    assert.deepEqual(docs.faults(), []);
    await docs.context.close();
  });

  test("no view is wider than its screen, with everything open, in both themes", async () => {
    for (const colorScheme of ["light", "dark"]) {
      for (const viewport of [WIDE, PHONE]) {
        const docs = await open(`${server.url}/docs`, { viewport, colorScheme });
        await look(docs, `docs-${viewport.width}-${colorScheme}`, SHOTS);
        await docs.page.$$eval("details", (all) => all.forEach((details) => (details.open = true)));
        await look(docs, `docs-${viewport.width}-${colorScheme}-open`, SHOTS);
        assert.deepEqual(docs.faults(), []);
        await docs.context.close();
      }
    }
  });

  test("it works under a path of a reverse proxy, and the dashboard leads there", async () => {
    const proxy = await proxyUnder("/tools/plank/", server.url);
    const docs = await Watched.open(browser, proxy.url, { viewport: WIDE });
    try {
      await docs.page.getByRole("link", { name: "HTTP API" }).click();
      await docs.page.locator("#livez").waitFor();
      assert.equal(await docs.page.locator("#livez .command code").textContent(), `curl ${proxy.url}livez`);
      await docs.page.locator("#livez").getByText("Try it").click();
      await docs.page.locator("#livez").getByRole("button", { name: "Send" }).click();
      await docs.page.locator("#livez .outcome", { hasText: "200 OK" }).waitFor();
      assert.deepEqual(docs.faults(), []);
    } finally {
      await docs.context.close();
      proxy.close();
    }
  });

  test("a document that can't be loaded is said", async () => {
    const refuse = (page) => page.route("**/openapi.json", (route) => route.fulfill({ status: 503 }));
    const docs = await Watched.open(browser, `${server.url}/docs`, {}, refuse);
    await docs.page.getByRole("alert").filter({ hasText: "the server answered 503" }).waitFor();
    docs.allow(/503/);
    assert.deepEqual(docs.faults(), []);
    await docs.context.close();
  });
}
