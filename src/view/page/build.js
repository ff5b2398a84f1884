// Makes ../built of the sources here: what is committed, and built into the program.
import { build } from "esbuild";
import { copyFile } from "node:fs/promises";

const out = new URL("../built/", import.meta.url).pathname;
const here = new URL("./", import.meta.url).pathname;

await build({
  entryPoints: [here + "page.tsx"], outfile: out + "page.js", bundle: true, minify: true,
  format: "esm", target: ["chrome110", "firefox115", "safari16"], charset: "utf8",
  jsx: "automatic", jsxImportSource: "preact", legalComments: "none",
  banner: { js: "/* Railtracks for Lua. Built from src/view/page; with preact, @preact/signals,"
    + " @tanstack/virtual-core and @dagrejs/dagre, all under the MIT licence. */" },
});
await build({
  entryPoints: [here + "page.css"], outfile: out + "page.css", bundle: true, minify: true,
  target: ["chrome110", "firefox115", "safari16"], charset: "utf8",
});
for (const file of ["index.html", "icon.svg"]) await copyFile(here + file, out + file);
