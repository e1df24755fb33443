/** Writes that a hand begins in several places: deleting rows, taking the last write back. */
import { sentenceOf } from "../api.js";
import { counted } from "./html.js";
import { say } from "./toast.js";

/** Deletes the chosen rows, and offers to take it back. */
export async function removeChosen(shown, entries = shown.chosen()) {
  if (!entries.length) return;
  try {
    await shown.edits.remove(entries);
    shown.unchoose();
    const can_undo = shown.may("insert");
    const given = shown.table.columns.find(({ name, fixed }) => fixed && shown.table.key.includes(name));
    const note = can_undo && given ? ` Undo adds it again with another ${given.name}, which only PostgreSQL gives.` : "";
    say(`${counted(entries.length, "row")} deleted.${note}`, { tone: "news", ...(can_undo && { label: "Undo", action: () => undo(shown) }) });
  } catch (problem) {
    say(`Not deleted: ${sentenceOf(problem)}`);
  }
}

export async function undo(shown) {
  try {
    await shown.edits.undo();
    say("Taken back.", { tone: "news" });
  } catch (problem) {
    say(`This can't be taken back: ${sentenceOf(problem)}`);
  }
}
