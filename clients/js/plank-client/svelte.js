/** Svelte 3 to 5: stores. They are what `$store` reads; nothing of Svelte is needed for it. */
import { EMPTY, filterOf, listen, textOf, valueOf } from "./live.js";

function store(client, query, show) {
  const text = textOf(query);
  return {
    subscribe(run) {
      // A server that renders a page has no client.
      const tell = () => run(show(client ? valueOf(client, text) : EMPTY));
      const stop = client ? listen(client, text, tell) : () => {};
      tell();
      return stop;
    },
  };
}

/** A store of `{ rows, status, error }`. It subscribes while something reads it. */
export const rows = (client, query) => store(client, query, (live) => live);

/** A store of `{ row, status, error }`: the row with this key, null when there is none. */
export const row = (client, table, key, options) =>
  store(client, { ...options, table, filter: filterOf(key) }, ({ rows, status, error }) => ({ row: rows[0] ?? null, status, error }));

/** A store of the state of the connection, as `client.state`. */
export const connection = (client) => ({ subscribe: (run) => client.onState(run) });
