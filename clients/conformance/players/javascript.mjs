/** The player of plank.js. PLANK_CLIENT is the directory that it is in. */
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const { connect } = await import(new URL("plank.js", pathToFileURL(`${process.env.PLANK_CLIENT}/`)));

const report = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

let client;
const subscriptions = new Map();

/** A function that hands out one token after the other, the last one for ever; `!` is one that can't be had. */
function tokensOf(list) {
  const left = [...list];
  return () => {
    const token = left.length > 1 ? left.shift() : left[0];
    if (token === "!") throw new Error("no token can be had");
    return token;
  };
}

async function follow(on, subscription) {
  try {
    for await (const { changes, cursor, snapshot, reset } of subscription) {
      if (snapshot) report({ on, event: "snapshot", cursor });
      else if (reset) report({ on, event: "reset", reason: reset });
      else if (changes.length) report({ on, event: "changes", cursor, changes });
    }
    report({ on, event: "ended" });
  } catch ({ code, message }) {
    report({ on, event: "error", code, message });
  }
}

async function write({ as: on, table, op, values, key }) {
  try {
    report({ on, event: "written", row: await client.table(table)[op](...(key ? [key] : []), values) });
  } catch ({ status, code, column, message }) {
    report({ on, event: "refused", status, code, column, message });
  }
}

const commands = {
  connect({ url, token, tokens, transport }) {
    subscriptions.clear();
    client = connect(`${url}/ws`, { auth: tokens ? tokensOf(tokens) : token, ...(transport === "sse" && { WebSocket: null }) });
    client.onState(({ phase, close }) => report({ on: "phase", phase, code: close?.code }));
  },
  subscribe({ as, spec }) {
    const caught_up = ({ changes }) => report({ on: "caught_up", of: as, changes });
    const subscription = client.subscribe(spec, { caught_up });
    subscriptions.set(as, subscription);
    follow(as, subscription);
  },
  unsubscribe: ({ as }) => subscriptions.get(as).close(),
  write,
  hold({ as }) {
    const { rows, cursor } = subscriptions.get(as);
    report({ on: "held", of: as, rows: [...rows.values()], cursor });
  },
  end() {
    client?.close();
    client = null;
    // Behind what the loops report of it.
    setImmediate(() => report({ on: "end" }));
  },
};

createInterface({ input: process.stdin }).on("line", (line) => {
  const { do: name, ...command } = JSON.parse(line);
  commands[name](command);
});
report({ on: "ready" });
