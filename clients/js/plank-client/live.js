/**
 * What the bindings share: one subscription for all parts of a page that ask for the same, and its rows as a value that never changes.
 * It begins with the first listener and ends a moment after the last one, so a page that draws anew subscribes to nothing anew.
 */

/** So long a subscription without listeners is kept. */
const LINGER_MS = 1_000;

/** So long after its first value a subscription is kept for a component that is suspended. */
const HOLD_MS = 30_000;

/** Before anything is known, and on a server that renders pages. */
export const EMPTY = Object.freeze({ rows: Object.freeze([]), status: "loading", error: null });

/** Of each client, by query. */
const all = new WeakMap();

function begin(client, query) {
  const live = { value: EMPTY, listeners: new Set() };
  const set = (change) => {
    live.value = Object.freeze({ ...live.value, ...change });
    for (const listener of [...live.listeners]) listener();
  };
  const draw = (change) => set({ rows: Object.freeze([...subscription.rows.values()]), ...change });
  const subscription = client.subscribe({ ...query, snapshot: true }, {
    live: () => draw({ status: "live", error: null }),
    changes: () => draw(),
    pending: () => draw(),
    down: () => live.value.status === "live" && set({ status: "stale" }),
    reset: () => set({ status: "stale" }),
    error: (error) => set({ status: "refused", error }),
    ended: () => set({ status: "ended" }),
  });
  const stop = client.onState(({ phase, close }) => {
    if (phase === "closed") set({ status: "refused", error: { code: `${close?.code ?? ""}`, message: close?.reason ?? "" } });
  });
  live.end = () => {
    stop();
    subscription.close();
  };
  return live;
}

/** A `query` is what `subscribe` takes; its text says which of them are the same. */
export const textOf = (query) => JSON.stringify(query);

/** Calls `listener` whenever `valueOf` has another value, until the function that it answers with is called. */
export function listen(client, text, listener) {
  const known = all.get(client) ?? new Map();
  all.set(client, known);
  const live = known.get(text) ?? begin(client, JSON.parse(text));
  known.set(text, live);
  clearTimeout(live.timer);
  // The same function may listen twice.
  const own = () => listener();
  live.listeners.add(own);
  return () => {
    if (!live.listeners.delete(own) || live.listeners.size) return;
    live.timer = setTimeout(() => {
      known.delete(text);
      live.end();
    }, LINGER_MS);
  };
}

/** Resolves with the first value that is not `loading`. The subscription stays while what waits for it may still wait for something else. */
export const loaded = (client, text) =>
  new Promise((resolve) => {
    let timer;
    const look = () => valueOf(client, text).status === "loading" || resolve((timer ??= setTimeout(stop, HOLD_MS)));
    const stop = listen(client, text, look);
    look();
  });

export const valueOf = (client, text) => all.get(client)?.get(text)?.value ?? EMPTY;

const quoted = (text) => `"${`${text}`.replace(/["\\]/g, "\\$&")}"`;

/** A filter for the one row of a key. In a group no name of a column means anything else. */
export function filterOf(key) {
  const terms = Object.entries(key).map((term) => term.map(quoted).join(".eq."));
  return `and=(${encodeURIComponent(terms)})`;
}
