/** web/app.js from web/app.jsx. node build.mjs, after `npm ci` in clients/js, whose packages it takes. */
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const packages = new URL("../../clients/js/", import.meta.url);
const { build } = createRequire(packages)("esbuild");

await build({
  entryPoints: [fileURLToPath(new URL("web/app.jsx", import.meta.url))],
  outfile: process.argv[2] ?? fileURLToPath(new URL("web/app.js", import.meta.url)),
  bundle: true,
  format: "esm",
  jsx: "automatic",
  minify: true,
  logLevel: "error",
  define: { "process.env.NODE_ENV": '"production"' },
  nodePaths: [fileURLToPath(new URL("node_modules", packages))],
});
