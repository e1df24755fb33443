/** The server's figures, from the text at /metrics: rates between two readings, quantiles of a histogram. Pure. */

/** Readings that are kept: half an hour, one a second. */
const SAMPLES_MAX = 1_800;
/** What lies between two readings that are further apart than this is not known. */
const GAP_S = 5;

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;
const unescaped = (text) => text.replace(/\\(.)/g, (_, letter) => (letter === "n" ? "\n" : letter));

/**
 * @param {string} text As OpenMetrics writes it.
 * @returns {Map<string, {labels: Record<string, string>, value: number}[]>}
 */
export function parse(text) {
  const families = new Map();
  for (const line of text.split("\n")) {
    const [, name, list = "", value] = LINE.exec(line) ?? [];
    if (!name) continue;
    const labels = Object.fromEntries([...list.matchAll(LABEL)].map(([, label, content]) => [label, unescaped(content)]));
    if (!families.has(name)) families.set(name, []);
    families.get(name).push({ labels, value: Number(value) });
  }
  return families;
}

/** The sum of a family, or of its members that have a label. */
export function total(families, name, label, wanted) {
  let sum = 0;
  for (const { labels, value } of families.get(name) ?? []) if (label === undefined || labels[label] === wanted) sum += value;
  return sum;
}

/** What was added between two readings. A counter that went back began anew, and says nothing of the time between. */
function added(before, after, ...of) {
  const difference = total(after, ...of) - total(before, ...of);
  return difference >= 0 ? difference : null;
}

/**
 * Quantiles of what a histogram got between two readings, by linear interpolation inside a bucket, as PromQL does it.
 * @returns {(number | null)[]} null where nothing came.
 */
export function quantiles(before, after, name, wanted) {
  const bucket = `${name}_bucket`;
  const old = new Map((before.get(bucket) ?? []).map(({ labels, value }) => [labels.le, value]));
  const buckets = (after.get(bucket) ?? [])
    .map(({ labels, value }) => ({ le: labels.le === "+Inf" ? Infinity : Number(labels.le), count: value - (old.get(labels.le) ?? 0) }))
    .sort((a, b) => a.le - b.le);
  const all = buckets.at(-1)?.count ?? 0;
  if (!(all > 0)) return wanted.map(() => null);
  return wanted.map((quantile) => {
    const rank = quantile * all;
    const at = buckets.findIndex(({ count }) => count >= rank);
    const low = at > 0 ? buckets[at - 1] : { le: 0, count: 0 };
    const { le, count } = buckets[at];
    // Beyond the last bound nothing is known but that it was more.
    if (le === Infinity) return low.le;
    return low.le + ((le - low.le) * (rank - low.count)) / (count - low.count);
  });
}

/** How often each bound was reached, those that were, the most often first. @returns {[string, number][]} */
export const limitsOf = (families) =>
  (families.get("plank_limits_total") ?? [])
    .map(({ labels, value }) => [labels.limit, value])
    .filter(([, value]) => value > 0)
    .sort((a, b) => b[1] - a[1]);

/** Readings of the last minutes, and what is between them. */
export class History {
  /** Columns as uPlot takes them: the times in seconds, then one list for each series. @type {Record<string, (number | null)[]>} */
  series = { at: [] };
  /** @type {Map | null} */
  latest = null;
  /** Changes per second of each table, the busiest first. @type {[string, number][]} */
  busiest = [];
  #at = 0;

  /** @param {string} text @param {number} at_s When it was read, in seconds since 1970. */
  add(text, at_s) {
    const families = parse(text);
    const pause_s = at_s - this.#at;
    const is_gap = this.latest && pause_s > GAP_S;
    if (is_gap) this.#push({ at: at_s - pause_s / 2 });
    const before = is_gap ? null : this.latest;
    this.latest = families;
    this.#at = at_s;
    if (pause_s <= 0) return;
    // The first reading has no rates: what was counted before it is of no known time.
    const rate = (...of) => {
      const more = before && added(before, families, ...of);
      return more === null ? null : more / pause_s;
    };
    const [p50, p95, p99] = quantiles(before ?? families, families, "plank_delivery_seconds", [0.5, 0.95, 0.99]).map((value) => value && value * 1000);
    this.#push({
      at: at_s,
      insert: rate("plank_changes_total", "op", "insert"),
      update: rate("plank_changes_total", "op", "update"),
      delete: rate("plank_changes_total", "op", "delete"),
      delivered: rate("plank_deliveries_total"),
      p50,
      p95,
      p99,
      websocket: total(families, "plank_sessions", "transport", "websocket"),
      sse: total(families, "plank_sessions", "transport", "sse"),
      poll: total(families, "plank_sessions", "transport", "long-poll"),
      lag: total(families, "plank_listener_lag_seconds"),
      window: rate("plank_resumes_total", "result", "window"),
      log: rate("plank_resumes_total", "result", "log"),
      reset: rate("plank_resumes_total", "result", "reset"),
      slow: total(families, "plank_slow_sessions"),
      catching: total(families, "plank_catching_up"),
    });
    const tables = new Set((families.get("plank_changes_total") ?? []).map(({ labels }) => labels.table));
    this.busiest = [...tables].map((table) => [table, rate("plank_changes_total", "table", table) ?? 0]).sort((a, b) => b[1] - a[1]);
  }

  /** What a sample does not say is a gap in its line. */
  #push(sample) {
    for (const name of Object.keys(sample)) this.series[name] ??= this.series.at.map(() => null);
    for (const [name, list] of Object.entries(this.series)) {
      list.push(sample[name] ?? null);
      if (list.length > SAMPLES_MAX) list.shift();
    }
  }

  /** The last `span_s` of some series, as uPlot takes them. @param {string[]} names */
  last(span_s, names) {
    const { at } = this.series;
    const first = at.findIndex((one) => one >= at.at(-1) - span_s);
    return [at, ...names.map((name) => this.series[name] ?? [])].map((list) => list.slice(Math.max(0, first)));
  }
}
