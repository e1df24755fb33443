/** What the server does right now: plots and figures from its own /metrics, read once a second while one looks. */
import { signal } from "@preact/signals-core";
import { useEffect, useState } from "preact/hooks";
import { pathOf, shortName } from "../address.js";
import { metrics } from "../http.js";
import { History, total } from "../metrics.js";
import { amount, counted, html, live } from "./html.js";
import { Plot } from "./plot.js";

const READ_EVERY_MS = 1_000;
/** A refusal is not mended within a second, and each one is a line in the browser's console. */
const REFUSED_EVERY_MS = 15_000;

const perSecond = (value) => (value >= 100 ? amount(Math.round(value)) : amount(Math.round(value * 10) / 10));
const inMs = (value) => `${value >= 100 ? Math.round(value) : value.toPrecision(2)} ms`;

/** The series of each plot: their name in History, for people, and their colour in style.css. */
const PLOTS = [
  { title: "Changes per second", format: perSecond, series: [["insert", "inserts", "--done"], ["update", "updates", "--open"], ["delete", "deletes", "--bad"]] },
  { title: "Delivery latency", format: inMs, series: [["p50", "half", "--done"], ["p95", "95 %", "--active"], ["p99", "99 %", "--bad"]] },
  { title: "Delivered per second, to all sockets", format: perSecond, series: [["delivered", "changes", "--accent"]] },
  { title: "Clients", format: amount, series: [["websocket", "WebSocket", "--open"], ["sse", "SSE", "--done"], ["poll", "long poll", "--active"]] },
  { title: "Behind the database", format: (value) => inMs(value * 1000), series: [["lag", "newest change", "--accent"]] },
  { title: "Clients behind", format: amount, series: [["slow", "slow", "--bad"], ["catching", "catching up", "--active"]] },
  { title: "Resumes per second", format: perSecond, series: [["window", "from memory", "--done"], ["log", "from the log", "--active"], ["reset", "reset", "--bad"]] },
];

/** @param {{shown: import("@preact/signals-core").Signal}} props */
export default live(({ shown }) => {
  const view = useView();
  useEffect(() => {
    shown.value = null;
  }, []);
  view.tick.value;
  const failure = view.failure.value;
  const { history } = view;
  if (!history.latest) return html`<h1 class="sr-only">Activity</h1>
      <div class="nothing" role="status">${failure ? html`<${Failure} failure=${failure} />` : html`<p>Reading the server's figures</p>`}</div>`;
  return html`
    <section class="activity" aria-label="Activity" tabindex="0">
      <h1 class="sr-only">Activity</h1>
      ${failure && html`<div class="banner" role="alert"><span>${failure.short} What is shown is from before.</span></div>`}
      <${Tiles} families=${history.latest} />
      <div class="plots">
        ${PLOTS.map((plot) => html`<${Plot} key=${plot.title} ...${plot} history=${history} tick=${view.tick} />`)}
        <${Busiest} tables=${history.busiest} />
      </div>
      <p class="activity-note">Of the process that answers, in the last five minutes at most, since this view was opened. Behind a proxy with several nodes that may be another one each time.</p>
    </section>
  `;
});

function useView() {
  const [view] = useState(() => ({ history: new History(), tick: signal(0), failure: signal(null) }));
  useEffect(() => {
    let timer = 0;
    let is_over = false;
    async function look() {
      clearTimeout(timer);
      let wait_ms = READ_EVERY_MS;
      if (!document.hidden) {
        const outcome = await read(view.history);
        view.failure.value = outcome;
        view.tick.value += 1;
        if (outcome?.is_refusal) wait_ms = REFUSED_EVERY_MS;
      }
      if (!is_over) timer = setTimeout(look, wait_ms);
    }
    look();
    return () => {
      is_over = true;
      clearTimeout(timer);
    };
  }, []);
  return view;
}

