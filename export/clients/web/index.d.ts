import type { Recommender } from "../javascript/core.js";

export * from "../javascript/core.js";

/** Fetch a bundle, check it, and make its graph ready. Rejects with a SeqrecError: one of the codes of bundles. */
export function load(
  url: string | URL,
  options?: {
    /** Where onnxruntime's .wasm lies, a URL; by default beside its module. */
    wasm?: string | URL;
    /** Also fetch and check the files that are not needed to answer. */
    whole?: boolean;
    /** Take the graph with the int8 item table, where the bundle has it. */
    int8?: boolean;
    fetch?: typeof globalThis.fetch;
    /** Called with the bytes that have come and those that will. */
    report?: (come: number, total: number) => void;
  },
): Promise<Recommender>;
