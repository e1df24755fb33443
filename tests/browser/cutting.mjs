/** What the tests of cuts stand on: a TCP proxy that cuts at random bytes, psql, and writes of every kind; all from a seed. */
import { spawn } from "node:child_process";
import net from "node:net";

/** mulberry32: small, and the same on every machine. */
export function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Passes bytes on to `target`; while it cuts, each connection ends within one of its directions, at a byte that chance chose. */
export class Proxy {
  cuts = 0;
  is_cutting = false;
  /** While true connections are refused as soon as they come. */
  is_closed = false;
  #target;
  #random;
  #server;
  #sockets = new Set();

  static async start(target, random) {
    const proxy = new Proxy();
    proxy.#target = new URL(target);
    proxy.#random = random;
    proxy.#server = net.createServer((socket) => proxy.#pass(socket));
    await new Promise((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    proxy.url = `ws://127.0.0.1:${proxy.#server.address().port}/ws`;
    return proxy;
  }

  #pass(client) {
    if (this.is_closed) return client.destroy();
    const server = net.connect(Number(this.#target.port), this.#target.hostname);
    const pair = [client, server];
    const end = () => {
      for (const socket of pair) {
        this.#sockets.delete(socket);
        // A reset reaches the other side at once, an end in order: both happen.
        if (this.#random() < 0.5) socket.destroy();
        else socket.resetAndDestroy();
      }
    };
    for (const socket of pair) {
      this.#sockets.add(socket);
      socket.on("error", () => {}).on("close", end);
    }
    // Few bytes or many, each magnitude as often: within the handshake, a frame, or a snapshot.
    const budget = (most) => (this.is_cutting ? Math.floor(most ** this.#random()) : Infinity);
    this.#copy(client, server, this.#random() < 0.3 ? budget(1_000) : Infinity, end);
    this.#copy(server, client, budget(400_000), end);
  }

  #copy(from, to, budget, end) {
    let left = budget;
    const pass = (bytes) => {
      if (bytes.length < left) {
        left -= bytes.length;
        if (!to.write(bytes)) from.pause();
        return;
      }
      from.off("data", pass).pause();
      this.cuts += 1;
      to.write(bytes.subarray(0, left), end);
    };
    from.on("data", pass);
    to.on("drain", () => from.resume());
  }

  /** Every connection that there is ends now. */
  cut() {
    this.cuts += this.#sockets.size / 2;
    for (const socket of this.#sockets) socket.destroy();
  }

  stop() {
    this.cut();
    this.#server.close();
  }
}

/** One psql, whose statements are written one after the other. */
export class Psql {
  #child;
  #out = "";
  #waiting = [];

  constructor(url) {
    this.#child = spawn("psql", ["-XqAt", url], { stdio: ["pipe", "pipe", "ignore"], env: { ...process.env, PGTZ: "UTC" } });
    this.#child.stdout.setEncoding("utf8").on("data", (text) => {
      this.#out += text;
      for (let at; (at = this.#out.indexOf("\u0001\n")) >= 0; this.#out = this.#out.slice(at + 2)) this.#waiting.shift().resolve(this.#out.slice(0, at));
    });
    this.#child.on("exit", () => this.#waiting.forEach(({ reject }) => reject(new Error("psql has ended"))));
    this.#child.stdin.on("error", () => {});
  }

  /** What it prints. Errors of SQL are passed over, as those of random statements have to be. */
  run(sql) {
    this.#child.stdin.write(`${sql};\n\\echo \u0001\n`);
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** Rows as `row_to_json` writes them. */
  async rows(query) {
    const out = await this.run(`select row_to_json(t) from (${query}) t`);
    return out.split("\n").filter(Boolean);
  }

  stop() {
    this.#child.stdin.end("\\q\n");
  }
}

/** A key of two columns, one of them beyond what a JavaScript number holds. */
export const TABLE = `create table cuts (id bigint, part text, status text not null, note text, primary key (part, id));
  select plank.watch('cuts')`;
const FIRST_ID = 9_007_199_254_740_993n;

/** Statements that do everything that can be done to rows; some fail, and some are taken back. */
export class Writer {
  #random;
  #next = FIRST_ID;

  constructor(random) {
    this.#random = random;
  }

  #below(bound) {
    return Math.floor(this.#random() * bound);
  }

  #insert(count = 1 + this.#below(40)) {
    const first = this.#next;
    this.#next += BigInt(count);
    // A batch above 256 KiB comes in several messages.
    const length = this.#below(12) === 0 ? 2_500 : 20;
    const status = `(array['open','active','done'])[1 + i % 3]`;
    return `insert into cuts select ${first} + i, 'p' || i % 3, ${status}, repeat('ä"\\', ${length}) from generate_series(0, ${count - 1}) i`;
  }

  statement() {
    const some = () => `id % ${3 + this.#below(9)} = ${this.#below(3)}`;
    const kinds = [
      () => this.#insert(),
      () => this.#insert(),
      () => `update cuts set status = 'open', note = 'o${this.#below(1e6)}' where ${some()}`,
      () => `update cuts set status = 'done' where ${some()}`,
      () => `delete from cuts where ${some()}`,
      // To a free key, and from one to that of the next, which is another order than that of the keys.
      () => `update cuts set id = id + 1000000000 + ${this.#below(1e6) * 1000} where ${some()}`,
      () => `update cuts set part = case part when 'p0' then 'q0' else 'p0' end where ${some()}`,
      () => `insert into cuts (id, part, status) select id, part, 'open' from cuts limit 7 on conflict (part, id) do update set status = 'active', note = null`,
    ];
    if (this.#below(60) === 0) return `truncate cuts; ${this.#insert(30)}`;
    return kinds[this.#below(kinds.length)]();
  }

  /** A transaction of several statements, or one by itself. */
  transaction() {
    if (this.#below(3) > 0) return this.statement();
    const statements = Array.from({ length: 2 + this.#below(5) }, () => this.statement());
    return `begin; ${statements.join("; ")}; ${this.#below(5) === 0 ? "rollback" : "commit"}`;
  }
}
