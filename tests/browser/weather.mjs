/**
 * The clients of `make weather` that run plank.js: `node weather.mjs URL COUNT`, and one in a page of Chromium where there is one.
 * Commands come as lines of JSON on standard input: `start`, `shift` (their clocks, by milliseconds from what they would be) and
 * `report`. Each is answered with a line.
 */
import { createInterface } from "node:readline";
import { connect } from "../../static/plank.js";

const [url, count] = process.argv.slice(2);
const clients = [];
let page = null;

/** Makes the clock of this place one that can be shifted. Also runs in the page. */
function bend() {
  const True = Date;
  globalThis.shift_ms = 0;
  globalThis.Date = class extends True {
    constructor(...parts) {
      super(...(parts.length ? parts : [True.now() + globalThis.shift_ms]));
    }

    static now() {
      return True.now() + globalThis.shift_ms;
    }
  };
}

/** What a client has. */
function tell({ client, items }) {
  return { state: { ...client.state, live: items.live }, rows: [...items.rows.values()].map(({ id, version }) => [id, version]) };
}

/** A page, or why there is none. */
async function open() {
  try {
    const { chromium } = await import("playwright-core");
    const { CHROMIUM, CHROMIUM_ARGS } = await import("./support.mjs");
    if (!CHROMIUM) return "there is none";
    const browser = await chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_ARGS });
    const opened = await browser.newPage();
    // Only for its address: a page of plank itself would have clients of its own.
    await opened.goto(`${url}/livez`);
    await opened.evaluate(`(${bend})()`);
    await opened.evaluate(async () => {
      const { connect } = await import("/static/plank.js");
      const client = connect(new URL("/ws", location.href).href.replace("http", "ws"));
      globalThis.own = { client, items: client.subscribe({ table: "items", snapshot: true }) };
    });
    page = opened;
    return "one page";
  } catch (error) {
    return `none: ${error.message.split("\n")[0]}`;
  }
}

const commands = {
  async start() {
    const chromium = await open();
    for (let n = 0; n < Number(count); n += 1) {
      const client = connect(`${url.replace("http", "ws")}/ws`);
      clients.push({ client, items: client.subscribe({ table: "items", snapshot: true }) });
    }
    return { node: clients.length, chromium };
  },

  async shift({ ms }) {
    globalThis.shift_ms = ms;
    await page?.evaluate((shift) => void (globalThis.shift_ms = shift), ms);
    return {};
  },

  async report() {
    const all = clients.map(tell);
    if (page) all.push(await page.evaluate(`(${tell})(globalThis.own)`));
    return { clients: all };
  },
};

bend();
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  process.stdout.write(`${JSON.stringify(await commands[command.type](command))}\n`);
}
process.exit();
