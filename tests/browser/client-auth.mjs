/** plank.js against a socket of paper: the token, when it is asked for, and what a refusal does. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { begin, eventually, load, newest, nobody, PaperSocket, pass, settle, sleep, sockets, subscribed, welcome } from "./paper.mjs";

const { connect } = await load("plank.js");

let client;
/** How often it was asked for a token. */
let asked;

const open = (auth) => (client = connect("ws", { WebSocket: PaperSocket, fetch: nobody, random: () => 1, auth }));
const numbered = () => `t${++asked}`;
const socket = (count) => eventually(`socket ${count}`, () => sockets.length === count);
const tokens = () => newest().sent.filter(({ type }) => type === "auth").map(({ token }) => token);
const authenticated = (lives_ms) => newest().say({ type: "authenticated", sub: "ann", exp: (Date.now() + lives_ms) / 1000 });

beforeEach(() => {
  begin();
  asked = 0;
});

afterEach(() => {
  client.close();
  mock.timers.reset();
});

test("a token is the first message, before anything is subscribed to", () => {
  open("secret");
  client.subscribe({ table: "items" });
  assert.deepEqual(newest().sent, []);
  welcome();
  assert.deepEqual(newest().sent.map(({ type, token }) => [type, token]), [["auth", "secret"], ["subscribe", undefined]]);
  authenticated(1_000);
  pass(20_000);
  assert.deepEqual(tokens(), ["secret"], "the same one again would be of no use");
});

test("a function is asked before each connection, and the connection waits for its answer", async () => {
  let answer;
  open(() => {
    asked += 1;
    return new Promise((resolve) => (answer = resolve));
  });
  await settle();
  assert.deepEqual([sockets.length, client.state.phase], [0, "connecting"]);
  answer("first");
  await socket(1);
  welcome();
  assert.deepEqual(tokens(), ["first"]);
  newest().cut();
  sleep(250);
  await settle();
  answer("second");
  await socket(2);
  welcome();
  assert.deepEqual([tokens(), asked], [["second"], 2]);
});

test("without a token nothing is sent: a cookie may say who it is", async () => {
  open(() => null);
  await socket(1);
  welcome();
  assert.deepEqual(newest().sent, []);
});

test("a function that fails is asked again, with the back-off of a lost connection", async () => {
  open(() => {
    asked += 1;
    throw new Error("the session is gone");
  });
  await eventually("it waits", () => client.state.phase === "waiting");
  assert.deepEqual([sockets.length, client.state.close.reason], [0, "Error: the session is gone"]);
  sleep(250);
  await eventually("it waits again", () => client.state.attempt === 2);
  assert.deepEqual([asked, client.state.retry_at - Date.now()], [2, 500]);
  // No WebSocket was tried, so none is blocked.
  for (const attempt of [3, 4, 5]) {
    sleep(10_000);
    await eventually("it waits", () => client.state.attempt === attempt);
  }
  assert.equal(client.state.transport, "ws");
});

test("a function that does not answer is given up", async () => {
  open(() => new Promise(() => {}));
  pass(10_000);
  assert.equal(client.state.phase, "waiting");
});

test("a client that was closed while it waited for a token opens nothing", async () => {
  let answer;
  open(() => new Promise((resolve) => (answer = resolve)));
  await settle();
  client.close();
  answer("late");
  await settle();
  assert.equal(sockets.length, 0);
});

test("a token is renewed on the same socket: half a minute before its end, or after half of a short life", async () => {
  open(numbered);
  await socket(1);
  welcome();
  authenticated(3_600_000);
  sleep(3_569_999);
  await settle();
  assert.deepEqual(tokens(), ["t1"]);
  newest().say({ type: "pong" });
  sleep(1);
  await eventually("it was renewed", () => tokens().length === 2);
  authenticated(40_000);
  sleep(20_000);
  await eventually("it was renewed", () => tokens().length === 3);
  authenticated(-60_000);
  sleep(4_999);
  await settle();
  assert.deepEqual(tokens(), ["t1", "t2", "t3"], "a clock that is wrong makes no storm");
  sleep(1);
  await eventually("it was renewed", () => tokens().length === 4);
  assert.equal(sockets.length, 1);
});

test("a token that lives for a year is no timer that ends at once", async () => {
  open(numbered);
  await socket(1);
  welcome();
  authenticated(365 * 86_400_000);
  const delays = mock.method(globalThis, "setTimeout");
  authenticated(365 * 86_400_000);
  assert.deepEqual(delays.mock.calls.map(({ arguments: [, delay_ms] }) => delay_ms), [2 ** 31 - 1]);
  delays.mock.restore();
});

test("a renewal that fails leaves the socket alone, and one of a lost socket is not sent on the next", async () => {
  const answers = ["first", new Error("no"), "third", "fourth"];
  open(async () => {
    const answer = answers[asked++];
    if (answer instanceof Error) throw answer;
    return answer;
  });
  await socket(1);
  welcome();
  authenticated(20_000);
  sleep(10_000);
  await settle();
  assert.deepEqual([tokens(), client.state.phase], [["first"], "open"]);
  newest().cut();
  sleep(250);
  await socket(2);
  welcome();
  sleep(3_600_000);
  await settle();
  assert.deepEqual(tokens(), ["third"]);
});

for (const code of [4501, 4502]) {
  test(`close code ${code}: another token is tried, once until one was taken`, async () => {
    open(numbered);
    client.subscribe({ table: "items" });
    await socket(1);
    welcome();
    newest().cut(code, "expired");
    assert.equal(client.state.phase, "waiting");
    sleep(250);
    await socket(2);
    welcome();
    assert.deepEqual(tokens(), ["t2"]);
    authenticated(60_000);
    newest().cut(code, "expired");
    sleep(500);
    await socket(3);
    welcome();
    subscribed("s1");
    newest().cut(code, "expired");
    sleep(1_000);
    await socket(4);
    welcome();
    newest().cut(code, "expired");
    assert.deepEqual([client.state.phase, client.state.close], ["closed", { code, reason: "expired" }]);
  });

  test(`close code ${code} is final without a function to ask`, () => {
    for (const auth of [undefined, "secret"]) {
      open(auth);
      welcome();
      newest().cut(code, "expired");
      assert.equal(client.state.phase, "closed");
    }
  });
}

test("close code 4503 is final, whatever token", async () => {
  open(numbered);
  await socket(1);
  newest().cut(4503, "not for you");
  assert.equal(client.state.phase, "closed");
});

test("a clock that is wrong changes nothing: the server says how long a token lasts", async () => {
  open(numbered);
  await socket(1);
  welcome();
  for (const wrong_s of [-900, 3_600, 86_400 * 365]) {
    const before = tokens().length;
    newest().say({ type: "authenticated", sub: "ann", exp: Date.now() / 1000 + wrong_s, expires_in: 600 });
    sleep(569_999);
    await settle();
    assert.equal(tokens().length, before, `${wrong_s}`);
    newest().say({ type: "pong" });
    sleep(1);
    await eventually("it was renewed", () => tokens().length === before + 1);
  }
});
