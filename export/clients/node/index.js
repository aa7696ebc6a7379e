// A bundle on disk, on onnxruntime-node.

import { createHash } from "node:crypto";
import { availableParallelism } from "node:os";
import ort from "onnxruntime-node";
import { Recommender, SeqrecError, Session } from "../javascript/core.js";
import { readBundle } from "./files.js";

export { Recommender, SeqrecError, Session };

/**
 * Read a bundle, check it, and make its graph ready.
 * @param path the bundle's folder
 * @param threads how many cores one call may use
 * @param int8 take the graph with the int8 item table, where the bundle has it
 * @throws SeqrecError one of the codes of bundles
 */
export async function load(path, { threads = 1, int8 = false } = {}) {
  if (!Number.isInteger(threads) || threads < 1) throw new SeqrecError("bad_value", `threads is ${threads}.`);
  const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");
  const bundle = await readBundle(path, sha256);
  const options = {
    executionProviders: ["cpu"],
    intraOpNumThreads: Math.min(threads, availableParallelism()),
    interOpNumThreads: 1,
    executionMode: "sequential",
    enableMemPattern: false, // it would keep a plan for each shape ever met
    logSeverityLevel: 3,
    extra: {
      session: {
        intra_op: { allow_spinning: "0" },
        inter_op: { allow_spinning: "0" },
        model_external_initializers_file_folder_path: path, // of weights.bin, where the graph names it
      },
    },
  };
  return Recommender.open(bundle, (model) => ort.InferenceSession.create(model, options), ort.Tensor, int8);
}
