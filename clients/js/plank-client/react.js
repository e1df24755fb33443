/** React 18 and 19: rows of tables that are live. A component is drawn anew when its rows change, and only then. */
import { createContext, createElement, useCallback, useContext, useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import { connect } from "./dist/plank.js";
import { EMPTY, filterOf, listen, loaded, textOf, valueOf } from "./live.js";

const Plank = createContext(null);
const CONNECTING = { phase: "connecting", since: 0, retry_at: null, attempt: 0, close: null, server: null, transport: "ws" };
const nothing = () => () => {};

/** A client of its own for `url`, from when the page is there until it goes; or `client`, which is the caller's. */
export function PlankProvider({ client, url, auth, options, children }) {
  const [own, setOwn] = useState(null);
  const latest = useRef({ auth, options });
  useEffect(() => {
    latest.current = { auth, options };
  });
  const has_auth = auth !== undefined;
  useEffect(() => {
    if (client || !url) return;
    // Another token is asked for when it is needed: the connection and what is subscribed to stay.
    const token = () => (latest.current.auth?.call ? latest.current.auth() : latest.current.auth);
    const made = connect(url, { ...latest.current.options, ...(has_auth && { auth: token }) });
    setOwn(made);
    return () => {
      setOwn(null);
      made.close();
    };
  }, [client, url, has_auth]);
  return createElement(Plank.Provider, { value: client ?? own }, children);
}

/** The client, for writes; null before the page is there. */
export const usePlank = () => useContext(Plank);

/**
 * `{ rows, status, error }`, always the same object until it changes. Null instead of a query: nothing is asked for. With `suspense` a
 * component waits for its rows, but on a server, which has none.
 */
export function useRows(query, { suspense } = {}) {
  const client = usePlank();
  const text = query && textOf(query);
  const is_asked = client && text;
  const subscribe = useCallback((listener) => (is_asked ? listen(client, text, listener) : nothing()), [client, text]);
  const value = () => valueOf(client, text);
  const live = useSyncExternalStore(subscribe, value, () => EMPTY);
  if (suspense && is_asked && globalThis.window && value().status === "loading") throw loaded(client, text);
  return live;
}

/** `{ row, status, error }`: the row with this key, null when there is none. */
export function useRow(table, key, options) {
  const live = useRows(key && { columns: options?.columns, table, filter: filterOf(key) }, options);
  return useMemo(() => ({ row: live.rows[0] ?? null, status: live.status, error: live.error }), [live]);
}

/** The state of the connection, as `client.state`. */
export function useConnection() {
  const client = usePlank();
  const subscribe = useCallback((listener) => client?.onState(listener) ?? nothing(), [client]);
  return useSyncExternalStore(subscribe, () => client?.state ?? CONNECTING, () => CONNECTING);
}
