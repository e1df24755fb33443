/** What the server does right now: plots and figures from its own /metrics, read once a second while one looks. */
import { signal } from "@preact/signals-core";
import { useEffect } from "preact/hooks";
import { pathOf, shortName } from "../address.js";
import { activity, metrics } from "../http.js";
import { keep, kept } from "../kept.js";
import { History } from "../metrics.js";
import { useSignal } from "./hooks.js";
import { amount, html, live } from "./html.js";
import { Limits, Tiles } from "./figures.js";
import { Plot } from "./plot.js";
import { Topics, TopicRates } from "./topics.js";

const READ_EVERY_MS = 1_000;
/** Each is a question to the hub. */
const TOPICS_EVERY = 3;
/** A refusal is not mended within a second, and each one is a line in the browser's console. */
const REFUSED_EVERY_MS = 15_000;
/** Seconds, and what they are called. */
const SPANS = [
  [60, "1 min"],
  [300, "5 min"],
  [1_800, "30 min"],
];

const perSecond = (value) => (value >= 100 ? amount(Math.round(value)) : amount(Math.round(value * 10) / 10));
const inMs = (value) => `${value >= 100 ? Math.round(value) : value.toPrecision(2)} ms`;

/** The series of each plot: their name in History, for people, and their colour in style.css; and what it means. */
const PLOTS = [
  { title: "Changes per second", what: "Rows that were written to the watched tables, by anybody.", format: perSecond, series: [["insert", "inserts", "--done"], ["update", "updates", "--open"], ["delete", "deletes", "--bad"]] },
  { title: "Delivery latency", what: "From the beginning of the transaction that wrote to the moment when clients were sent it. A long transaction counts whole.", format: inMs, series: [["p50", "half within", "--done"], ["p95", "95 %", "--active"], ["p99", "99 %", "--bad"]] },
  { title: "Delivered per second", what: "A change that goes to ten clients counts ten times.", format: perSecond, series: [["delivered", "changes", "--accent"]] },
  { title: "Clients", what: "By how they listen: a socket, a stream of events, or a request that waits.", format: amount, series: [["websocket", "WebSocket", "--open"], ["sse", "SSE", "--done"], ["poll", "long poll", "--active"]] },
  { title: "Behind the database", what: "How old the newest change was when plank read it.", format: (value) => inMs(value * 1000), series: [["lag", "newest change", "--accent"]] },
  { title: "Clients behind", what: "Slow ones do not take what they are sent; those that catch up are reading what they have missed, or the rows.", format: amount, series: [["slow", "slow", "--bad"], ["catching", "catching up", "--active"]] },
  { title: "Clients that came back, per second", what: "They got what they had missed from memory or from the log. Those away for longer than the log reaches began anew, with all rows.", format: perSecond, series: [["window", "from memory", "--done"], ["log", "from the log", "--active"], ["reset", "began anew", "--bad"]] },
];

/** What was read, kept while other views are looked at; another log-in begins anew. */
const kept_views = new WeakMap();

/** @param {{shown: import("@preact/signals-core").Signal, catalog: import("../catalog.js").Catalog}} props */
export default live(({ shown, catalog }) => {
  const view = useView(catalog);
  const span = useSignal(kept("activity span", SPANS[1][0]));
  useEffect(() => {
    shown.value = null;
  }, []);
  view.tick.value;
  const failure = view.failure.value;
  const { history, rates } = view;
  if (!history.latest) return html`<h1 class="sr-only">Activity</h1>
      <div class="nothing" role="status">${failure ? html`<${Failure} failure=${failure} />` : html`<p>Reading the server's figures</p>`}</div>`;
  return html`
    <section class="activity" aria-label="Activity" tabindex="0">
      <h1 class="sr-only">Activity</h1>
      ${failure && html`<div class="banner" role="alert"><span>${failure.short} What is shown is from before.</span></div>`}
      <${Tiles} families=${history.latest} />
      <fieldset class="spans">
        <legend>The last</legend>
        ${SPANS.map(([seconds, label]) => html`<label class="segment"><input type="radio" name="span" checked=${span.value === seconds} onChange=${() => keep("activity span", (span.value = seconds))} /><span>${label}</span></label>`)}
      </fieldset>
      <div class="plots">
        ${PLOTS.map((plot) => html`<${Plot} key=${plot.title} ...${plot} history=${history} tick=${view.tick} span=${span} />`)}
        <${Busiest} tables=${history.busiest} />
      </div>
      <${Topics} rates=${rates} />
      <${Limits} families=${history.latest} />
      <p class="activity-note">These figures are of the process that answers. Behind a proxy with several nodes each answer may come from another node. What is older than this view is in your Prometheus, if you have one: <code>/metrics</code> is made for it.</p>
    </section>
  `;
});

function useView(catalog) {
  if (!kept_views.has(catalog)) kept_views.set(catalog, { history: new History(), rates: new TopicRates(), tick: signal(0), failure: signal(null), round: 0 });
  const view = kept_views.get(catalog);
  useEffect(() => {
    let timer = 0;
    let is_over = false;
    async function look() {
      clearTimeout(timer);
      let wait_ms = READ_EVERY_MS;
      if (!document.hidden) {
        const outcome = await read(view.history);
        if (!outcome && view.round++ % TOPICS_EVERY === 0) await activity().then((answer) => view.rates.add(answer, Date.now() / 1000), () => {});
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
  }, [view]);
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
