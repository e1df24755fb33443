/**
 * The connection indicator. It says "Live" only when every link of the chain is: socket, subscription, complete list,
 * and the server's own database.
 */
import { useComputed, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ready } from "../api.js";
import { clock, html, now } from "./html.js";

const READY_EVERY_MS = 10_000;
/** While something is amiss: the page should not go on saying so for long after it is mended. */
const READY_SOON_MS = 3_000;
/** After this long without a server, "reconnecting" would be too hopeful a word. */
const OFFLINE_AFTER_MS = 30_000;

const CLOSE_REASONS = { 4501: "sign in first", 4502: "your sign-in has expired", 4503: "you may not see this", 4504: "this page is out of date" };

/**
 * @param {import("../plank.js").State} state
 * @param {import("../items.js").LiveItems} items
 * @returns {{tone: string, label: string, count?: string, spoken?: string, retry?: boolean}} `count` is what
 *   changes every second, and is not read aloud.
 */
function describe(state, items, database_away_since, online, now_ms) {
  if (state.phase === "closed") {
    const reason = CLOSE_REASONS[state.close?.code] ?? state.close?.reason;
    return { tone: "closed", label: reason ? `Closed: ${reason}` : "Closed" };
  }
  if (state.phase === "open") return describeOpen(items, database_away_since, now_ms);
  const count = state.retry_at === null ? "now" : seconds(state.retry_at, now_ms);
  if (!online || now_ms - state.since > OFFLINE_AFTER_MS) {
    return { tone: "offline", label: `Offline since ${clock(state.since)}`, count: `, trying ${count}`, retry: true };
  }
  if (!state.close) return { tone: "connecting", label: "Connecting" };
  return { tone: "reconnecting", label: "Reconnecting", count: ` ${count}`, retry: state.retry_at !== null };
}

function describeOpen(items, database_away_since, now_ms) {
  const phase = items.phase.value;
  const failure = items.failure.value;
  if (failure) return { tone: "away", label: failure.sentence, count: ` Trying again ${seconds(failure.retry_at, now_ms)}` };
  if (phase === "ended") return { tone: "closed", label: "This table is not watched any more" };
  // The socket is up, and the server itself has to wait.
  if (phase === "waiting" && database_away_since) return { tone: "away", label: "Waiting for the database" };
  if (phase !== "live") return { tone: "connecting", label: "Loading", count: items.listed.value ? ` ${items.listed.value} rows` : "" };
  if (database_away_since) return { tone: "away", label: `Changes delayed since ${clock(database_away_since)}` };
  return { tone: "live", label: "Live" };
}

function seconds(at_ms, now_ms) {
  const left_s = Math.ceil((at_ms - now_ms) / 1000);
  return left_s > 0 ? `in ${left_s} s` : "now";
}

/** Asks the server whether it follows its database while the socket is up: a socket can stay open over a database that is away. */
function useDatabaseAway(state, items) {
  const away_since = useSignal(null);
  useEffect(() => {
    let timer = setTimeout(ask, READY_SOON_MS);
    let is_over = false;
    async function ask() {
      if (!document.hidden && state.value.phase === "open" && items.phase.value !== "failed") {
        const is_ready = await ready();
        away_since.value = is_ready ? null : (away_since.value ?? Date.now());
      }
      clearTimeout(timer);
      const is_well = items.phase.value === "live" && away_since.value === null;
      if (!is_over) timer = setTimeout(ask, is_well ? READY_EVERY_MS : READY_SOON_MS);
    }
    document.addEventListener("visibilitychange", ask);
    return () => {
      is_over = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", ask);
    };
  }, []);
  return away_since;
}

export function Connection({ client, state, items }) {
  const away_since = useDatabaseAway(state, items);
  const shown = useComputed(() => describe(state.value, items, away_since.value, navigator.onLine, now.value));
  const spoken = useComputed(() => shown.value.label);
  const { tone, label, count, retry } = shown.value;
  return html`
    <div class="connection" data-state=${tone}>
      <span class="connection-text" aria-hidden="true"><i class="dot"></i>${label}<span class="count">${count}</span></span>
      <span class="sr-only" role="status">Connection: ${spoken}</span>
      ${retry && html`<button type="button" class="quiet small" onClick=${() => client.reconnect()}>Try now</button>`}
    </div>
  `;
}
