// A bundle's folder, read once and with every check: clauses 1 and 3.1.

import { createHash } from "node:crypto";
import { constants, createReadStream } from "node:fs";
import { open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { bundleFrom, checkSize, MANIFEST_FILE, SeqrecError, WEIGHTS_FILE } from "../javascript/core.js";

/** The checked bundle in a folder: see `bundleFrom`. */
export async function readBundle(path, sha256) {
  const present = await list(path);
  if (!present.includes(MANIFEST_FILE)) {
    throw new SeqrecError("bundle_missing", `${path} is no bundle: it has no ${MANIFEST_FILE}.`);
  }
  const head = await read(path, MANIFEST_FILE);
  const bundle = await bundleFrom({
    head,
    present,
    sha256,
    read: (name, listed) => read(path, name, listed),
    names: ({ files }) => Object.keys(files).filter((name) => name !== WEIGHTS_FILE),
  });
  const weights = bundle.manifest.files[WEIGHTS_FILE];
  if (weights) await checkWeights(path, weights);
  return bundle;
}

/** weights.bin may be larger than memory: it is hashed, and left to the runtime. */
async function checkWeights(path, listed) {
  const digest = createHash("sha256");
  let size = 0;
  try {
    for await (const part of createReadStream(join(path, WEIGHTS_FILE))) {
      size += part.length;
      digest.update(part);
    }
  } catch (error) {
    throw new SeqrecError("file_missing", `${WEIGHTS_FILE} cannot be read: ${error.code}.`);
  }
  checkSize(WEIGHTS_FILE, size, listed);
  if (digest.digest("hex") !== listed.sha256) {
    throw new SeqrecError("file_changed", `${WEIGHTS_FILE} does not have the sha256 that ${MANIFEST_FILE} lists.`);
  }
}

/** The names in a folder, none of them a link or a folder. */
async function list(path) {
  let entries;
  try {
    entries = await readdir(path, { withFileTypes: true });
  } catch (error) {
    throw new SeqrecError("bundle_missing", `There is no bundle at ${path}: ${error.code}.`);
  }
  for (const entry of entries) {
    if (entry.isSymbolicLink()) throw new SeqrecError("file_escapes", `${entry.name} in ${path} is a link.`);
    if (!entry.isFile()) throw new SeqrecError("file_unexpected", `${entry.name} in ${path} is not a file.`);
  }
  return entries.map((entry) => entry.name).sort();
}

async function read(path, name, listed) {
  let file;
  try {
    file = await open(join(path, name), constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0));
    const { size } = await file.stat();
    checkSize(name, size, listed);
    const bytes = new Uint8Array(size);
    for (let at = 0, got = 1; at < size && got; at += got) {
      got = (await file.read(bytes, at, size - at)).bytesRead;
    }
    return bytes;
  } catch (error) {
    if (error instanceof SeqrecError) throw error;
    throw new SeqrecError("file_missing", `${join(path, name)} cannot be read: ${error.code ?? error.message}.`);
  } finally {
    await file?.close();
  }
}
