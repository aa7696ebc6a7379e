// The graph behind its guards: it gets only what cannot hurt, and is not believed blindly. Clauses 3.2 to 3.4.

import { SeqrecError } from "./errors.js";
import { COLUMNS, compare, WEIGHTS_FILE } from "./manifest.js";

const codes = (text) => [...text].map((character) => character.charCodeAt(0));
const LOCATION = codes("location");
/** How a graph's bytes name weights.bin as the file that a weight lies in. */
const OUTSIDE = codes(`j\x17\n\x08location\x12\x0b${WEIGHTS_FILE}`);

/** @throws SeqrecError where a graph names a file outside, which a runtime would read, other than a listed weights.bin */
export function checkModel(bytes, name, manifest) {
  const listed = Object.hasOwn(manifest.files, WEIGHTS_FILE);
  const isAt = (at, text) => text.every((code, i) => bytes[at + i] === code);
  for (let at = bytes.indexOf(LOCATION[0]); at >= 0; at = bytes.indexOf(LOCATION[0], at + 1)) {
    if (isAt(at, LOCATION) && !(listed && isAt(at - 4, OUTSIDE))) {
      throw new SeqrecError("graph_invalid", `${name} names an external file.`);
    }
  }
}

/** Rows of the question's arrays, padded on the left: what `GuardedGraph.run` takes. */
export function batchOf(rows, choices, manifest) {
  const length = Math.max(1, ...rows.map((row) => row.items.length));
  const width = Math.max(0, ...choices.map((choice) => choice.length));
  const pad = (list, size, filling) => [...Array(size - list.length).fill(filling), ...list];
  const arrays = { item_seq: rows.map((row) => pad(row.items, length, 0)) };
  arrays[manifest.takesCandidates ? "candidates" : "exclude"] = choices.map((choice) => pad(choice, width, 0));
  for (const name of manifest.columns) {
    const { next, filling } = COLUMNS[name];
    const empty = name === "features" ? Array(manifest.features.length).fill(filling) : filling;
    arrays[name] = rows.map(({ columns }) => (next ? columns[name] : pad(columns[name], length, empty)));
  }
  return arrays;
}

export class GuardedGraph {
  /**
   * @param manifest of the bundle
   * @param session of onnxruntime, in any of its packages
   * @param Tensor of the same package
   * @param name of the graph's file
   */
  constructor(manifest, session, Tensor, name) {
    this.name = name;
    this.manifest = manifest;
    this.session = session;
    this.Tensor = Tensor;
    compare(manifest.inputs, session.inputMetadata.map(signature), "graph_invalid", name);
    compare(manifest.outputs, session.outputMetadata.map(signature), "graph_invalid", name);
  }

