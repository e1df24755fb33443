/** What differs within two values of JSON. Pure. */
import { isSame } from "./rows.js";

/** Whether a value has parts. */
export const isNode = (value) => value !== null && typeof value === "object" && [Object, Array].includes(Object.getPrototypeOf(value)?.constructor);

/** Whether two values are shown as one tree, with what differs inside it. */
export const areAlike = (before, after) => isNode(before) && isNode(after) && Array.isArray(before) === Array.isArray(after);

/**
 * The parts of two values that are alike, in the order of the newer one; what was taken away stands last.
 * @returns {{name: string, op: "same" | "update" | "insert" | "delete", before?: any, after?: any}[]}
 */
export function partsOf(before, after) {
  const had = (name) => Object.hasOwn(before, name);
  const there = Object.keys(after).map((name) =>
    had(name) ? { name, op: isSame(before[name], after[name]) ? "same" : "update", before: before[name], after: after[name] } : { name, op: "insert", after: after[name] },
  );
  const gone = Object.keys(before).filter((name) => !Object.hasOwn(after, name)).map((name) => ({ name, op: "delete", before: before[name] }));
  return [...there, ...gone];
}
