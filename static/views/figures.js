/** The figures of the activity in words for people, and the bounds that were reached. */
import { limitsOf, quantiles, total } from "../metrics.js";
import { amount, counted, html } from "./html.js";

const SIZES = ["B", "KiB", "MiB", "GiB", "TiB"];
export function size(bytes) {
  const power = Math.min(SIZES.length - 1, Math.max(0, Math.floor(Math.log2(bytes || 1) / 10)));
  const value = bytes / 1024 ** power;
  return `${value < 10 && power > 0 ? value.toFixed(1) : Math.round(value)} ${SIZES[power]}`;
}

const NONE = new Map();

export function Tiles({ families }) {
  const of = (...what) => total(families, ...what);
  const is_up = of("plank_listener_up") === 1;
  const reconnects = of("plank_listener_reconnects_total");
  const slow = of("plank_slow_sessions");
  const resets = of("plank_resumes_total", "result", "reset");
  const [behind] = quantiles(NONE, families, "plank_session_lag_bytes", [0.5]);
  const tiles = [
    { name: "Follows the database", value: is_up ? "following" : "connection lost", tone: is_up ? "good" : "bad", more: reconnects ? `came back ${counted(reconnects, "time")}` : "never lost" },
    { name: "Wake-up", value: of("plank_bell_armed") ? "by the database" : "by itself", more: of("plank_bell_armed") ? "the database wakes plank when something is written" : "much is written, so plank looks all the time" },
    { name: "Clients", value: amount(of("plank_sessions")), more: `${counted(of("plank_subscriptions"), "subscription")}, ${counted(of("plank_topics"), "topic")}` },
    { name: "Slow clients", value: amount(slow), tone: slow ? "warn" : undefined, more: `${size(of("plank_backlog_bytes"))} kept for them now${behind === null ? "" : `; half were less than ${size(behind)} behind`}; ${amount(of("plank_sessions_fallen_behind_total"))} had to go on from the log` },
    { name: "Change log", value: counted(of("plank_log_rows"), "row"), more: size(of("plank_log_bytes")) },
    { name: "Began anew", value: amount(resets), tone: resets ? "warn" : undefined, more: `clients that were away for too long; ${size(of("plank_window_bytes"))} of changes in memory` },
    { name: "Memory", value: size(of("process_resident_memory_bytes")), more: `${amount(of("process_open_fds"))} files and sockets are open` },
  ];
  return html`<dl class="tiles">
    ${tiles.map(({ name, value, tone, more }) => html`<div data-tone=${tone}><dt>${name}</dt><dd><b>${value}</b><span>${more}</span></dd></div>`)}
  </dl>`;
}

/** What it means that a bound was reached, and what to do. */
const LIMITS = {
  connections: ["Too many clients at once", "--max-connections"],
  connections_per_ip: ["Too many clients of one address", "--max-connections-per-ip"],
  connections_per_principal: ["Too many clients of one log-in", "--max-connections-per-principal"],
  descriptors: ["No file descriptor was left for a client", "LimitNOFILE of the service"],
  requests_per_second: ["Requests came too fast", "--max-requests-per-second"],
  handshakes_per_second: ["Sockets were opened too fast", "--max-handshakes-per-second"],
  messages_per_second: ["A client sent messages too fast", "--max-messages-per-second"],
  request_head: ["A request took more than 10 s for its head", "a client that is slow, or means no good"],
  topics: ["Too many different subscriptions", "let clients share filters"],
  topics_per_principal: ["Too many different subscriptions of one log-in", "let clients share filters"],
  filter_cost: ["The filters of all clients are too dear", "fewer patterns and lists in filters"],
  filter_cost_per_principal: ["The filters of one log-in are too dear", "fewer patterns and lists in filters"],
  windows: ["Too many live windows and counts", "let clients share them"],
  windows_per_principal: ["Too many live windows and counts of one log-in", "let clients share them"],
  window_bytes: ["A live window or count was too large", "a smaller limit, or fewer groups"],
  subscriptions: ["A client asked for more than 100 subscriptions", "fewer in one socket"],
  backlog_bytes: ["Slow clients had more waiting than is kept; they go on from the log", "a better link, or narrower subscriptions"],
  stall: ["A client took nothing for 20 s, and was let go", "its link, or a page that hangs"],
  replies: ["A client asked and did not read the answers", "its program"],
  history: ["A client gave up before it had caught up", "a better link, or --retention"],
  snapshot: ["The rows of a table took longer than 10 minutes", "a filter, or pages"],
  snapshot_pause: ["A client read rows slowly while others waited", "its link"],
  live_query_rows: ["The result of a live query has too many rows", "--live-query-rows-max"],
  live_query_time: ["A live query took more than 30 s", "an index, or a scope"],
  hub_turn: ["A change was dear to look at; it was done in several turns", "fewer patterns in filters"],
  batch_text: ["A batch was large; it was sent in parts", "nothing to do"],
};

export function Limits({ families }) {
  const limits = limitsOf(families);
  return html`<div class="activity-table">
    <h2 id="limits">Limits that were reached</h2>
    ${limits.length === 0
      ? html`<p class="activity-note">None since the server started.</p>`
      : html`<div class="scrolls" tabindex="0" role="region" aria-labelledby="limits"><table>
          <thead><tr><th scope="col">What happened</th><th scope="col" class="number">Times</th><th scope="col">What changes it</th></tr></thead>
          <tbody>${limits.map(([name, times]) => {
            const [what, remedy] = LIMITS[name] ?? [name.replaceAll("_", " "), "docs/OPERATIONS.md, plank_limits_total"];
            return html`<tr key=${name}><th scope="row">${what}</th><td class="number">${amount(times)}</td><td>${remedy.startsWith("--") ? html`<code>${remedy}</code>` : remedy}</td></tr>`;
          })}</tbody>
        </table></div>`}
  </div>`;
}
