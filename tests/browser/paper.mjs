/**
 * What the tests without a browser stand on: the page's own modules in Node, and a socket of paper under a clock that
 * the test moves.
 */
import { readFile } from "node:fs/promises";
import { register } from "node:module";
import { mock } from "node:test";

const STATIC = new URL("../../static/", import.meta.url);
export const HEARTBEAT_S = 20;

// Node knows no import map.
const page = await readFile(new URL("index.html", STATIC), "utf8");
const { imports } = JSON.parse(page.match(/<script type="importmap">([^]*?)<\/script>/)[1]);
const mapped = Object.fromEntries(Object.entries(imports).map(([name, path]) => [name, new URL(path, new URL("../", STATIC)).href]));
const hooks = `
  const mapped = ${JSON.stringify(mapped)};
  export const resolve = (name, context, next) => next(mapped[name] ?? name, context);
`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);

/** A module of the page, by its name in static/. */
export const load = (name) => import(new URL(name, STATIC));

/** What the client knows of the browser around it. */
export const network = new EventTarget();
globalThis.addEventListener = network.addEventListener.bind(network);
globalThis.removeEventListener = network.removeEventListener.bind(network);
globalThis.document = Object.assign(new EventTarget(), { visibilityState: "visible", baseURI: "http://plank.test/tools/" });

export function show(visibility) {
  document.visibilityState = visibility;
  document.dispatchEvent(new Event("visibilitychange"));
}

/** All sockets that were opened, the newest last. */
export const sockets = [];

export class PaperSocket {
  sent = [];
  closed = false;

  constructor(url) {
    this.url = url;
    sockets.push(this);
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.closed = true;
  }

  /** The server says something. */
  say(message) {
    this.onmessage?.({ data: JSON.stringify(message) });
  }

  /** The network or the server ends it. */
  cut(code = 1006, reason = "") {
    this.onclose?.({ code, reason });
  }
}

export const newest = () => sockets.at(-1);
export const settle = () => new Promise(setImmediate);
/** The handshake is done, and the server greets. */
export function welcome() {
  newest().onopen?.();
  newest().say({ type: "welcome", protocol: "plank.v1", server: "plank/test", heartbeat_s: HEARTBEAT_S });
}
export const subscribed = (id, topic = "t1", cursor = "c0") =>
  newest().say({ type: "subscribed", id, topic, table: "public.items", key: ["id"], cursor });
/** It has caught up. */
export const pong = (id) => newest().say({ type: "pong", id });
export const reset = (id, reason) => newest().say({ type: "reset", id, reason });
export const say = (changes, last, cursor = "c1") => newest().say({ type: "changes", topic: "t1", cursor, last, changes });
export const changes = (ids, last, cursor) => say(ids.map((id) => ({ op: "insert", key: { id }, row: { id } })), last, cursor);

/** A `fetch` that finds no server. */
export const nobody = () => Promise.reject(new TypeError("there is no server"));

/** Promises and imports run, the clock stands. */
export async function eventually(what, condition) {
  for (const end = performance.now() + 5_000; !condition(); await settle()) {
    if (performance.now() > end) throw new Error(`not within 5 s: ${what}`);
  }
}

/** The server has been asked why a WebSocket failed. */
export async function judged() {
  for (let turn = 0; turn < 5; turn += 1) await settle();
  // The client imports it too, and was first.
  await load("stream.js");
  await settle();
}

/** Stops the clock, and forgets the sockets of the test before. */
export function begin() {
  sockets.length = 0;
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"], now: 1_000_000 });
}

/** Time passes in steps: a mocked clock shows a timer the end of its step, as a machine that slept does. */
export function pass(time_ms) {
  const step_ms = 250;
  for (let left_ms = time_ms; left_ms > 0; left_ms -= step_ms) mock.timers.tick(Math.min(step_ms, left_ms));
}

export const sleep = (time_ms) => mock.timers.tick(time_ms);
