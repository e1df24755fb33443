/** What every view needs: templates without a build step, the clock, and how values are written for people. */
import { computed, signal } from "@preact/signals";
import htm from "htm";
import { h } from "preact";

export const html = htm.bind(h);

/** Now, in ms since 1970, twice a second: fine enough for a countdown. */
export const now = signal(Date.now());
setInterval(() => (now.value = Date.now()), 500);

/** Ages of rows change their words rarely; this keeps three hundred of them from looking twice a second. */
export const now_coarse = computed(() => Math.floor(now.value / 10_000) * 10_000);

const clock_format = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const full_format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const day_format = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });

/** 14:02:11 */
export const clock = (at_ms) => clock_format.format(at_ms);

/** Date and time in full, for tooltips. */
export const inFull = (text) => full_format.format(new Date(text));

/** How long ago, in as few letters as a narrow column needs. The two clocks may differ: the future is "just now". */
export function ago(text, now_ms) {
  const at_ms = Date.parse(text);
  const minutes = Math.floor((now_ms - at_ms) / 60_000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${minutes} min ago`;
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h ago`;
  if (minutes < 7 * 24 * 60) return `${Math.floor(minutes / 60 / 24)} d ago`;
  return day_format.format(at_ms);
}

export const STATUSES = ["open", "active", "done"];
