/**
 * What the browser tests stand on: the real binary on its own data directory, two real pages that keep a record of
 * everything that should never happen, and a proxy that serves plank under a path.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { chmod, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import http from "node:http";
import net from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";

export const PLANK_BIN = process.env.PLANK_BIN ?? fileURLToPath(new URL("../../target/debug/plank", import.meta.url));
export const CHROMIUM = process.env.CHROMIUM ?? inPath("chromium", "chromium-browser", "google-chrome");

const AXE_FILE = new URL("node_modules/axe-core/axe.min.js", import.meta.url);
const AXE = existsSync(AXE_FILE) ? readFileSync(AXE_FILE, "utf8") : "";

const READY_MAX_MS = 60_000;
const STOP_MAX_MS = 30_000;
/** How much of the server's log is kept for a failure's message. */
const LOG_MAX_CHARS = 20_000;

export const CHROMIUM_ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export const WIDE = { width: 1440, height: 900 };
export const NARROW = { width: 390, height: 844 };

/** The first of these programs that PATH leads to, or null. */
function inPath(...names) {
  const dirs = (process.env.PATH ?? "").split(delimiter).filter(Boolean);
  return names.flatMap((name) => dirs.map((dir) => join(dir, name))).find((path) => existsSync(path)) ?? null;
}

/** Why the tests can't run here, or null. */
export function missing() {
  if (!CHROMIUM || !existsSync(CHROMIUM)) return `no Chromium${CHROMIUM ? ` at ${CHROMIUM}` : ""} (set CHROMIUM)`;
  if (!existsSync(PLANK_BIN)) return `no plank at ${PLANK_BIN} (build it, or set PLANK_BIN)`;
  return null;
}

/** `plank serve` with a private PostgreSQL in a directory of its own; it can be killed and started again in place. */
export class Server {
  url = "";
  #dir;
  #flags;
  #child = null;
  #log = "";
  #ended = null;

