/**
 * 1,000 changes per second for half a minute on an open board, and 100,000 rows in it: the page answers meanwhile, its
 * memory does not grow, and in the end it shows what the table has.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { chromium } from "playwright-core";
import { Psql } from "./cutting.mjs";
import { CHROMIUM, CHROMIUM_ARGS, missing, Server, until, Watched, WIDE } from "./support.mjs";

const ROWS = 100_000;
const SECONDS = Number(process.env.LOAD_SECONDS ?? 30);
const CHANGES_PER_S = 1_000;
/** Statements in a second, each a transaction of its own. */
const STATEMENTS_PER_S = 50;
/** Of the time, so much may the page be deaf: two processors that also run the database and the browser are slow. */
const DEAF_MAX = 0.2;
const TASK_MAX_MS = 1_000;
const HEAP_GROWTH_MAX = 1.5;

const reason = missing();
if (reason) {
  console.log(`skipped: the test of load, because there is ${reason}`);
  test("the browser tests can run", { skip: process.env.CI === "true" ? false : reason }, () => assert.fail(reason));
} else {
  describe("load", { timeout: 180_000 }, suite);
}

function suite() {
  let server;
  let browser;
  let psql;
  let page;
  let watched;
  let devtools;

  before(async () => {
    server = await Server.start();
    psql = new Psql(server.database_url);
    await psql.run(`insert into items (name, status) select 'Item ' || i, (array['open', 'active', 'done'])[1 + i % 3] from generate_series(1, ${ROWS}) i`);
    browser = await chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_ARGS });
    watched = await Watched.open(browser, `${server.url}/#/board`, { viewport: WIDE });
    page = watched.page;
    devtools = await watched.context.newCDPSession(page);
  });

  after(async () => {
    psql?.stop();
    await browser?.close();
    await server?.stop();
  });

  const heap = async () => {
    await devtools.send("HeapProfiler.collectGarbage");
    const { usedSize } = await devtools.send("Runtime.getHeapUsage");
    return usedSize;
  };
  const counts = async () => JSON.parse(await psql.run("select coalesce(json_object_agg(status, n), '{}') from (select status, count(*) n from items group by 1) t"));
  const shown = () =>
    page.$$eval(".column", (columns) => Object.fromEntries(columns.map((column) => [column.dataset.status, Number(column.querySelector("h2 b").textContent.replace(/\D/g, ""))])));
  const settled = async () => {
    await until("the columns have as many rows as the table", async () => JSON.stringify(Object.entries(await shown()).sort()) === JSON.stringify(Object.entries(await counts()).sort()), 30_000);
  };

  test(`${ROWS.toLocaleString("en")} rows are drawn as far as they are seen, down to the last one`, async () => {
    await watched.state("live");
    await settled();
    assert.ok((await page.locator(".card").count()) < 150);
    const open = page.locator('.column[data-status="open"]');
    await open.locator(".card-main").first().focus();
    await page.keyboard.press("End");
    await until("the oldest has the focus", () => page.evaluate(() => document.activeElement.closest(".card")?.dataset.id === "3"));
    await page.keyboard.press("PageUp");
    await until("one a page above has it", () => page.evaluate(() => Number(document.activeElement.closest(".card").dataset.id) > 3));
    await page.keyboard.press("Home");
    await until("the newest has it", () => page.evaluate((rows) => Number(document.activeElement.closest(".card").dataset.id) > rows - 3, ROWS));
    // And keeps it: the card that had it is not drawn any more.
    await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
    assert.ok(await page.evaluate((rows) => Number(document.activeElement.closest(".card")?.dataset.id) > rows - 3, ROWS));
  });

  test(`${CHANGES_PER_S} changes per second for ${SECONDS} s`, async () => {
    await page.evaluate(() => {
      window.tasks = [];
      new PerformanceObserver((list) => window.tasks.push(...list.getEntries().map(({ duration }) => duration))).observe({ type: "longtask" });
    });
    const before_it = await heap();
    const began_at = Date.now();
    const each = CHANGES_PER_S / STATEMENTS_PER_S;
    const waits_ms = [];
    let at = 0;
    const writing = (async () => {
      for (let round = 0; round < SECONDS * STATEMENTS_PER_S; round += 1) {
        // Half are moves, a quarter renames, a quarter rows that come and go.
        const quarter = each / 4;
        await psql.run(`update items set status = (array['open', 'active', 'done'])[1 + (id + ${round}) % 3], version = version + 1 where id between ${ROWS - ((at += 10) % 5000)} - ${quarter * 2 - 1} and ${ROWS - (at % 5000)};
          update items set name = 'Renamed ${round}', version = version + 1 where id between ${at % 5000} and ${(at % 5000) + quarter - 1};
          with gone as (delete from items where name like 'Guest %' and ${round % 2} = 1) insert into items (name) select 'Guest ' || i from generate_series(1, ${quarter * 2}) i where ${round % 2} = 0`);
        const due_ms = began_at + ((round + 1) * 1_000) / STATEMENTS_PER_S - Date.now();
        if (due_ms > 0) await delay(due_ms);
      }
    })();
    let is_over = false;
    writing.finally(() => (is_over = true)).catch(() => {});
    // A user uses the page meanwhile: how long it takes to answer.
    while (!is_over) {
      const asked_at = Date.now();
      await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => resolve())));
      waits_ms.push(Date.now() - asked_at);
      await delay(200);
    }
    await writing;
    const seconds = (Date.now() - began_at) / 1000;
    await settled();
    const tasks_ms = await page.evaluate(() => window.tasks);
    const after_it = await heap();
    const long_ms = tasks_ms.reduce((sum, duration) => sum + duration, 0);
    waits_ms.sort((x, y) => x - y);
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    const changes = [...metrics.matchAll(/^plank_changes_total\{.*\} (\d+)/gm)].reduce((sum, [, count]) => sum + Number(count), 0) - ROWS;
    console.log(
      `${Math.round(changes / seconds)} changes/s for ${seconds.toFixed(1)} s: ${tasks_ms.length} long tasks, ${Math.round(long_ms)} ms in all, longest ${Math.round(Math.max(0, ...tasks_ms))} ms; ` +
        `frames after ${waits_ms[waits_ms.length >> 1]} ms (median), ${waits_ms.at(-1)} ms (longest); heap ${(before_it / 2 ** 20).toFixed(1)} -> ${(after_it / 2 ** 20).toFixed(1)} MiB`,
    );
    assert.ok(changes / seconds > CHANGES_PER_S * 0.7, `only ${changes} changes in ${seconds} s`);
    assert.ok(long_ms / 1000 < seconds * DEAF_MAX, `long tasks of ${long_ms} ms in ${seconds} s`);
    assert.ok(Math.max(0, ...tasks_ms) < TASK_MAX_MS, `a task of ${Math.max(...tasks_ms)} ms`);
    assert.ok(after_it < before_it * HEAP_GROWTH_MAX, `the heap grew from ${before_it} to ${after_it} bytes`);
    const first = await page.$$eval('.column[data-status="done"] .card', (cards) => cards.map(({ dataset }) => [Number(dataset.id), Number(dataset.version)]));
    const expected = (await psql.rows(`select id, version from items where status = 'done' order by id desc limit ${first.length}`)).map((line) => Object.values(JSON.parse(line)));
    assert.deepEqual(first.sort((x, y) => y[0] - x[0]), expected);
    assert.deepEqual(watched.faults(), []);
  });
}
