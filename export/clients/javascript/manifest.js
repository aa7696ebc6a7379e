// What a bundle says of itself: clause 2, and the tensors of clause 4.

import { SeqrecError } from "./errors.js";
import { isObject, readJson, utf8 } from "./json.js";

export const MANIFEST_FILE = "manifest.json";
export const MODEL_FILE = "model.onnx";
export const ITEMS_FILE = "items.json";
export const GOLDEN_FILE = "golden.json";
export const INT8_FILE = "model_int8.onnx";
export const INT8_GOLDEN_FILE = "golden_int8.json";
export const WEIGHTS_FILE = "weights.bin";

const FORMAT_VERSION = 0;

/** The columns in the graph's order: dtype, whether of the next event, and what stands at padding. */
export const COLUMNS = {
  time_gap: { dtype: "float32", next: false, filling: -1 },
  behavior: { dtype: "int64", next: false, filling: 0 },
  features: { dtype: "float32", next: false, filling: 0 },
  next_time_gap: { dtype: "float32", next: true, filling: -1 },
  next_behavior: { dtype: "int64", next: true, filling: 0 },
};

const isInteger = (value) => Number.isSafeInteger(value);
const isText = (value) => typeof value === "string";
const isFlag = (value) => typeof value === "boolean";
const one = (...allowed) => (value) => allowed.includes(value);
const listOf = (check) => (value) => Array.isArray(value) && value.every(check);
const mapOf = (check) => (value) => isObject(value) && Object.values(value).every(check);
const objectOf = (keys) => (value) =>
  isObject(value) &&
  Object.keys(value).every((key) => Object.hasOwn(keys, key)) &&
  Object.keys(keys).every((key) => key in value && keys[key](value[key]));

const tensor = objectOf({
  name: isText,
  dtype: one("int64", "float32"),
  shape: listOf((axis) => isInteger(axis) || isText(axis)),
});

const KEYS = {
  format_version: isInteger,
  task: one("next_item", "probability"),
  n_items: isInteger,
  max_history: isInteger,
  top_k: isInteger,
  embedding_size: isInteger,
  unknown_items: one("dropped"),
  exclude_seen: isFlag,
  behaviors: listOf(isText),
  target_behaviors: listOf(isText),
  features: listOf(isText),
  inputs: listOf(tensor),
  outputs: listOf(tensor),
  state: listOf(objectOf({ input: isText, output: isText, size: isInteger })),
  opset: isInteger,
  ir_version: isInteger,
  files: mapOf(objectOf({ size: (size) => isInteger(size) || typeof size === "bigint", sha256: isText })),
  provenance: isObject,
  parity: isObject,
  int8: (int8) => int8 === null || isObject(int8),
};

const invalid = (what) => new SeqrecError("manifest_invalid", `${MANIFEST_FILE} is not valid: ${what}.`);

/**
 * Read manifest.json. Beside its keys the result has `columns`, the names of those that the graph reads, and
 * `takesCandidates`.
 * @throws SeqrecError `format_unknown`, `manifest_invalid`
 */
export function decodeManifest(bytes) {
  let found;
  try {
    found = readJson(utf8(bytes));
  } catch (error) {
    throw invalid(error.message);
  }
  if (!isObject(found) || !isInteger(found.format_version)) throw invalid("format_version is not an integer");
  if (found.format_version !== FORMAT_VERSION) {
    const message = `The bundle has format version ${found.format_version}; this client reads ${FORMAT_VERSION}.`;
    throw new SeqrecError("format_unknown", message);
  }
  for (const key of Object.keys(found)) if (!Object.hasOwn(KEYS, key)) throw invalid(`it has no key ${key}`);
  for (const key of Object.keys(KEYS)) {
    if (!(key in found)) throw invalid(`${key} is missing`);
    if (!KEYS[key](found[key])) throw invalid(`${key} is not as it must be`);
  }
  const inputs = new Set(found.inputs.map((input) => input.name));
  const columns = Object.keys(COLUMNS).filter((name) => inputs.has(name));
  const manifest = { ...found, columns, takesCandidates: inputs.has("candidates") };
  checkSense(manifest);
  const expected = tensors(manifest);
  compare(expected.inputs, manifest.inputs, "manifest_invalid", MANIFEST_FILE);
  compare(expected.outputs, manifest.outputs, "manifest_invalid", MANIFEST_FILE);
  return manifest;
}

