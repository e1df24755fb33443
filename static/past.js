/** What happened to a table before one came: its changes out of the log, by a subscription that begins some time ago and ends when it has caught up. */

const MINUTE_MS = 60_000;
/** How far back it is tried, the longest first: the log may not reach so far. */
const SPANS_MIN = [1440, 720, 360, 60, 15, 5];
/** Changes that are taken; they are then not all. */
const CHANGES_MAX = 20_000;
const WAIT_MAX_MS = 15_000;

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
 * What happened to a table, as far back as is wanted and the log has it.
 * @param {number} span_min In minutes. @param {string} [filter]
 * @returns {Promise<{changes: object[], since: number | null}>} The newest last; `since` is null if the log has nothing.
 */
export async function recent(client, table, span_min, filter) {
  for (const minutes of SPANS_MIN.filter((one) => one <= span_min)) {
    const since = Date.now() - minutes * MINUTE_MS;
    const changes = await behind(client, { table, since: `-${minutes}m`, ...(filter && { filter }) });
    if (changes) return { changes, since };
  }
  return { changes: [], since: null };
}
