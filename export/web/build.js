// src/ and the browser client → dist/: a folder that any server of files can serve. Nothing is fetched.

import { build } from "esbuild";
import { copyFile, cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const [source, dist, modules] = ["src", "dist", "node_modules"].map((name) => join(here, name));
const runtime = join(modules, "onnxruntime-web", "dist");
const WASM = "ort-wasm-simd-threaded.wasm";

await rm(dist, { recursive: true, force: true });
await mkdir(dist);
await build({
  entryPoints: [join(source, "app.js")],
  outfile: join(dist, "app.js"),
  alias: { "onnxruntime-web/wasm": join(runtime, "ort.wasm.bundle.min.mjs") },
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "inline",
  logLevel: "warning",
  external: ["module", "worker_threads", "node:*"], // onnxruntime-web asks for these under Node only
});
for (const name of ["index.html", "style.css", "icon.svg"]) await cp(join(source, name), join(dist, name));
await copyFile(join(runtime, WASM), join(dist, WASM));
await writeFile(join(dist, "NOTICES.txt"), await notices());

/** What is vendored, with its licences. */
async function notices() {
  const own = await readFile(join(here, "..", "..", "LICENSE"), "utf8");
  const parts = [["seqrec-plugin", own], ["onnxruntime-web", await readFile(join(here, "notices", "onnxruntime.txt"), "utf8")]];
  const { dependencies } = JSON.parse(await readFile(join(modules, "onnxruntime-web", "package.json"), "utf8"));
  for (const name of Object.keys(dependencies).sort()) {
    const file = (await readdir(join(modules, name))).find((entry) => /^licen[cs]e/i.test(entry));
    const { version, license } = JSON.parse(await readFile(join(modules, name, "package.json"), "utf8"));
    const text = file ? await readFile(join(modules, name, file), "utf8") : `License: ${license}\n`;
    parts.push([`${name} ${version}`, text]);
  }
  return parts.map(([name, text]) => `${name}\n${"=".repeat(name.length)}\n\n${text.trim()}\n`).join("\n\n");
}