  /**
   * Run the graph.
   * @param arrays `item_seq` [B][T], `exclude` [B][E] (absent: none) or `candidates` [B][C], each column, and `state`, one
   *   [B][size] for each of the manifest's (absent: zeros)
   * @returns `embedding` [B][d], `state` (one [B][size] each), and `items` [B][K] with `scores` [B][K], or
   *   `probabilities` [B][C]
   * @throws SeqrecError `bad_index`, `bad_column`, `bad_state`, `not_finite`, `graph_invalid`
   */
  async run(arrays) {
    const { manifest } = this;
    const feeds = {};
    const itemSeq = this.#indices(arrays.item_seq, "item_seq", null, 1);
    const batch = itemSeq.length;
    for (const row of itemSeq) {
      if (row.some((index, t) => index === 0 && t > 0 && row[t - 1] !== 0)) {
        throw new SeqrecError("bad_index", "item_seq holds 0 after an item; padding stands on the left only.");
      }
    }
    const length = itemSeq[0]?.length ?? 1;
    feeds.item_seq = this.#tensor("int64", itemSeq.flat(), [batch, length]);
    let width = 1;
    if (manifest.task === "next_item") {
      const exclude = this.#indices(arrays.exclude ?? itemSeq.map(() => []), "exclude", batch, 0);
      feeds.exclude = this.#tensor("int64", exclude.flat(), [batch, exclude[0]?.length ?? 0]);
    } else if (manifest.takesCandidates) {
      const candidates = this.#indices(arrays.candidates, "candidates", batch, 1);
      if (candidates.flat().includes(0)) throw new SeqrecError("bad_index", "candidates holds 0, which is no item.");
      width = candidates[0]?.length ?? 1;
      feeds.candidates = this.#tensor("int64", candidates.flat(), [batch, width]);
    }
    for (const name of manifest.columns) feeds[name] = this.#column(name, arrays[name], batch, length);
    this.#state(arrays.state, itemSeq).forEach((flat, i) => {
      const { input, size } = manifest.state[i];
      feeds[input] = this.#tensor("float32", flat, [batch, size]);
    });
    const found = batch ? await this.#call(feeds) : this.#nothing(); // without a row onnxruntime aborts the process
    return this.#checked(found, batch, width);
  }

  #tensor(dtype, flat, shape) {
    const data = dtype === "int64" ? BigInt64Array.from(flat, BigInt) : Float32Array.from(flat);
    return new this.Tensor(dtype, data, shape);
  }

  /** A list of `batch` equally long lists of indices. */
  #indices(lists, name, batch, least) {
    const wrong = (how) => new SeqrecError("bad_index", `${name} ${how}.`);
    if (!isMatrix(lists) || (batch !== null && lists.length !== batch) || lists[0]?.length < least) {
      throw wrong(`must be [${batch ?? "batch"}, at least ${least}]`);
    }
    for (const index of lists.flat()) {
      if (!Number.isInteger(index) || index < 0 || index >= this.manifest.n_items) {
        throw wrong(`holds ${index}; valid indices are 0 to ${this.manifest.n_items - 1}`);
      }
    }
    return lists;
  }

  #column(name, column, batch, length) {
    const { behaviors, features } = this.manifest;
    const { dtype, next } = COLUMNS[name];
    const shape = next ? [batch] : name === "features" ? [batch, length, features.length] : [batch, length];
    const wrong = (how) => new SeqrecError("bad_column", `${name} ${how}.`);
    if (!hasShape(column, shape)) throw wrong(`must be [${shape}]`);
    const flat = column.flat(2);
    for (const value of flat) {
      if (typeof value !== "number" || !Number.isFinite(Math.fround(value))) throw wrong("holds NaN or infinity");
      if (dtype === "int64" && !(Number.isInteger(value) && value >= 0 && value <= behaviors.length)) {
        throw wrong(`holds ${value}; valid indices are 0 to ${behaviors.length}`);
      }
    }
    return this.#tensor(dtype, flat, shape);
  }

  /** The carried tensors, each flat. */
  #state(state, itemSeq) {
    const sizes = this.manifest.state.map(({ size }) => size);
    if (state === undefined) return sizes.map((size) => new Float32Array(itemSeq.length * size));
    const wrong = (how) => new SeqrecError("bad_state", `${how}.`);
    if (!Array.isArray(state) || state.length !== sizes.length) throw wrong(`There must be ${sizes.length} states`);
    const padded = itemSeq.map((row) => row.includes(0));
    return state.map((rows, i) => {
      const { input, size } = this.manifest.state[i];
      if (!hasShape(rows, [itemSeq.length, size])) throw wrong(`${input} must be [${itemSeq.length}, ${size}]`);
      const flat = new Float32Array(itemSeq.length * size);
      rows.forEach((row, r) => {
        flat.set(row, r * size);
        if (!row.every((value) => Number.isFinite(Math.fround(value)))) throw wrong(`${input} holds NaN or infinity`);
        if (padded[r] && row.some((value) => value !== 0)) throw wrong(`Row ${r} carries a state, but holds padding`);
      });
      return flat;
    });
  }

  async #call(feeds) {
    try {
      return await this.session.run(feeds);
    } catch (error) {
      throw new SeqrecError("graph_invalid", `${this.name} failed: ${String(error?.message ?? error).split("\n")[0]}`);
    }
  }

  #nothing() {
    const empty = ({ name, dtype, shape }) => {
      const width = typeof shape[1] === "number" ? shape[1] : 1;
      return [name, { dims: [0, width], data: dtype === "int64" ? new BigInt64Array(0) : new Float32Array(0) }];
    };
    return Object.fromEntries(this.manifest.outputs.map(empty));
  }

  /** What a graph from elsewhere gives is not believed either. */
  #checked(found, batch, width) {
    const { manifest } = this;
    const wrong = (how) => new SeqrecError("graph_invalid", `${this.name} gives ${how}.`);
    const rows = {};
    for (const { name, shape } of manifest.outputs) {
      const size = typeof shape[1] === "number" ? shape[1] : width;
      const { dims, data } = found[name] ?? {};
      if (String(dims) !== `${batch},${size}`) throw wrong(`${name} as [${dims}], not [${batch},${size}]`);
      const isScore = name === "scores";
      if (name !== "items" && !data.every((value) => Number.isFinite(value) || (isScore && value === -Infinity))) {
        throw new SeqrecError("not_finite", "The model gives NaN or infinity for this history.");
      }
      rows[name] = Array.from({ length: batch }, (_, r) => data.subarray(r * size, (r + 1) * size));
    }
    const embedding = rows.user_embedding;
    const state = manifest.state.map(({ output }) => rows[output]);
    if (manifest.task === "probability") {
      const { probabilities } = rows;
      if (probabilities.some((row) => row.some((p) => p < 0 || p > 1))) throw wrong("a probability outside 0 to 1");
      return { embedding, state, probabilities };
    }
    const items = rows.items.map((row) => Array.from(row, Number));
    items.forEach((row, r) =>
      row.forEach((item, i) => {
        if (item < 0 || item >= manifest.n_items) throw wrong("an item outside the catalogue");
        if ((item === 0) !== (rows.scores[r][i] === -Infinity)) throw wrong("an item without a score, or the reverse");
      }),
    );
    return { embedding, state, items, scores: rows.scores };
  }
}

const isList = (value) => Array.isArray(value) || value instanceof Float32Array;

function isMatrix(lists) {
  return isList(lists) && lists.every((list) => isList(list) && list.length === lists[0].length);
}

function hasShape(list, [size, ...rest]) {
  return isList(list) && list.length === size && (!rest.length || list.every((each) => hasShape(each, rest)));
}

/** What onnxruntime says of a tensor, as the manifest says it. */
function signature({ name, type = "no tensor", shape = [] }) {
  return { name, dtype: type, shape: shape.map((axis) => (typeof axis === "number" && axis >= 0 ? axis : "any")) };
}
