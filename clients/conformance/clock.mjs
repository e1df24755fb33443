/**
 * The time in which this process could run, for upper limits. On a machine with too much to do a client comes late, and so do the timers of this
 * process: then its time passes more slowly. Lower limits are of real time.
 */

const TICK_MS = 50;
/** A tick that comes later than this counts for no more. */
const TICK_MAX_MS = 2 * TICK_MS;

let now_ms = 0;
let ticked_at = performance.now();
const waiting = new Set();

function tick() {
  const passed_ms = performance.now() - ticked_at;
  ticked_at += passed_ms;
  now_ms += Math.min(passed_ms, TICK_MAX_MS);
  for (const each of [...waiting]) if (now_ms >= each.until_ms) each.end();
}

setInterval(tick, TICK_MS).unref();

export const now = () => now_ms;

/** Calls `late` when so much time has passed, until the function that it answers with is called. */
export function after(time_ms, late) {
  // What keeps the process alive meanwhile: the ticks do not.
  const alive = setInterval(() => {}, 2 ** 31 - 1);
  const stop = () => {
    clearInterval(alive);
    waiting.delete(each);
  };
  const each = { until_ms: now_ms + time_ms, end: () => (stop(), late()) };
  waiting.add(each);
  return stop;
}
