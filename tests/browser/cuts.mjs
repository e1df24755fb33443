/**
 * plank.js and a real plank, with a proxy between them that cuts connections at random bytes while rows are written: the
 * rows of each subscription are those of SELECT, and every change was handed out once. Over WebSockets, over streams, and
 * over what the client finds. `CUTS_SEED` repeats a run, `CUTS_ROUNDS` makes it longer.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, afterEach, before, describe, test } from "node:test";
import { PLANK_BIN, Server, until } from "./support.mjs";
import { Proxy, Psql, seeded, TABLE, Writer } from "./cutting.mjs";
import { connect, keyOf } from "../../static/plank.js";

const SEED = Number(process.env.CUTS_SEED ?? Date.now() % 1e9);
const ROUNDS = Number(process.env.CUTS_ROUNDS ?? 3);
const DEADLINE_MS = 60_000;
const no_fetch = () => Promise.reject(new Error("no stream here"));
/** How a client reaches the server: what it may use, and what it has to have used. */
const WAYS = {
  WebSocket: { options: { fetch: no_fetch }, transport: "ws" },
  stream: { options: { WebSocket: null }, transport: "sse" },
  "what it finds": { options: {}, transport: null },
};
const VIEWS = [
  { spec: {}, query: "select * from cuts" },
  { spec: { filter: "status=eq.open" }, query: "select * from cuts where status = 'open'" },
  { spec: { filter: "or=(status.eq.done,id.gt.9007199254741100)", columns: ["status"] }, query: "select part, id, status from cuts where status = 'done' or id > 9007199254741100" },
];

/** Why it can't run here, or null. */
function missing() {
  if (!existsSync(PLANK_BIN)) return `no plank at ${PLANK_BIN} (build it, or set PLANK_BIN)`;
  return globalThis.WebSocket ? null : "no WebSocket in this Node.js (22 has it, 20 with --experimental-websocket)";
}

const reason = missing();
if (reason) {
  console.log(`skipped: the client under cuts, because there is ${reason}`);
  test("the client under cuts can run", { skip: process.env.CI === "true" ? false : reason }, () => assert.fail(reason));
} else {
  describe(`the client under cuts, seed ${SEED}`, { timeout: 900_000 }, suite);
}

/** A subscription, and a record of everything that it was told. */
class Follower {
  seqs = [];
  iterated = [];
  told = { live: 0, down: 0, reset: 0, error: 0, ended: 0 };
  faults = [];
  /** The transactions of all batches but the last. */
  #past = new Set();

  constructor(client, { spec, query }) {
    this.query = query;
    const count = (name) => () => (this.told[name] += 1);
    const handlers = { ...Object.fromEntries(Object.keys(this.told).map((name) => [name, count(name)])), changes: (batch) => this.#changes(batch) };
    this.subscription = client.subscribe({ table: "cuts", snapshot: true, ...spec }, handlers);
    this.reading = this.#iterate();
  }

  #changes({ changes }) {
    const { cursor } = this.subscription;
    if (cursor === null) this.faults.push("a batch without a cursor before it");
    const transactions = new Set(changes.map(({ xid }) => xid));
    for (const xid of transactions) if (this.#past.has(xid)) this.faults.push(`transaction ${xid} is in two batches`);
    for (const xid of transactions) this.#past.add(xid);
    // Not by spreading: a batch may have more changes than a call may have arguments.
    for (const { seq } of changes) this.seqs.push(seq);
  }

  async #iterate() {
    for await (const { changes } of this.subscription) for (const { seq } of changes) this.iterated.push(seq);
  }

  /** Whether its rows are those of the table; the text tells how they differ. */
  difference(rows) {
    const is = new Map([...this.subscription.rows].map(([key, row]) => [key, JSON.stringify(row)]));
    for (const row of rows) {
      const key = keyOf(row, this.subscription.key ?? []);
      const wanted = JSON.stringify(row);
      if (is.get(key) !== wanted) return `${key} is ${is.get(key)?.slice(0, 100)}, and not ${wanted.slice(0, 100)}`;
      is.delete(key);
    }
    return is.size === 0 ? null : `${is.size} rows too many: ${[...is.keys()].slice(0, 3)}`;
  }
}

