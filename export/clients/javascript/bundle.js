// A bundle's files, checked: clauses 1 and 3.1 to 3.2. Whoever reads them, from a disk or a network, is elsewhere.

import { SeqrecError } from "./errors.js";
import { isObject, utf8 } from "./json.js";
import { decodeManifest, GOLDEN_FILE, INT8_FILE, ITEMS_FILE, MANIFEST_FILE, MODEL_FILE, WEIGHTS_FILE } from "./manifest.js";

/** The most bytes that a reader accepts of a file. */
export const LIMITS = {
  [MANIFEST_FILE]: 2 ** 20,
  [MODEL_FILE]: 2 ** 31,
  [INT8_FILE]: 2 ** 31,
  "encoder.onnx": 2 ** 31,
  "item_embeddings.npy": 2 ** 36,
  [WEIGHTS_FILE]: 2 ** 36,
  other: 2 ** 30,
};

const ALWAYS = [MODEL_FILE, ITEMS_FILE, GOLDEN_FILE];

/**
 * What the manifest lists, before any of it is read.
 * @param manifest as decoded
 * @param present the names in the folder, or null where that cannot be known, as over a network
 */
export function checkListing(manifest, present = null) {
  for (const name of Object.keys(manifest.files)) {
    if (["", ".", "..", MANIFEST_FILE].includes(name) || /[/\\:\0]/.test(name)) {
      throw new SeqrecError("file_escapes", `${MANIFEST_FILE} lists ${JSON.stringify(name)}, no plain file name.`);
    }
  }
  for (const name of present ?? []) {
    if (name !== MANIFEST_FILE && !Object.hasOwn(manifest.files, name)) {
      throw new SeqrecError("file_unexpected", `The bundle holds ${name}, which ${MANIFEST_FILE} does not list.`);
    }
  }
  for (const name of [...ALWAYS, ...Object.keys(manifest.files)]) {
    if (!Object.hasOwn(manifest.files, name) || (present && !present.includes(name))) {
      throw new SeqrecError("file_missing", `The bundle lacks the file ${name}.`);
    }
  }
}

/** The size of a file, before it is read; `listed` is undefined for manifest.json. */
export function checkSize(name, size, listed) {
  const limit = LIMITS[name] ?? LIMITS.other;
  if (size > limit) throw new SeqrecError("too_large", `${name} has ${size} bytes; a reader accepts ${limit}.`);
  if (listed && size !== listed.size) {
    throw new SeqrecError("file_changed", `${name} has ${size} bytes, but ${MANIFEST_FILE} lists ${listed.size}.`);
  }
}

/** A file that was read. @param sha256 bytes → lower-case hex, perhaps as a promise */
export async function checkContent(name, bytes, listed, sha256) {
  checkSize(name, bytes.length, listed);
  if ((await sha256(bytes)) !== listed.sha256) {
    throw new SeqrecError("file_changed", `${name} does not have the sha256 that ${MANIFEST_FILE} lists.`);
  }
}

/**
 * A checked bundle.
 * @param head the bytes of manifest.json
 * @param read (name, listed) → the bytes of a file, not yet checked
 * @param names manifest → the names of the files to read; by default all
 */
export async function bundleFrom({ head, present = null, read, sha256, names }) {
  checkSize(MANIFEST_FILE, head.length);
  const manifest = decodeManifest(head);
  checkListing(manifest, present);
  const contents = {};
  for (const name of names?.(manifest) ?? Object.keys(manifest.files)) {
    const listed = manifest.files[name];
    const bytes = await read(name, listed);
    await checkContent(name, bytes, listed, sha256);
    contents[name] = bytes;
  }
  return { manifest, id: (await sha256(head)).slice(0, 16), contents };
}

/** Item ↔ index and titles, from items.json. @throws SeqrecError `items_invalid` */
export class Vocabulary {
  constructor(bytes, nItems) {
    const invalid = (what) => new SeqrecError("items_invalid", `${ITEMS_FILE} is not valid: ${what}.`);
    let file;
    try {
      file = JSON.parse(utf8(bytes));
    } catch (error) {
      throw invalid(error.message);
    }
    const isList = (list, check) => Array.isArray(list) && list.every(check);
    if (!isObject(file) || Object.keys(file).some((key) => key !== "items" && key !== "titles")) {
      throw invalid("it has other keys than items and titles");
    }
    const { items, titles = null } = file;
    if (!isList(items, (item, i) => (i ? typeof item === "string" && item.isWellFormed() : item === null))) {
      throw invalid("items must be null and then texts");
    }
    if (items.length !== nItems) throw invalid(`it has ${items.length} entries, but n_items is ${nItems}`);
    if (titles !== null) {
      if (!isList(titles, (title) => title === null || typeof title === "string")) throw invalid("titles are no texts");
      if (titles.length !== nItems) throw invalid(`there are ${titles.length} titles`);
    }
    this.items = items;
    this.titles = titles;
    this.indices = new Map();
    for (let i = 1; i < items.length; i++) {
      if (this.indices.has(items[i])) throw invalid(`the item ${JSON.stringify(items[i])} stands twice`);
      this.indices.set(items[i], i);
    }
  }
}
