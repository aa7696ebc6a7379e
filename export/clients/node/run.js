import ort from "onnxruntime-node";
import { serve } from "../javascript/conformance.js";
import { load } from "./index.js";

await serve({ load: () => load(process.argv[2], { int8: process.argv[3] === "model_int8.onnx" }), client: "node", runtime: `onnxruntime-node ${ort.env.versions.node}` });