/** As the client reads them. */
const exact = (line) => JSON.parse(line.replace(/"id":(\d{16,})/, '"id":"$1"'));

function suite() {
  const random = seeded(SEED);
  const writer = new Writer(random);
  let server;
  let psql;
  let proxy;
  const clients = [];

  afterEach(() => clients.splice(0).forEach((client) => client.close()));

  async function start(...flags) {
    server = await Server.start(...flags);
    psql = new Psql(server.database_url);
    await psql.run(TABLE);
    proxy = await Proxy.start(server.url, random);
  }

  async function stop() {
    proxy?.stop();
    psql?.stop();
    await server?.stop();
  }

  function open(url, options) {
    clients.push(connect(url, { ...options, random: () => random() * 0.01 }));
    return clients.at(-1);
  }

  async function agree(followers) {
    for (const follower of followers) {
      const rows = (await psql.rows(follower.query)).map(exact);
      let difference;
      await until("the rows are those of SELECT", () => (difference = follower.difference(rows)) === null, DEADLINE_MS).catch((error) => {
        throw new Error(`${error.message}; seed ${SEED}: ${difference} ${JSON.stringify(follower.told)}`);
      });
    }
  }

  /** All that has been written is known to all, and was told once. */
  async function settled(followers, reference) {
    await agree([...followers, ...reference]);
    for (const follower of followers) {
      const whole = reference.find(({ query }) => query === follower.query);
      await until("it has been told everything", () => follower.seqs.length >= whole.seqs.length, DEADLINE_MS);
      assert.deepEqual([...follower.seqs].sort(), [...whole.seqs].sort(), `each change once, seed ${SEED}`);
      await until("the iterator has come to the end", () => follower.iterated.length === follower.seqs.length, DEADLINE_MS);
      assert.deepEqual(follower.iterated, follower.seqs);
      assert.deepEqual([follower.faults, follower.told.reset, follower.told.error, follower.told.ended], [[], 0, 0, 0]);
    }
  }

  describe("with a log that reaches back", () => {
    before(() => start());
    after(stop);

    for (const [name, way] of Object.entries(WAYS)) {
      test(`by ${name}: no change is lost and none comes twice`, async () => {
        const client = open(proxy.url, way.options);
        const transports = new Set();
        client.onState(({ phase, transport }) => phase === "open" && transports.add(transport));
        const direct = open(server.url + "/ws", { fetch: no_fetch });
        const followers = VIEWS.map((view) => new Follower(client, view));
        const reference = VIEWS.map((view) => new Follower(direct, view));
        await until("all are live", () => [...followers, ...reference].every(({ subscription }) => subscription.live));
        for (let round = 0; round < ROUNDS; round += 1) {
          const cuts = proxy.cuts;
          proxy.is_cutting = true;
          proxy.cut();
          for (let count = 0; count < 80 || proxy.cuts < cuts + 12; count += 1) {
            await psql.run(writer.transaction());
            // A writer without a pause leaves no time for a cut between two batches.
            if (count % 4 === 0) await new Promise(setImmediate);
            if (random() < 0.02) proxy.cut();
          }
          proxy.is_cutting = false;
          await settled(followers, reference);
        }
        if (way.transport) assert.deepEqual([...transports], [way.transport]);
        assert.ok(followers[0].told.down >= ROUNDS, `${followers[0].told.down} losses were noticed`);
        for (const client of clients) client.close();
        await Promise.all([...followers, ...reference].map(({ reading }) => reading));
      });
    }

    test("a server that is killed, and one that stops in order, come back, and nothing is lost or comes twice", async () => {
      const followers = ["WebSocket", "stream"].flatMap((name) => {
        const client = open(proxy.url, WAYS[name].options);
        return VIEWS.map((view) => new Follower(client, view));
      });
      await until("all are live", () => followers.every(({ subscription }) => subscription.live), DEADLINE_MS);
      for (const end of ["kill", "end", "kill"]) {
        const downs = followers.map(({ told }) => told.down);
        for (let count = 0; count < 20; count += 1) await psql.run(writer.transaction());
        const writing = psql.run(writer.transaction());
        await server[end]();
        await writing.catch(() => "the database went with it");
        // The database of a server that was killed is still there, and a writer goes on.
        if (end === "kill") for (let count = 0; count < 20; count += 1) await psql.run(writer.transaction());
        await until("all have noticed", () => followers.every(({ told }, at) => told.down > downs[at]), DEADLINE_MS);
        await server.start();
        psql.stop();
        psql = new Psql(server.database_url);
        for (let count = 0; count < 20; count += 1) await psql.run(writer.transaction());
        await agree(followers);
      }
      const [first, ...others] = VIEWS.map(({ query }) => followers.filter((follower) => follower.query === query));
      for (const alike of [first, ...others]) {
        await until("both were told the same", () => alike[0].seqs.length === alike[1].seqs.length, DEADLINE_MS);
        assert.deepEqual([...alike[0].seqs].sort(), [...alike[1].seqs].sort(), `seed ${SEED}`);
        for (const { seqs, told, faults } of alike) {
          assert.deepEqual([new Set(seqs).size, told.reset, faults], [seqs.length, 0, []], "nothing came twice");
        }
      }
    });
  });

  describe("with a log that does not reach back", () => {
    before(async () => {
      await start("--retention-rows", "70");
      await until("its retention is known", async () => (await psql.run("select rows_max from plank.meta")).trim() === "70");
    });
    after(stop);

    for (const [name, way] of Object.entries(WAYS)) {
      test(`by ${name}: what has expired is a reset, and the old rows are there until the new ones are whole`, async () => {
        await psql.run("insert into cuts select i, 'before', 'open', repeat('x', 400) from generate_series(1, 1000) i on conflict do nothing");
        const client = open(proxy.url, way.options);
        const followers = VIEWS.map((view) => new Follower(client, view));
        await until("all are live", () => followers.every(({ subscription }) => subscription.live), DEADLINE_MS);
        await agree(followers);
        const { subscription, told } = followers[0];
        // What it had at the reset, and then while each piece came.
        const sizes = new Set();
        let pieces = 0;
        const { reset } = subscription.handlers;
        subscription.handlers.reset = () => {
          sizes.add(subscription.rows.size);
          reset();
        };
        subscription.handlers.snapshot = () => {
          sizes.add(subscription.rows.size);
          pieces += 1;
        };
        proxy.is_closed = true;
        proxy.cut();
        await psql.run("delete from cuts where id % 2 = 0");
        const prune = "insert into cuts select n, 'after', 'open' from generate_series(%, % + 19) n on conflict do nothing; select plank.prune()";
        for (let step = 0; step < 12; step += 1) await psql.run(prune.replaceAll("%", `${5000 + step * 20}`));
        // What is in memory reaches further back than the log.
        await server.end();
        await server.start();
        psql.stop();
        psql = new Psql(server.database_url);
        await psql.run("select plank.prune()");
        proxy.is_closed = false;
        proxy.is_cutting = true;
        const cuts = proxy.cuts;
        await until("it was cut in its catch-up too", () => proxy.cuts > cuts + 3 || subscription.live, DEADLINE_MS);
        proxy.is_cutting = false;
        await agree(followers);
        await until("it was told", () => told.reset >= 1, DEADLINE_MS);
        assert.ok(pieces > 1, "the snapshot came in pieces");
        assert.equal(sizes.size, 1, "of which none was to be seen");
        assert.ok(sizes.has(0) === false, "and the old rows were");
        for (const { seqs, told } of followers) assert.deepEqual([new Set(seqs).size, told.error], [seqs.length, 0]);
      });
    }
  });
}
