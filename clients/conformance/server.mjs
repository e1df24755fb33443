/**
 * A server that does what a script says: WebSockets (RFC 6455) and HTTP on one port, nothing by itself. In: connections and requests of
 * the client. Out: queues of them, in order. It has no dependency, so a client of any language can be tested where there is Node.js.
 */
import { createHash } from "node:crypto";
import http from "node:http";
import { Queue } from "./queue.mjs";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

function frame(opcode, payload) {
  const { length } = payload;
  const head = length < 126 ? Buffer.from([0x80 | opcode, length]) : Buffer.from([0x80 | opcode, 126, length >> 8, length & 255]);
  return Buffer.concat([head, payload]);
}

/** One WebSocket, after its handshake. */
class Socket {
  /** Messages of the client. */
  heard = new Queue();
  /** Whether the script itself says when a subscription has caught up. */
  holds_pongs = false;
  /** Ids whose `ping` is answered once they are live. */
  #asked = new Set();
  #live = new Set();
  #tcp;
  #rest = Buffer.alloc(0);

  constructor(tcp, key) {
    this.#tcp = tcp;
    const accept = createHash("sha1").update(key + GUID).digest("base64");
    tcp.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
    tcp.on("data", (data) => this.#read(data));
  }

  say(message) {
    this.text(JSON.stringify(message));
    const { type, id } = message;
    if (type === "subscribed") this.#live.add(id);
    if (type === "reset") this.#live.delete(id);
    if (type === "subscribed" && this.#asked.delete(id)) this.say({ type: "pong", id });
  }

  text(text) {
    this.#tcp.write(frame(1, Buffer.from(text)));
  }

  bytes(bytes) {
    this.#tcp.write(bytes);
  }

  close(code, reason = "") {
    const payload = Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason)]);
    this.#tcp.end(code ? frame(8, payload) : frame(8, Buffer.alloc(0)));
  }

  /** Within a frame if there is a text, so that half of it arrives. */
  cut(text) {
    if (text) this.#tcp.write(frame(1, Buffer.from(text)).subarray(0, -Math.ceil(text.length / 2)));
    this.#tcp.destroySoon();
  }

  #read(data) {
    this.#rest = Buffer.concat([this.#rest, data]);
    for (;;) {
      const rest = this.#rest;
      if (rest.length < 6) return;
      const short = rest[1] & 127;
      const head = short === 126 ? 8 : 6;
      const length = short === 126 ? rest.readUInt16BE(2) : short;
      if (short === 127) throw new Error("a message of the client is above 64 KiB");
      if (rest.length < head + length) return;
      const mask = rest.subarray(head - 4, head);
      const payload = Buffer.from(rest.subarray(head, head + length)).map((byte, at) => byte ^ mask[at % 4]);
      this.#rest = rest.subarray(head + length);
      this.#hear(rest[0] & 15, payload);
    }
  }

  #hear(opcode, payload) {
    if (opcode === 8) this.#tcp.end(frame(8, payload.subarray(0, 2)));
    else if (opcode === 9) this.#tcp.write(frame(10, payload));
    else if (opcode === 1) {
      const message = JSON.parse(payload.toString());
      const { type, id, cursor } = message;
      if (type === "ping" && id && !cursor && !this.holds_pongs) {
        // Whether it has caught up: scripts say nothing of it, and everything that was missed has come with `subscribed`.
        if (this.#live.has(id)) this.say({ type: "pong", id });
        else this.#asked.add(id);
      } else this.heard.put(message);
    }
  }
}

/** One stream of Server-Sent Events. */
class EventStream {
  /** A client says nothing on it. */
  heard = new Queue();
  #response;

  constructor(response) {
    this.#response = response;
    response.socket.setNoDelay(true);
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    response.write("retry: 2417\n\n");
  }

  say(message) {
    this.#response.write(this.#event(message));
  }

  text(text) {
    this.#response.write(`data: ${text}\n\n`);
  }