/** @returns {Promise<{short: string, why?: string, is_refusal?: boolean} | null>} What stands in the way. */
async function read(history) {
  try {
    const text = await metrics();
    if (!text.includes("plank_listener_up")) return { short: "There are no figures of plank at /metrics.", why: "Something in front of it answers there in its place.", is_refusal: true };
    history.add(text, Date.now() / 1000);
    return null;
  } catch ({ status, message }) {
    if (status === 0) return { short: "The server does not answer." };
    if ([401, 403, 404].includes(status)) {
      return {
        short: `The figures at /metrics are not shown here (${status}).`,
        why: "They name tables, so a proxy in front of plank mostly keeps them to itself, as nginx/plank.conf does. Allow your address there, or open this page on the machine itself.",
        is_refusal: true,
      };
    }
    return { short: `The figures can't be read: ${message}` };
  }
}

function Failure({ failure }) {
  return html`<p><strong>${failure.short}</strong></p><p>${failure.why ?? "Trying again."}</p>`;
}

const SIZES = ["B", "KiB", "MiB", "GiB", "TiB"];
function size(bytes) {
  const power = Math.min(SIZES.length - 1, Math.max(0, Math.floor(Math.log2(bytes || 1) / 10)));
  const value = bytes / 1024 ** power;
  return `${value < 10 && power > 0 ? value.toFixed(1) : Math.round(value)} ${SIZES[power]}`;
}

function Tiles({ families }) {
  const of = (...what) => total(families, ...what);
  const is_up = of("plank_listener_up") === 1;
  const reconnects = of("plank_listener_reconnects_total");
  const slow = of("plank_slow_sessions");
  const resets = of("plank_resumes_total", "result", "reset");
  const tiles = [
    { name: "Follows the database", value: is_up ? "following" : "connection lost", tone: is_up ? "good" : "bad", more: reconnects ? `came back ${counted(reconnects, "time")}` : "never lost" },
    { name: "Wake-up", value: of("plank_bell_armed") ? "by the database" : "by itself", more: of("plank_bell_armed") ? "the database wakes plank when something is written" : "much is written, so plank looks all the time" },
    { name: "Clients", value: amount(of("plank_sessions")), more: `${counted(of("plank_subscriptions"), "subscription")}, ${counted(of("plank_topics"), "topic")}` },
    { name: "Slow sessions", value: amount(slow), tone: slow ? "warn" : undefined, more: `${size(of("plank_backlog_bytes"))} kept for them, ${amount(of("plank_sessions_fallen_behind_total"))} fell behind` },
    { name: "Change log", value: counted(of("plank_log_rows"), "row"), more: size(of("plank_log_bytes")) },
    { name: "Started over", value: amount(resets), tone: resets ? "warn" : undefined, more: `clients away for too long; ${size(of("plank_window_bytes"))} of changes in memory` },
    { name: "Memory", value: size(of("process_resident_memory_bytes")), more: counted(of("process_open_fds"), "descriptor") },
  ];
  return html`<dl class="tiles">
    ${tiles.map(({ name, value, tone, more }) => html`<div data-tone=${tone}><dt>${name}</dt><dd><b>${value}</b><span>${more}</span></dd></div>`)}
  </dl>`;
}

const TABLES_MAX = 6;

function Busiest({ tables }) {
  const most = tables[0]?.[1] || 1;
  return html`<section class="plot busiest" aria-labelledby="busiest">
    <h2 id="busiest">Busiest tables</h2>
    ${tables.length === 0
      ? html`<p>Nothing was written since the server started.</p>`
      : html`<ol>${tables.slice(0, TABLES_MAX).map(
          ([table, rate]) => html`<li><a href=${pathOf({ view: "table", name: table })}>${shortName(table)}</a><b>${perSecond(rate)} /s</b><i style=${{ width: `${(rate / most) * 100}%` }}></i></li>`,
        )}</ol>`}
  </section>`;
}
