// Compiled with what `plank gen types --zod` writes, then run: `node made/out/types.js http://127.0.0.1:PORT/rest`. The table `orders` is
// the one of tests/it/rest.
import { PostgrestClient } from "@supabase/postgrest-js";
import { type Database, type Enums, OrdersInsert, OrdersRow, type Tables, type TablesInsert } from "./made/database.js";

declare const process: { argv: string[] };
const db = new PostgrestClient<Database>(process.argv[2]!);

const added: TablesInsert<"orders"> = OrdersInsert.parse({ name: "cocoa", mood: "happy", tags: ["a"] });
const insert = await db.from("orders").insert(added);
if (insert.error) throw insert.error;

const { data, error } = await db.from("orders").select("id, name, mood").eq("name", "cocoa").single();
if (error) throw error;
const mood: Enums<"mood"> | null = data.mood;
const id: number = data.id;
if (mood !== "happy" || id < 4) throw new Error(JSON.stringify(data));

const all = await db.from("orders").select();
if (all.error) throw all.error;
for (const row of all.data satisfies Tables<"orders">[]) OrdersRow.parse(row);
if (OrdersRow.safeParse({ ...all.data[0], mood: "angry" }).success) throw new Error("zod takes a mood that there is not");

// What is wrong is refused by the compiler; it is never run.
export const wrong = () => [
  // @ts-expect-error: there is no such table
  db.from("nope").select(),
  // @ts-expect-error: the name is a text
  db.from("orders").insert({ name: 1 }),
  // @ts-expect-error: the name is missing
  db.from("orders").insert({ mood: "ok" }),
  // @ts-expect-error: there is no such mood
  db.from("orders").update({ mood: "angry" }),
  // @ts-expect-error: the column is generated
  db.from("orders").update({ doubled: 1 }),
];
