import ort from "onnxruntime-node";
import { serve } from "../javascript/conformance.js";
import { load } from "./index.js";

await serve({ load: () => load(process.argv[2]), client: "node", runtime: `onnxruntime-node ${ort.env.versions.node}` });
