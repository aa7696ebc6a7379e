// What the clients in JavaScript share: no runtime, no file system. ../../SPEC.md says what it must do.

export { bundleFrom, checkListing, checkSize } from "./bundle.js";
export { SeqrecError } from "./errors.js";
export { readJson, utf8 } from "./json.js";
export { decodeManifest, MANIFEST_FILE, MODEL_FILE, ITEMS_FILE, GOLDEN_FILE, INT8_FILE, WEIGHTS_FILE } from "./manifest.js";
export { graphName, Recommender } from "./recommender.js";
export { Session } from "./session.js";
