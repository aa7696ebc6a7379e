import type { Recommender } from "../javascript/core.js";

export * from "../javascript/core.js";

/** Read a bundle, check it, and make its graph ready. Rejects with a SeqrecError: one of the codes of bundles. */
export function load(
  path: string,
  options?: {
    /** How many cores one call may use; 1 by default. */
    threads?: number;
    /** Take the graph with the int8 item table, where the bundle has it. */
    int8?: boolean;
  },
): Promise<Recommender>;