  /** In pieces of so many bytes, each of which leaves before the next one is written. */
  async pieces(message, bytes) {
    const event = Buffer.from(this.#event(message));
    for (let at = 0; at < event.length; at += bytes) {
      await new Promise((resolve) => this.#response.write(event.subarray(at, at + bytes), resolve));
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  /** With a hint it is what plank says when it stops. */
  close(code, reason = "") {
    const [, hint] = reason.match(/"retry_ms":(\d+)/) ?? [];
    this.#response.end(hint ? `: ${code}\nretry: ${hint}\n\n` : `: ${code} ${reason}\nretry: 2417\n\n`);
  }

  cut(text) {
    if (text) this.#response.write(`event: changes\ndata: ${text}`);
    this.#response.socket.destroySoon();
  }

  #event(message) {
    return `event: ${message.type}\ndata: ${JSON.stringify(message)}\n\n`;
  }
}

export class Server {
  /** Handshakes, each a function that accepts it. */
  knocks = new Queue();
  /** Requests for streams, each `{ request, accept, refuse, gone }`. */
  streams = new Queue();
  /** What the log has behind each cursor. */
  log = [];
  /** Writes, each `{ request, answer }`. */
  writes = new Queue();
  /** How handshakes are answered instead of a WebSocket, or null. */
  refusal = null;
  refused = 0;
  /** How the last handshake was refused: a client may ask why, behind it. */
  #told = null;
  #http = http.createServer((request, response) => this.#request(request, response));
  #sockets = new Set();

  static async start() {
    const server = new Server();
    server.#http.on("upgrade", (request, tcp) => server.#upgrade(request, tcp));
    server.#http.on("connection", (tcp) => {
      server.#sockets.add(tcp.on("error", () => {}).on("close", () => server.#sockets.delete(tcp)));
    });
    await new Promise((resolve) => server.#http.listen(0, "127.0.0.1", resolve));
    server.url = `http://127.0.0.1:${server.#http.address().port}`;
    return server;
  }

  stop() {
    for (const tcp of this.#sockets) tcp.destroy();
    this.#http.close();
  }

  #upgrade(request, tcp) {
    if (this.refusal?.cut) {
      this.refused += 1;
      tcp.destroy();
      return;
    }
    if (this.refusal) {
      const { status, headers = {}, body = "" } = this.refusal;
      this.refused += 1;
      this.#told = this.refusal;
      const lines = Object.entries({ ...headers, "content-length": Buffer.byteLength(body), connection: "close" });
      tcp.end(`HTTP/1.1 ${status} Refused\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n${body}`);
      return;
    }
    this.#told = null;
    // Nothing comes before the answer, but its end may.
    tcp.resume();
    this.knocks.put(() => (tcp.destroyed || tcp.readableEnded ? null : new Socket(tcp, request.headers["sec-websocket-key"])));
  }

  #request(request, response) {
    if (request.url.startsWith("/ws")) {
      const { status, headers = {}, body = "" } = this.#told ?? { status: 204 };
      response.writeHead(status, headers).end(body);
    } else if (request.url.startsWith("/rest") && request.method !== "GET") {
      let body = "";
      request.setEncoding("utf8").on("data", (text) => (body += text));
      request.on("end", () => this.writes.put(write(request, JSON.parse(body || "null"), response)));
    } else if (request.url.startsWith("/livez")) {
      response.writeHead(200, { "content-type": "application/json" }).end('{"status":"alive"}');
    } else if (request.url.startsWith("/api/stream")) {
      this.streams.put(stream(request, response));
    } else if (request.url.startsWith("/api/changes")) {
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ changes: this.log, cursor: "now", more: false }));
    } else response.writeHead(404).end();
  }
}

/** A request for a stream as a script sees it. */
function stream({ headers, url }, response) {
  const asked = new URL(url, "http://x").searchParams.getAll("subscribe").map((text) => JSON.parse(text));
  return {
    request: { asked, authorization: headers.authorization ?? null },
    accept: () => new EventStream(response),
    refuse: ({ status, headers = {}, body = "" }) => response.writeHead(status, headers).end(body),
    /** When the client has given it up. */
    gone: new Promise((resolve) => response.on("close", resolve)),
  };
}

/** A write as a script sees it, whichever of the two forms of /rest it has. */
function write({ method, headers, url }, body, response) {
  const is_batch = url === "/rest";
  const [operation] = is_batch ? body : [{ op: { POST: "insert", PATCH: "update", DELETE: "delete" }[method], values: body }];
  const request = {
    op: operation.op,
    table: operation.table ?? decodeURIComponent(url.match(/^\/rest\/([^?]*)/)[1]),
    values: operation.values,
    authorization: headers.authorization ?? null,
    idempotency_key: headers["idempotency-key"] ?? null,
  };
  const answer = ({ cut, status = 200, row, problem, html, headers = {} }) => {
    if (cut) return response.socket.destroy();
    const said = row ? [is_batch ? { op: request.op, table: request.table, row } : row] : problem;
    response.writeHead(status, { "content-type": html ? "text/html" : "application/json", ...headers });
    response.end(html ?? JSON.stringify(said ?? {}));
  };
  return { request, answer };
}