/** Numbers and names that cannot be judged one by one: clause 2.3. */
function checkSense(manifest) {
  const { n_items, max_history, top_k, embedding_size, task, state, behaviors, features, columns } = manifest;
  const reads = (...names) => names.some((name) => columns.includes(name));
  if (n_items < 2) throw invalid("a catalogue has at least one item");
  if (max_history < 1) throw invalid("max_history is below 1");
  if (task === "probability" ? top_k !== 0 : top_k < 1 || top_k > n_items - 1) throw invalid(`top_k is ${top_k}`);
  if (embedding_size < 0 || state.some(({ size }) => size < 1)) throw invalid("a size makes no sense");
  if (state.some(({ input, output }, i) => input !== `state_${i}` || output !== `next_state_${i}`)) {
    throw invalid("a state's input and output do not belong together");
  }
  for (const names of [behaviors, features]) if (new Set(names).size < names.length) throw invalid("a name stands twice");
  if (features.length > 0 !== reads("features")) throw invalid("features do not go with the graph's inputs");
  const int8 = [manifest.int8 !== null, ...[INT8_FILE, INT8_GOLDEN_FILE].map((name) => Object.hasOwn(manifest.files, name))];
  if (new Set(int8).size > 1) throw invalid("int8 and its files come together or not at all");
  if (!behaviors.length && reads("behavior", "next_behavior")) throw invalid("no behaviour is named");
}

/** The inputs and outputs that a graph must have: clause 4. */
function tensors(manifest) {
  const { task, columns, state, features, top_k, embedding_size, takesCandidates } = manifest;
  const tensor = (name, dtype, ...shape) => ({ name, dtype, shape });
  const inputs = [tensor("item_seq", "int64", "batch", "length")];
  if (task === "next_item") inputs.push(tensor("exclude", "int64", "batch", "excluded"));
  else if (takesCandidates) inputs.push(tensor("candidates", "int64", "batch", "candidates"));
  for (const name of columns) {
    const { dtype, next } = COLUMNS[name];
    const tail = name === "features" ? [features.length] : [];
    inputs.push(tensor(name, dtype, "batch", ...(next ? [] : ["length"]), ...tail));
  }
  for (const { input, size } of state) inputs.push(tensor(input, "float32", "batch", size));
  const outputs =
    task === "next_item"
      ? [tensor("items", "int64", "batch", top_k), tensor("scores", "float32", "batch", top_k)]
      : [tensor("probabilities", "float32", "batch", takesCandidates ? "candidates" : 1)];
  outputs.push(tensor("user_embedding", "float32", "batch", embedding_size));
  for (const { output, size } of state) outputs.push(tensor(output, "float32", "batch", size));
  return { inputs, outputs };
}

/** Hold the names, dtypes and shapes of some tensors against what they must be. @throws SeqrecError with `code` */
export function compare(wanted, found, code, who) {
  const words = ({ dtype, shape }) => `${dtype} [${shape.map((n) => (typeof n === "number" ? n : "any")).join(", ")}]`;
  const [must, is] = [wanted, found].map((list) => new Map(list.map((each) => [each.name, words(each)])));
  for (const name of [...must.keys(), ...is.keys()]) {
    if (must.get(name) !== is.get(name)) {
      throw new SeqrecError(code, `${who} has ${name} as ${is.get(name) ?? "none"}, not ${must.get(name) ?? "none"}.`);
    }
  }
}
