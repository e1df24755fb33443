/**
 * Places in the log that this browser has seen, with their times: so that it can ask for what happened since. A place is of the log, and
 * good for all tables.
 */
import { keep, kept } from "./kept.js";

const EVERY_MS = 5 * 60_000;
const AGE_MAX_MS = 24 * 3_600_000;
/** Changes that are taken of a history; it is then not whole. */
const CHANGES_MAX = 20_000;
const WAIT_MAX_MS = 15_000;

/** Of all servers at this address: another one resets a place, and then it is forgotten. */
const name = () => `places ${location.pathname}`;
const places = () => kept(name(), []).filter(({ at }) => Date.now() - at < AGE_MAX_MS);

/** Takes note of where the log is now. @param {string | null} cursor */
export function remember(cursor) {
  const known = places();
  if (!cursor || (known.length && Date.now() - known.at(-1).at < EVERY_MS)) return;
  keep(name(), [...known, { at: Date.now(), cursor }]);
}

/** @returns {Promise<object[] | null>} The changes behind a place, the newest last; null where the log does not have them any more. */
function behind(client, spec) {
  return new Promise((resolve) => {
    const changes = [];
    const end = (outcome) => {
      clearTimeout(timer);
      queueMicrotask(() => subscription.close());
      resolve(outcome);
    };
    const handlers = {
      changes: (batch) => {
        changes.push(...batch.changes);
        if (changes.length > CHANGES_MAX) end(changes);
      },
      caught_up: () => end(changes),
      reset: () => end(null),
      error: () => end(null),
      ended: () => end(null),
    };
    const timer = setTimeout(() => end(changes), WAIT_MAX_MS);
    const subscription = client.subscribe(spec, handlers);
  });
}

/**
 * What happened to a table, from the oldest place that is known and that the log still has.
 * @param {number} span_ms How far back. @param {string} [filter]
 * @returns {Promise<{changes: object[], since: number | null}>} The newest last; `since` is null if there is no such place.
 */
export async function recent(client, table, span_ms, filter) {
  for (const { at, cursor } of places().filter((place) => Date.now() - place.at < span_ms)) {
    const changes = await behind(client, { table, since: cursor, ...(filter && { filter }) });
    if (changes) return { changes, since: at };
  }
  return { changes: [], since: null };
}