  /** @param flags More of the command line. */
  static async start(...flags) {
    const server = new Server();
    server.#flags = flags;
    server.#dir = await mkdtemp(join(tmpdir(), "plank-browser-"));
    try {
      // As root plank drops to the user postgres for its PostgreSQL, who must get through here.
      await chmod(server.#dir, 0o711);
      await server.start("127.0.0.1:0");
    } catch (error) {
      await server.#clear();
      throw error;
    }
    return server;
  }

  async start(listen = new URL(this.url).host) {
    const environment = { ...process.env };
    // The tests need a table of their own, whatever the shell that runs them points at. Where PostgreSQL is stays.
    for (const name of Object.keys(environment)) {
      if (name === "DATABASE_URL" || (name.startsWith("PLANK_") && name !== "PLANK_PG_BIN")) delete environment[name];
    }
    const child = spawn(PLANK_BIN, ["serve", "--listen", listen, "--data-dir", join(this.#dir, "data"), ...this.#flags], {
      env: environment,
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    this.#ended = new Promise((resolve) => {
      child.once("error", (error) => resolve(error.message));
      child.once("exit", (code, signal) => resolve(signal ?? `code ${code}`));
    });
    child.stderr.setEncoding("utf8").on("data", (text) => (this.#log = (this.#log + text).slice(-LOG_MAX_CHARS)));
    const ready = new Promise((resolve) => {
      let out = "";
      child.stdout.setEncoding("utf8").on("data", (text) => {
        out += text;
        const line = out.match(/^plank is live at (http:\S+)$/m);
        if (line) resolve(line[1]);
      });
    });
    const late = new AbortController();
    const outcome = await Promise.race([
      ready.then((url) => ({ url })),
      this.#ended.then((why) => ({ failure: `plank ended before it was ready (${why})` })),
      delay(READY_MAX_MS, { failure: `plank was not ready within ${READY_MAX_MS / 1000} s` }, { signal: late.signal }).catch(() => {}),
    ]);
    late.abort();
    if (outcome.failure) {
      child.kill("SIGKILL");
      throw new Error(`${outcome.failure}; its log:\n${this.#log}`);
    }
    this.url = outcome.url.replace(/\/$/, "");
  }

  /** Its database, as psql takes it; the log says it. */
  get database_url() {
    return this.#log.match(/private postgresql \S+ pid=\d+ url=(\S+)/)[1];
  }

  async kill() {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }

  /** Ends it as an operator would; it can be started again in place. */
  async end() {
    this.#child.kill("SIGTERM");
    assert.equal(await this.#ended, "code 0");
  }

  /** Ends it as an operator would, and leaves nothing behind: neither processes nor files. */
  async stop() {
    this.#child.kill("SIGTERM");
    const late = new AbortController();
    const is_late = delay(STOP_MAX_MS, true, { signal: late.signal }).catch(() => {});
    const why = await Promise.race([this.#ended, is_late.then(() => "late")]);
    late.abort();
    if (why === "late") this.#child.kill("SIGKILL");
    await this.#clear();
    if (why !== "code 0") throw new Error(`plank did not stop in order (${why}); its log:\n${this.#log}`);
  }

  /** A server that was killed can't stop its PostgreSQL; only processes of our own directory are meant. */
  async #clear() {
    for (const path of await files(this.#dir, "postmaster.pid")) {
      const pid = Number((await readFile(path, "utf8")).split("\n")[0]);
      try {
        if (pid > 1) process.kill(pid, "SIGQUIT");
      } catch {
        // It is gone already, and only its file stayed.
      }
    }
    await rm(this.#dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}

async function files(dir, name) {
  const found = await readdir(dir, { recursive: true }).catch(() => []);
  return found.filter((path) => path.endsWith(name)).map((path) => join(dir, path));
}

/** A request of another user: neither of the pages. */
export async function call(server, method, path, body, headers = {}) {
  const response = await fetch(server.url + path, {
    method,
    headers: body === undefined ? headers : { "content-type": "application/json", ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return text === "" ? null : JSON.parse(text);
}

/** All rows as the server lists them, newest first. */
export async function listed(server) {
  const rows = [];
  let after = null;
  do {
    const query = new URLSearchParams(after === null ? { limit: "200" } : { limit: "200", after });
    const page = await call(server, "GET", `/api/items?${query}`);
    rows.push(...page.items);
    after = page.next ?? null;
  } while (after !== null);
  return rows.sort((a, b) => b.id - a.id);
}

/** Checks again and again, under a deadline; for what no page can be asked to wait for. */
export async function until(what, condition, deadline_ms = 15_000) {
  const end = Date.now() + deadline_ms;
  for (;;) {
    const outcome = await condition();
    if (outcome) return outcome;
    if (Date.now() > end) throw new Error(`not within ${deadline_ms / 1000} s: ${what}`);
    await delay(25);
  }
}

/** A page, and a record of what it must never do. */
export class Watched {
  #faults = [];
  #allowed = [];

  /** @param prepare Gets the page before it loads anything. */
  static async open(browser, url, options = {}, prepare = async () => {}) {
    const watched = new Watched();
    watched.context = await browser.newContext(options);
    watched.page = await watched.context.newPage();
    watched.page.setDefaultTimeout(Number(process.env.WAIT_MS ?? 15_000));
    await watched.page.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI, sourceFile, lineNumber }) =>
        console.error(`content security policy: ${violatedDirective} ${blockedURI} ${sourceFile}:${lineNumber}`),
      );
    });
    watched.#record(new URL(url).host);
    await prepare(watched.page);
    await watched.page.goto(url);
    return watched;
  }

  #record(host) {
    const foreign = (url) => {
      const { protocol, host: to } = new URL(url);
      if (protocol !== "data:" && to !== host) this.#faults.push(`a request left the origin: ${url}`);
    };
    this.page.on("request", (request) => foreign(request.url()));
    this.page.on("websocket", (socket) => foreign(socket.url()));
    this.page.on("pageerror", (error) => this.#faults.push(`an error was thrown: ${error.stack ?? error}`));
    this.page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") this.#faults.push(`${message.text()} (${message.location().url})`);
    });
  }

  /** From now on the browser may log this; it logs every answer of 400 and above by itself. */
  allow(pattern) {
    this.#allowed.push(pattern);
  }

  /** Everything that went wrong since the last call. */
  faults() {
    const faults = this.#faults.filter((fault) => !this.#allowed.some((pattern) => pattern.test(fault)));
    this.#faults = [];
    this.#allowed = [];
    return faults;
  }

  /** The card of an item. */
  card(name) {
    return this.page.locator(".board .card", { hasText: name });
  }

  /** The card, where it is in the column of this status. */
  inColumn(status, name) {
    return this.page.locator(`.column[data-status="${status}"] .card`, { hasText: name });
  }

  /** Waits until the indicator shows one of these states. */
  async state(...states) {
    await this.page.waitForFunction((wanted) => wanted.includes(document.querySelector(".connection")?.dataset.state), states, { timeout: 45_000 });
  }

  /** The cards as the page shows them, newest first; all of them, if there are no more than fit. */
  async cards() {
    const cards = await this.page.$$eval(".board .card", (all) =>
      all.map((card) => ({ id: Number(card.dataset.id), name: card.querySelector(".card-name").textContent, status: card.dataset.status, version: Number(card.dataset.version) })),
    );
    return cards.sort((a, b) => b.id - a.id);
  }

  /** Waits until the page shows exactly these items. */
  async shows(read) {
    const wanted = async () => (await read()).map(({ id, name, status, version }) => ({ id, name, status, version })).sort((a, b) => b.id - a.id);
    await until("the page shows what the table has", async () => isDeepStrictEqual(await this.cards(), await wanted()), 30_000).catch(async () =>
      assert.deepEqual(await this.cards(), await wanted()),
    );
  }

  /** What axe-core finds wrong, in words. */
  async violations() {
    // By the debugger's way, which the page's policy does not bind.
    if (!(await this.page.evaluate(() => "axe" in window))) await this.page.evaluate(AXE);
    return this.page.evaluate(async () => {
      const { violations } = await window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] });
      return violations.flatMap(({ id, help, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${help}\n${html}\n${failureSummary}`));
    });
  }
}

/** Serves `target` under `/some/path/`, as a reverse proxy in front of several programs does. */
export async function proxyUnder(prefix, target) {
  const { hostname, port } = new URL(target);
  const strip = (url) => (url.startsWith(prefix) ? "/" + url.slice(prefix.length) : "/outside-the-prefix");
  const sockets = new Set();
  const proxy = http.createServer((request, response) => {
    const onward = http.request({ hostname, port, method: request.method, path: strip(request.url), headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    onward.on("error", () => response.destroy());
    request.pipe(onward);
  });
  proxy.on("upgrade", (request, socket, head) => {
    const onward = net.connect(Number(port), hostname, () => {
      const headers = request.rawHeaders.reduce((text, part, at) => text + part + (at % 2 ? "\r\n" : ": "), "");
      onward.write(`${request.method} ${strip(request.url)} HTTP/1.1\r\n${headers}\r\n`);
      onward.write(head);
      socket.pipe(onward).pipe(socket);
    });
    onward.on("error", () => socket.destroy());
    socket.on("error", () => onward.destroy());
  });
  proxy.on("connection", (socket) => sockets.add(socket));
  await new Promise((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${proxy.address().port}${prefix}`,
    close: () => {
      sockets.forEach((socket) => socket.destroy());
      proxy.close();
    },
  };
}
