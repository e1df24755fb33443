/** What `npm pack` and the tests need and the repository has elsewhere: the client itself, its page and the licences. They are copied, byte by byte. */
import { cp, mkdir } from "node:fs/promises";

const ROOT = new URL("../../", import.meta.url);
const CLIENT = new URL("plank-client/", import.meta.url);

await mkdir(new URL("dist/", CLIENT), { recursive: true });
for (const name of ["plank.js", "stream.js", "table.js", "plank.d.ts"]) await cp(new URL(`static/${name}`, ROOT), new URL(`dist/${name}`, CLIENT));
await cp(new URL("docs/CLIENT.md", ROOT), new URL("README.md", CLIENT));
for (const name of ["plank-client/", "plank-tanstack-db/"]) {
  for (const licence of ["LICENSE-MIT", "LICENSE-APACHE"]) await cp(new URL(licence, ROOT), new URL(licence, new URL(name, import.meta.url)));
}
