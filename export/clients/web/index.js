// A bundle at a URL, on onnxruntime-web's wasm. It needs no server of its own: any that serves files will do.

import * as ort from "onnxruntime-web/wasm";
import {
  bundleFrom,
  checkSize,
  graphName,
  ITEMS_FILE,
  MANIFEST_FILE,
  Recommender,
  SeqrecError,
  Session,
  WEIGHTS_FILE,
} from "../javascript/core.js";

/** Browsers' hashes and buffers take no more at once. */
const MOST_IN_ONE_BUFFER = 2 ** 31;

export { Recommender, SeqrecError, Session };

/**
 * Fetch a bundle, check it, and make its graph ready. A folder cannot be listed over HTTP, so links and files that the
 * manifest does not list are not seen; nor are they fetched.
 * @param url of the bundle's folder
 * @param wasm where onnxruntime's .wasm lies, a URL; by default beside its module
 * @param whole also fetch and check the files that are not needed to answer
 * @param int8 take the graph with the int8 item table, where the bundle has it
 * @param fetch in place of the browser's
 * @param report called with the bytes that have come and those that will
 * @throws SeqrecError one of the codes of bundles
 */
export async function load(url, { wasm, whole = false, int8 = false, fetch = globalThis.fetch, report = () => {} } = {}) {
  const folder = String(new URL(url, globalThis.document?.baseURI)).replace(/\/*$/, "/");
  const get = (name, listed, told) => download(fetch, new URL(encodeURIComponent(name), folder), name, listed, told);
  const head = await get(MANIFEST_FILE);
  const needed = (manifest) => {
    const wanted = [graphName(manifest, int8), ITEMS_FILE, WEIGHTS_FILE];
    return Object.keys(manifest.files).filter((name) => whole || wanted.includes(name));
  };
  let total = 0;
  let come = 0;
  const bundle = await bundleFrom({
    head,
    sha256,
    names: (manifest) => {
      const names = needed(manifest);
      total = names.reduce((sum, name) => sum + Number(manifest.files[name].size), 0);
      return names;
    },
    read: (name, listed) => get(name, listed, (more) => report((come += more), total)),
  });
  ort.env.wasm.numThreads = 1; // more need a page that is cross-origin isolated
  ort.env.logLevel = "error";
  if (wasm) ort.env.wasm.wasmPaths = { wasm: String(new URL(wasm, globalThis.document?.baseURI)) };
  const weights = bundle.contents[WEIGHTS_FILE];
  const outside = weights ? [{ path: WEIGHTS_FILE, data: weights }] : undefined;
  return Recommender.open(bundle, (model) => start(model, outside), ort.Tensor, int8);
}

/** A session whose runs go one after the other: wasm has one thread. */
async function start(model, externalData) {
  const session = await ort.InferenceSession.create(model, {
    executionProviders: ["wasm"],
    ...(externalData && { externalData }),
    executionMode: "sequential",
    enableMemPattern: false,
    logSeverityLevel: 3,
  });
  const { inputMetadata, outputMetadata } = session;
  let turn = Promise.resolve();
  const run = (feeds) => {
    const done = turn.then(() => session.run(feeds));
    turn = done.catch(() => {});
    return done;
  };
  return { inputMetadata, outputMetadata, run };
}

/** The bytes of one file; no more is taken than it may have. */
async function download(fetch, url, name, listed, told = () => {}) {
  const missing = name === MANIFEST_FILE ? "bundle_missing" : "file_missing";
  let response;
  try {
    response = await fetch(url, { credentials: "omit", redirect: "error" });
  } catch (error) {
    throw new SeqrecError(missing, `${url} cannot be fetched: ${error.message}.`);
  }
  if (!response.ok) throw new SeqrecError(missing, `${url} cannot be fetched: ${response.status}.`);
  checkHolds(name, Number(response.headers.get("content-length")));
  const parts = [];
  let size = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.length;
    told(value.length);
    parts.push(value);
    if (size >= MOST_IN_ONE_BUFFER || size > (listed?.size ?? Infinity) || !listed) await stop(reader, name, size, listed);
  }
  const bytes = new Uint8Array(size);
  parts.reduce((at, part) => (bytes.set(part, at), at + part.length), 0);
  return bytes;
}

/** What the server says, or what has come: the size that the manifest lists may be wrong. */
function checkHolds(name, size) {
  if (size >= MOST_IN_ONE_BUFFER) throw new SeqrecError("too_large", `${name} is larger than a browser hashes in one piece.`);
}

/** Refuse a file that is already too long. */
async function stop(reader, name, size, listed) {
  try {
    checkHolds(name, size);
    checkSize(name, size, listed);
  } catch (error) {
    await reader.cancel();
    throw error;
  }
}

async function sha256(bytes) {
  if (!globalThis.crypto?.subtle) {
    throw new SeqrecError("bundle_missing", "Hashes cannot be checked: the page must come over https, or from localhost.");
  }
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
