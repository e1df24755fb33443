/**
 * What `npm pack` adds for pages without a bundler: each module minified, with a source map to the sources that lie beside it in the package.
 * In: the package that npm packs (the working directory). A bundler takes the sources themselves, and makes maps of its own.
 */
import { rm } from "node:fs/promises";
import { build } from "esbuild";

const ENTRIES = { "plank-client": ["dist/plank.js", "react.js", "svelte.js", "vue.js"], "plank-tanstack-db": ["index.js"] };

const name = process.env.npm_package_name;
if (!ENTRIES[name]) throw new Error(`nothing says what of ${name} is to be minified`);
await rm("min", { recursive: true, force: true });
await build({
  entryPoints: Object.fromEntries(ENTRIES[name].map((path) => [path.replace(/^.*\/|\.js$/g, ""), path])),
  outdir: "min",
  bundle: true,
  // What the modules share, and what is loaded only where it is needed, are files of their own.
  splitting: true,
  chunkNames: "[name]-[hash]",
  packages: "external",
  format: "esm",
  target: "es2022",
  minify: true,
  sourcemap: "linked",
  sourcesContent: false,
  logLevel: "warning",
});
