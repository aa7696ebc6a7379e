import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { Readable } from "node:stream";
import { fileURLToPath, pathToFileURL } from "node:url";
import * as ort from "onnxruntime-web/wasm";
import { serve } from "../javascript/conformance.js";
import { checkListing, decodeManifest, MANIFEST_FILE, SeqrecError } from "../javascript/core.js";
import { load } from "./index.js";

const folder = resolve(process.argv[2]);

await serve({
  load: async () => {
    // What nobody sees over HTTP is the duty of whoever serves the folder.
    const names = await list();
    const recommender = await load(pathToFileURL(folder), {
      whole: true,
      int8: process.argv[3] === "model_int8.onnx",
      fetch: fetchFile,
    });
    checkListing(recommender.manifest, names);
    return recommender;
  },
  client: "web",
  runtime: `onnxruntime-web ${ort.env.versions.web}`,
});

async function fetchFile(url) {
  const path = fileURLToPath(url);
  const size = await stat(path).then((found) => found.size);
  return new Response(size ? Readable.toWeb(createReadStream(path)) : new Uint8Array(0));
}

async function list() {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []); // no bundle: `load` says so
  for (const entry of entries) {
    if (entry.isSymbolicLink()) throw new SeqrecError("file_escapes", `${entry.name} is a link.`);
    if (!entry.isFile()) throw new SeqrecError("file_unexpected", `${entry.name} is not a file.`);
  }
  return entries.map((entry) => entry.name);
}
