/** What these tests stand on: a plank with a table, the browser, and a page that is bundled as a program of its users would be. */
import { execFile } from "node:child_process";
import http from "node:http";
import { after } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";
import { chromium } from "playwright-core";
import { CHROMIUM, CHROMIUM_ARGS, Server, until } from "../../../tests/browser/support.mjs";

export { Server, until };
export const run = promisify(execFile);
export const HERE = fileURLToPath(new URL(".", import.meta.url));

const ends = [];
// Of the file: one that is registered within a hook runs at the end of the hook.
after(async () => {
  for (const end of ends.reverse()) await end();
});

/** A plank whose table `name` may be written. It ends with the test's file. */
export async function plankWith(sql, ...flags) {
  const server = await Server.start(...flags);
  ends.push(() => server.stop());
  const database = server.database_url;
  server.sql = async (text) => (await run("psql", ["-XqAt", "-v", "ON_ERROR_STOP=1", database, "-c", text])).stdout.trim();
  await server.sql(sql);
  return server;
}

/** Until plank knows that `table` may be written. */
export const known = (server, table) =>
  until(`${table} may be written`, async () => {
    const response = await fetch(`${server.url}/rest/${table}`, { method: "PATCH", headers: { "content-type": "application/json" }, body: "{}" });
    return ![403, 404, 405].includes(response.status);
  });

/** The text of a module and all that it imports; `alias` replaces packages. */
export async function bundle(entry, options = {}) {
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: "esm",
    logLevel: "error",
    define: { "process.env.NODE_ENV": '"development"' },
    outdir: "out",
    ...options,
  });
  return outputFiles[0].text;
}

let browser;
export async function page() {
  if (!browser) {
    browser = await chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_ARGS });
    ends.push(() => browser.close());
  }
  return browser.newPage();
}

/** A site with one page, whose script is `script`; an origin of its own. */
export async function site(script, port = 0, html = () => "") {
  const server = http.createServer(({ url }, response) => {
    const is_script = url === "/page.js";
    response.writeHead(200, { "content-type": is_script ? "text/javascript" : "text/html" });
    response.end(is_script ? script() : `<!doctype html><div id="root">${html()}</div><script type="module" src="/page.js"></script>`);
  });
  await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  ends.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${server.address().port}`;
}
