/** Starts the page: one client, the views over it, which of them the address names, and the log-in when there is one. */
import { effect, signal, untracked } from "@preact/signals-core";
import { render } from "preact";
import { pathOf, readRoute, shortName, tableOf } from "./address.js";
import { Catalog } from "./catalog.js";
import { ExactSocket } from "./exact.js";
import { onSignedOut, session as readSession } from "./http.js";
import { arrival } from "./login.js";
import { fetchNoted, made } from "./mine.js";
import { connect } from "./plank.js";
import { Connection } from "./views/connection.js";
import { Home } from "./views/home.js";
import { html, lazy, live, titled } from "./views/html.js";

const VIEWS = [
  ["home", "Tables"],
  ["activity", "Activity"],
];
const Board = lazy(() => Promise.all([import("./views/board.js"), import("./items.js").then((module) => (Items = module.Items))]).then(([module]) => module), "static/views/board.css");
const Table = lazy(() => import("./views/table.js"), "static/views/table.css");
const Activity = lazy(() => import("./views/activity.js"), "static/views/activity.css");
const Login = lazy(() => import("./views/login.js"), "static/views/login.css");
const Who = lazy(() => import("./views/who.js"), "static/views/login.css");
let Items;

/** What a close code says about who is asking. */
const SIGNED_OUT = { 4501: "", 4502: "Your log-in has expired.", 4503: "With this log-in you may not see the tables." };

const route = signal(readRoute(location.hash));
addEventListener("hashchange", () => {
  route.value = readRoute(location.hash);
  // Behind an open page; arrival.js has taken it out of the address.
  const arrived = arrival();
  if (arrived?.token) signOut("", arrived.token);
});

/** Goes to another view, or shows the same one otherwise; that is no step that one would want to go back by, but for a sheet. */
function go(next, is_step = next.view !== route.value.view || next.name !== route.value.name) {
  const path = pathOf(next);
  if (path === (location.hash || "#/")) return;
  if (is_step) location.hash = path;
  else {
    history.replaceState(null, "", path);
    route.value = readRoute(path);
  }
}

/** Who is asking, when the server wants to know, and why a log-in is needed, with the token that has come for it. */
const session = signal(null);
const login = signal(null);
/** What came back from a log-in page and is no token; said once. */
let note = "";
/** One client, and what lives as long as it; anew after each log-in. */
const running = signal(null);
/** The table whose state the indicator shows. */
const table = signal(null);

function start() {
  const client = connect("ws", { WebSocket: ExactSocket, fetch: fetchNoted });
  const state = signal(client.state);
  client.onState((next) => {
    // One that is being left has no say any more.
    if (running.value && running.value.client !== client) return;
    state.value = { ...next };
    if (next.phase === "closed" && next.close?.code in SIGNED_OUT) signOut(SIGNED_OUT[next.close.code]);
  });
  running.value = { client, state, items: null, catalog: new Catalog() };
  // Without log-in there is no such address on an older server, and nothing to show.
  readSession().then(
    (answer) => {
      session.value = answer?.auth ? answer : null;
      const said = session.value ? note : "";
      note = "";
      if (said) import("./views/toast.js").then(({ say }) => say(said));
    },
    () => {},
  );
}

/** Closes a client, but not in the middle of a handshake: a browser calls that an error. */
function leave(client) {
  const stop = client.onState(({ phase }) => phase !== "connecting" && queueMicrotask(() => (stop(), client.close())));
}

function signOut(why, token) {
  if (login.value) return;
  login.value = { why: why || note, token };
  note = "";
  if (running.value) {
    leave(running.value.client);
    running.value.catalog.close();
  }
  running.value = table.value = session.value = null;
  made.value = new Set();
}

onSignedOut(() => signOut(session.value ? "Your log-in has expired." : ""));

function logIn(answer) {
  session.value = answer;
  login.value = null;
  start();
}

const App = live(() => {
  const current = route.value;
  const { view, name, filter } = current;
  if (login.value) return html`<main class="alone"><${Login} why=${login.value.why} token=${login.value.token} onLogin=${logIn} /></main>`;
  const { client, state, catalog } = running.value;
  const is_here = (one) => one === view || (one === "home" && view === "table");
  return html`
    <header class="bar">
      <a class="brand" href="#/"><img src="static/favicon.svg" alt="" width="22" height="22" />plank</a>
      <nav aria-label="Views">
        ${VIEWS.map(([one, label]) => html`<a href=${one === "home" ? "#/" : `#/${one}`} aria-current=${is_here(one) ? "page" : undefined}>${label}</a>`)}
        <a href="docs" aria-label="HTTP API">API</a>
      </nav>
      <${Connection} key=${client} client=${client} state=${state} table=${table} />
      <${Theme} />
      ${session.value && html`<${Who} session=${session.value} catalog=${catalog} onOut=${() => signOut("You are logged out.")} />`}
    </header>
    <main>
      ${view === "home" && html`<${Home} catalog=${catalog} session=${session} shown=${table} />`}
      ${view === "board" && html`<${Board} itemsOf=${items} typed=${filter} onFilter=${(text) => go({ view, filter: text })} />`}
      ${view === "table" && html`<${Table} key=${name} client=${client} catalog=${catalog} session=${session} route=${current} shown=${table} go=${go} />`}
      ${view === "activity" && html`<${Activity} shown=${table} catalog=${catalog} />`}
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

effect(() => {
  const { view, name } = route.value;
  const found = view === "table" && tableOf(running.value?.catalog.tables.value ?? [], name);
  document.title = `${view === "table" ? shortName(found?.table ?? name) : view === "home" ? "Tables" : titled(view)} · plank`;
});

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

const arrived = arrival();
note = arrived?.why ?? "";
if (arrived?.token) signOut("", arrived.token);
else start();
render(html`<${App} />`, document.getElementById("app"));
