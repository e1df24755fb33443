/** The page of the Suspense tests: what is drawn and committed, under StrictMode, made anew or over what a server has rendered. */
import { StrictMode, Suspense, startTransition, useEffect, useState } from "react";
import { createRoot, hydrateRoot } from "react-dom/client";
import { connect } from "plank-client";
import { PlankProvider, useRow, useRows } from "plank-client/react";

/** Each commit of a list, as its status and how many rows it had. */
if (globalThis.window) window.commits = [];

function List({ status }) {
  const { rows, status: is } = useRows({ table: "todos", filter: `status=eq.${status}` }, { suspense: true });
  const text = `${status}: ${is} ${rows.length}`;
  useEffect(() => {
    window.commits.push(text);
  }, [text]);
  return <ul>{rows.map(({ id, name }) => <li key={id ?? name}>{name}</li>)}</ul>;
}

function One() {
  const { row } = useRow("todos", { id: 1 }, { suspense: true });
  return <p>{row ? row.name : "nothing"}</p>;
}

function Refused() {
  const { error } = useRows({ table: "nope" }, { suspense: true });
  return <em>{error?.code}</em>;
}

function Page() {
  const [status, setStatus] = useState("open");
  return (
    <main>
      <button id="past" onClick={() => setStatus("past")}>past</button>
      <button id="later" onClick={() => startTransition(() => setStatus("later"))}>later</button>
      <Suspense fallback={<i>loading</i>}>
        <List status={status} />
        <One />
        <Refused />
      </Suspense>
    </main>
  );
}

export const App = (props) => <StrictMode><PlankProvider {...props}><Page /></PlankProvider></StrictMode>;

if (globalThis.document) {
  const root = document.getElementById("root");
  const given = window.WITH_CLIENT ? { client: (window.client = connect(window.PLANK)) } : { url: window.PLANK };
  if (root.firstChild) hydrateRoot(root, <App {...given} />, { onRecoverableError: (error) => console.error(`recovered: ${error}`) });
  else createRoot(root).render(<App {...given} />);
}
