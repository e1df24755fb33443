/** The page of the React tests: a list under StrictMode, and a record of how often it was drawn. */
import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import { PlankProvider, useConnection, usePlank, useRow, useRows } from "plank-client/react";

window.drawn = 0;
window.snapshots = new Set();

function List({ status }) {
  const live = useRows({ table: "todos", filter: `status=eq.${status}` });
  window.drawn += 1;
  window.snapshots.add(live.rows);
  return (
    <ul data-status={live.status}>
      {live.rows.map(({ id, name }) => <li key={id ?? name}>{name}</li>)}
    </ul>
  );
}

function One({ id }) {
  const { row, status } = useRow("todos", { id });
  return <p data-status={status}>{row ? row.name : "nothing"}</p>;
}

function Refused() {
  const { status, error } = useRows({ table: "nope" });
  return <em>{status} {error?.code}</em>;
}

function Page() {
  const client = usePlank();
  const { phase } = useConnection();
  const [status, setStatus] = useState("open");
  const [is_there, setThere] = useState(true);
  window.client = client;
  return (
    <main data-phase={phase}>
      <button id="switch" onClick={() => setStatus(status === "open" ? "done" : "open")}>switch</button>
      <button id="hide" onClick={() => setThere(!is_there)}>hide</button>
      <button id="add" onClick={() => client.table("todos").insert({ name: "from the page", status: "open" })}>add</button>
      {is_there && <List status={status} />}
      {is_there && <List status={status} />}
      <One id={1} />
      <Refused />
    </main>
  );
}

function App() {
  const [token, setToken] = useState("one");
  window.setToken = setToken;
  window.tokens ??= [];
  return (
    <PlankProvider url={window.PLANK} auth={window.WITH_TOKEN ? () => (window.tokens.push(token), token) : undefined}>
      <Page />
    </PlankProvider>
  );
}

createRoot(document.getElementById("root")).render(<StrictMode><App /></StrictMode>);
