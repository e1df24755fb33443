/** One plot over the last minutes, with uPlot, which is loaded with the first of them. What it shows now is text as well. */
import { useEffect, useRef } from "preact/hooks";
import { clock, html, live } from "./html.js";

const HEIGHT_PX = 150;
/** What is drawn of the past before there is one, so that the first minute does not race. */
const SPAN_MIN_S = 60;

let loading = null;
const uPlot = () =>
  (loading ??= new Promise((resolve, reject) => {
    const script = Object.assign(document.createElement("script"), { src: "static/vendor/uPlot.iife.min.js", onload: () => resolve(window.uPlot) });
    script.onerror = () => {
      script.remove();
      loading = null;
      reject(new Error("uPlot can't be loaded"));
    };
    document.head.append(script);
  }));

/** A colour of style.css as a canvas wants it: of the theme that is in force while it is drawn. */
function colour(name) {
  const probe = document.getElementById("app");
  probe.style.setProperty("accent-color", `var(${name})`);
  return getComputedStyle(probe).accentColor;
}

function options(width, series, format, reach) {
  const axis = { stroke: () => colour("--muted"), grid: { stroke: () => colour("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
  return {
    width,
    height: HEIGHT_PX,
    legend: { show: false },
    cursor: { y: false, points: { size: 6 } },
    padding: [8, 8, 0, 0],
    scales: {
      // Not what uPlot makes of one reading, which is a day.
      x: { range: reach },
      // From zero, and never flat: a rate of nothing is a line on the ground.
      y: { range: (_, _from, to) => [0, to > 0 ? to * 1.1 : 1] },
    },
    axes: [
      { ...axis, size: 26, space: 80, values: (_, ticks) => ticks.map((tick) => clock(tick * 1000)) },
      { ...axis, size: 58, space: 34, values: (_, ticks) => ticks.map((tick) => (tick === 0 ? "0" : format(tick))) },
    ],
    series: [{}, ...series.map(([, label, name]) => ({ label, stroke: () => colour(name), width: 1.5, points: { show: false }, spanGaps: false }))],
  };
}

/** @param {{title: string, what: string, series: [string, string, string][], format: (value: number) => string, history: import("../metrics.js").History, tick: object, span: object}} props */
export const Plot = live(({ title, what, series, format, history, tick, span }) => {
  const place = useRef(null);
  useEffect(() => {
    let plot = null;
    let stop = () => {};
    let is_over = false;
    const reach = () => {
      const [at] = history.last(span.peek(), []);
      return [Math.min(at[0], at.at(-1) - Math.min(SPAN_MIN_S, span.peek())), at.at(-1)];
    };
    const data = () => history.last(span.peek(), series.map(([name]) => name));
    uPlot().then(
      (Plot) => {
        if (is_over) return;
        plot = new Plot(options(place.current.clientWidth, series, format, reach), data(), place.current);
        // It tells once more of a place that has just been left.
        const observer = new ResizeObserver(() => place.current && plot.setSize({ width: place.current.clientWidth, height: HEIGHT_PX }));
        observer.observe(place.current);
        const draw = () => plot.setData(data());
        const stops = [tick.subscribe(draw), span.subscribe(draw)];
        stop = () => {
          observer.disconnect();
          stops.forEach((one) => one());
          plot.destroy();
        };
      },
      // The figures beside it stay; the next visit tries again.
      () => {},
    );
    return () => {
      is_over = true;
      stop();
    };
  }, []);
  tick.value;
  const now = series.map(([name, label, name_of_colour]) => ({ label, value: history.series[name]?.at(-1) ?? null, name_of_colour }));
  return html`
    <section class="plot">
      <h2>${title}</h2>
      <p class="plot-what">${what}</p>
      <p class="legend">
        ${now.map(({ label, value, name_of_colour }) => html`<span><i style=${{ background: `var(${name_of_colour})` }}></i>${label} <b>${value === null ? "none" : format(value)}</b></span>`)}
      </p>
      <div class="plot-place" ref=${place} aria-hidden="true" style=${{ height: `${HEIGHT_PX}px` }}></div>
    </section>
  `;
});
