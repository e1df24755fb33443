/**
 * The connection indicator. It says "Live" only when every link of the chain is: socket, subscription, complete rows,
 * and the server's own database.
 */
import { signal } from "@preact/signals-core";
import { ready } from "../http.js";
import { clock, counted, html, live, now } from "./html.js";

const READY_EVERY_MS = 10_000;
/** While something is amiss: the page should not go on saying so for long after it is mended. */
const READY_SOON_MS = 3_000;
/** After this long without a server, "reconnecting" would be too hopeful a word. */
const OFFLINE_AFTER_MS = 30_000;

const CLOSE_REASONS = { 4501: "log in first", 4502: "your log-in has expired", 4503: "you may not see this", 4504: "this page is out of date" };

/**
 * @returns {{tone: string, label: string, count?: string, retry?: boolean}} `count` is what changes all the time, and is
 *   not read aloud.
 */
function describe(state, table, database_away_since, online, now_ms) {
  if (state.phase === "closed") {
    const reason = CLOSE_REASONS[state.close?.code] ?? state.close?.reason;
    return { tone: "closed", label: reason ? `Closed: ${reason}` : "Closed" };
  }
  if (state.phase === "open") return describeOpen(table, database_away_since);
  const count = state.retry_at === null ? "now" : seconds(state.retry_at, now_ms);
  if (!online || now_ms - state.since > OFFLINE_AFTER_MS) {
    return { tone: "offline", label: `Offline since ${clock(state.since)}`, count: `, trying ${count}`, retry: true };
  }
  if (!state.close) return { tone: "connecting", label: "Connecting" };
  return { tone: "reconnecting", label: "Reconnecting", count: ` ${count}`, retry: state.retry_at !== null };
}

function describeOpen(table, database_away_since) {
  const phase = table?.phase.value ?? "live";
  const loaded = table?.loaded.value;
  if (phase === "ended") return { tone: "closed", label: "Not watched any more" };
  if (phase === "refused" || phase === "crowded") return { tone: "closed", label: phase === "crowded" ? "Too many rows" : "Refused" };
  // The socket is up, and the server itself has to wait.
  if (phase !== "live" && database_away_since) return { tone: "away", label: "Waiting for the database" };
  if (phase === "catching") return { tone: "connecting", label: "Catching up", count: loaded ? ` ${counted(loaded, "change")}` : "" };
  if (phase !== "live") return { tone: "connecting", label: "Loading", count: loaded ? ` ${counted(loaded, "row")}` : "" };
  if (database_away_since) return { tone: "away", label: `Changes delayed since ${clock(database_away_since)}` };
  return { tone: "live", label: "Live" };
}

function seconds(at_ms, now_ms) {
  const left_s = Math.ceil((at_ms - now_ms) / 1000);
  return left_s > 0 ? `in ${left_s} s` : "now";
}

/** Asks the server whether it follows its database while the socket is up: a socket can stay open over a database that is away. */
function watch({ state, table }, self) {
  let timer = 0;
  const ask = async () => {
    clearTimeout(timer);
    if (!document.hidden && state.value.phase === "open") {
      const is_ready = await ready();
      self.away_since.value = is_ready ? null : (self.away_since.value ?? Date.now());
    }
    clearTimeout(timer);
    const is_well = (table.value?.phase.value ?? "live") === "live" && self.away_since.value === null;
    if (!self.is_over) timer = setTimeout(ask, is_well ? READY_EVERY_MS : READY_SOON_MS);
  };
  timer = setTimeout(ask, READY_SOON_MS);
  document.addEventListener("visibilitychange", ask);
  self.end = () => {
    self.is_over = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", ask);
  };
}

/** @param {{client: import("../plank.js").Client, state: import("@preact/signals-core").Signal, table: import("@preact/signals-core").Signal}} props */
export const Connection = live(
  ({ client, state, table }, self) => {
    self.away_since ??= signal(null);
    const { tone, label, count, retry } = describe(state.value, table.value, self.away_since.value, navigator.onLine, now.value);
    return html`
      <div class="connection" data-state=${tone} title=${state.value.transport === "sse" ? "Over Server-Sent Events: WebSockets don't get through" : undefined}>
        <span class="connection-text" aria-hidden="true"><i class="dot"></i>${label}<span class="count">${count}</span></span>
        <span class="sr-only" role="status">Connection: ${label}</span>
        ${retry && html`<button type="button" class="quiet small" onClick=${() => client.reconnect()}>Try now</button>`}
      </div>
    `;
  },
  { mount: watch, unmount: (_, self) => self.end() },
);
