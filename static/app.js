/** Starts the page: one client, one live table, and the views over them. */
import { signal } from "@preact/signals";
import { render } from "preact";
import { LiveItems } from "./items.js";
import { connect } from "./plank.js";
import { Connection } from "./views/connection.js";
import { Create } from "./views/create.js";
import { html } from "./views/html.js";
import { List } from "./views/list.js";

const client = connect("ws");
const state = signal(client.state);
client.onState((next) => (state.value = { ...next }));
const items = new LiveItems(client);

function App() {
  return html`
    <header class="bar">
      <img src="static/favicon.svg" alt="" width="22" height="22" />
      <span class="brand">plank</span>
      <h1>items</h1>
      <${Connection} client=${client} state=${state} items=${items} />
    </header>
    <main>
      <${Create} items=${items} />
      <${List} items=${items} />
    </main>
    <footer><a href="docs">HTTP API</a></footer>
  `;
}

render(html`<${App} />`, document.getElementById("app"));
