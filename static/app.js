/** Starts the page: one client, the views over it, which of them the address names, and the log-in when there is one. */
import { effect, signal, untracked } from "@preact/signals-core";
import { render } from "preact";
import { onSignedOut, session as readSession } from "./http.js";
import { Items } from "./items.js";
import { connect } from "./plank.js";
import { Board, itemsFilter } from "./views/board.js";
import { Connection } from "./views/connection.js";
import { html, lazy, live, titled } from "./views/html.js";

const VIEWS = ["items", "tables", "activity"];
const Tables = lazy(() => import("./views/tables.js"), "static/views/tables.css");
const Activity = lazy(() => import("./views/activity.js"), "static/views/activity.css");
const Login = lazy(() => import("./views/login.js"), "static/views/login.css");
const Who = lazy(() => import("./views/who.js"), "static/views/login.css");

/** What a close code says about who is asking. */
const SIGNED_OUT = { 4501: "", 4502: "Your log-in has expired.", 4503: "With this log-in you may not see the tables." };

/** `#/tables/public.orders?total=gt.5`: the view, what it shows, and the filter as it was typed. */
const route = signal(readRoute());
addEventListener("hashchange", () => (route.value = readRoute()));

function readRoute() {
  const [path, ...typed] = location.hash.replace(/^#\/?/, "").split("?");
  const [view, name] = path.split("/");
  const decode = (text) => {
    try {
      return decodeURIComponent(text);
    } catch {
      return "";
    }
  };
  return { view: VIEWS.includes(view) ? view : "items", name: decode(name ?? ""), typed: decode(typed.join("?")) };
}

/** Goes to a view; a filter is no step that one would want to go back by. */
export function go(view, name, typed) {
  const path = `#/${view}${name ? `/${encodeURIComponent(name)}` : ""}${typed ? `?${encodeURIComponent(typed)}` : ""}`;
  if (route.value.view === view && route.value.name === (name ?? "")) {
    history.replaceState(null, "", path);
    route.value = readRoute();
  } else location.hash = path;
}

/** Who is asking, when the server wants to know; `wanted` is why a log-in is needed. */
const session = signal(null);
const login = signal(null);
/** One client, and what lives as long as it; anew after each log-in. */
const running = signal(null);
/** The table whose state the indicator shows. */
const table = signal(null);

function start() {
  const client = connect("ws");
  const state = signal(client.state);
  client.onState((next) => {
    // One that is being left has no say any more.
    if (running.value && running.value.client !== client) return;
    state.value = { ...next };
    if (next.phase === "closed" && next.close?.code in SIGNED_OUT) signOut(SIGNED_OUT[next.close.code]);
  });
  running.value = { client, state, items: null };
  // Without log-in there is no such address on an older server, and nothing to show.
  readSession().then(
    (answer) => (session.value = answer?.auth ? answer : null),
    () => {},
  );
}

/** Closes a client, but not in the middle of a handshake: a browser calls that an error. */
function leave(client) {
  const stop = client.onState(({ phase }) => phase !== "connecting" && queueMicrotask(() => (stop(), client.close())));
}

function signOut(why) {
  if (login.value) return;
  login.value = { why };
  if (running.value) leave(running.value.client);
  running.value = table.value = session.value = null;
}

onSignedOut(() => signOut(session.value ? "Your log-in has expired." : ""));

function logIn(answer) {
  session.value = answer;
  login.value = null;
  start();
}

const App = live(() => {
  const { view, name, typed } = route.value;
  if (login.value) return html`<main class="alone"><${Login} why=${login.value.why} onLogin=${logIn} /></main>`;
  const { client, state } = running.value;
  return html`
    <header class="bar">
      <a class="brand" href="#/items"><img src="static/favicon.svg" alt="" width="22" height="22" />plank</a>
      <nav aria-label="Views">
        ${VIEWS.map((one) => html`<a href=${`#/${one}`} aria-current=${one === view ? "page" : undefined}>${titled(one)}</a>`)}
        <a href="docs" aria-label="HTTP API">API</a>
      </nav>
      <${Connection} key=${client} client=${client} state=${state} table=${table} />
      <${Theme} />
      ${session.value && html`<${Who} session=${session.value} onOut=${() => signOut("You are logged out.")} />`}
    </header>
    <main>
      ${view === "items" && html`<${Board} items=${items(itemsFilter(typed))} typed=${typed} onFilter=${(text) => go("items", "", text)} />`}
      ${view === "tables" && html`<${Tables} client=${client} name=${name} typed=${typed} shown=${table} go=${go} />`}
      ${view === "activity" && html`<${Activity} shown=${table} />`}
    </main>
  `;
});

/** The items stay while other views are looked at: a user who comes back finds them as they are. */
const items = (filter) =>
  untracked(() => {
    const spec = filter ? { filter } : {};
    const shown = (running.value.items ??= new Items(running.value.client, spec));
    if (shown.wanted.filter !== spec.filter) shown.show(spec);
    table.value = shown;
    return shown;
  });

effect(() => (document.title = `${titled(route.value.view)} · plank`) && undefined);

const THEMES = ["auto", "light", "dark"];
const root = document.documentElement;
const theme = signal(root.dataset.theme ?? "auto");

/** The switch between the system's theme, the light and the dark one; theme.js sets early what was chosen here. */
const Theme = live(() => {
  const label = `Theme: ${theme.value}`;
  const next = () => {
    theme.value = root.dataset.theme = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length];
    try {
      localStorage.setItem("theme", theme.value);
    } catch {
      // A browser that keeps nothing still shows it.
    }
  };
  return html`<button type="button" class="icon" title=${label} aria-label=${label} onClick=${next}>
    <svg viewBox="0 0 16 16" aria-hidden="true" data-theme-icon=${theme.value}><circle cx="8" cy="8" r="6" /><path d="M8 2a6 6 0 0 0 0 12z" /></svg>
  </button>`;
});

start();
render(html`<${App} />`, document.getElementById("app"));
