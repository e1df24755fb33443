/**
 * The shop's own server: the page, a log-in without a password, and tokens for plank. It knows nothing of orders: the page reads and writes them
 * through plank. node server.mjs PORT SECRET_FILE
 */
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

const [port, secret_file] = process.argv.slice(2);
const secret = readFileSync(secret_file, "utf8").trimEnd();
const TOKEN_S = 600;
const FILES = { "/": ["index.html", "text/html; charset=utf-8"], "/app.js": ["app.js", "text/javascript"] };

const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

function tokenFor(user) {
  const body = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub: user, role: "customer", exp: Math.floor(Date.now() / 1000) + TOKEN_S })}`;
  return `${body}.${createHmac("sha256", secret).update(body).digest("base64url")}`;
}

const server = createServer(({ url, headers }, response) => {
  const { pathname, searchParams } = new URL(url, "http://shop");
  const user = headers.cookie?.match(/(?:^|; )user=([a-z]+)/)?.[1];
  if (pathname === "/login" && /^[a-z]+$/.test(searchParams.get("user") ?? "")) {
    response.writeHead(303, { location: "/", "set-cookie": `user=${searchParams.get("user")}; HttpOnly; SameSite=Strict; Path=/` }).end();
  } else if (pathname === "/token") {
    if (user) response.writeHead(200, { "content-type": "text/plain", "cache-control": "no-store" }).end(tokenFor(user));
    else response.writeHead(401).end();
  } else if (pathname === "/me") {
    response.writeHead(200, { "content-type": "text/plain" }).end(user ?? "");
  } else if (pathname in FILES) {
    const [name, type] = FILES[pathname];
    response.writeHead(200, { "content-type": type }).end(readFileSync(new URL(`web/${name}`, import.meta.url)));
  } else response.writeHead(404).end();
});
server.listen(Number(port), "127.0.0.1", () => console.log(`the shop is at http://127.0.0.1:${port}`));
