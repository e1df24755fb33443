/** Vue 3: composables. What they begin ends with the component, or with its effect scope. */
import { computed, onScopeDispose, shallowRef, toValue, watch } from "vue";
import { EMPTY, filterOf, listen, textOf, valueOf } from "./live.js";

/** A ref of `{ rows, status, error }`. `query` may be a ref or a getter: another one is asked for when it changes. */
export function useRows(client, query) {
  const live = shallowRef(EMPTY);
  // A server that renders a page has no client.
  if (!client) return live;
  let stop = () => {};
  const unwatch = watch(
    () => (toValue(query) ? textOf(toValue(query)) : null),
    (text) => {
      const before = stop;
      const tell = () => (live.value = text ? valueOf(client, text) : EMPTY);
      stop = text ? listen(client, text, tell) : () => {};
      before();
      tell();
    },
    { immediate: true, flush: "sync" },
  );
  onScopeDispose(() => {
    unwatch();
    stop();
  });
  return live;
}

/** A ref of `{ row, status, error }`: the row with this key, null when there is none. */
export function useRow(client, table, key, options) {
  const live = useRows(client, () => toValue(key) && { ...options, table, filter: filterOf(toValue(key)) });
  return computed(() => ({ row: live.value.rows[0] ?? null, status: live.value.status, error: live.value.error }));
}

/** A ref of the state of the connection, as `client.state`. */
export function useConnection(client) {
  const state = shallowRef(client.state);
  onScopeDispose(client.onState((next) => (state.value = next)));
  return state;
}
