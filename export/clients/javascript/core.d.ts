// Types of what the Node and the browser client share. Keys that a bundle or an answer has in JSON keep their names.

/** A code of clause 9 of SPEC.md, or `bad_value`: a call that the bundle cannot serve. */
export type Code =
  | "bundle_missing" | "manifest_invalid" | "format_unknown" | "file_missing" | "file_changed" | "file_unexpected"
  | "file_escapes" | "too_large" | "items_invalid" | "graph_invalid"
  | "bad_question" | "bad_k" | "bad_index" | "bad_column" | "bad_state" | "not_finite" | "bad_value";

export class SeqrecError extends Error {
  readonly code: Code;
}

/** An id is text; an integer is taken as its decimal text. */
export type Id = string | number | bigint;

/** What is known of the events of a history, for models that read it: one entry an item; time and behavior may have one
 * more, of the event that is asked for. */
export interface Told {
  time?: number[];
  behavior?: Id[];
  features?: Record<string, number[]>;
}

/** A question of clause 5. */
export interface Question extends Told {
  id?: Id;
  history: Id[];
  exclude?: Id[];
  k?: number;
  candidates?: Id[];
}

export interface Item {
  item: string;
  score: number;
  title?: string;
}

/** The answer of clause 6. */
export interface Answer {
  id?: string;
  status: "ok" | "newcomer" | Code;
  items: Item[];
  /** Of a bundle of probabilities that takes no candidates. */
  probability?: number;
  unknown_candidates?: string[];
  unknown: string[];
  truncated: boolean;
  beyond_max_history: boolean;
  /** The bundle's id. */
  bundle: string;
  /** What was wrong, where something was. */
  message?: string;
}

export interface Choice {
  /** 1 to the bundle's top_k; by default 10, or top_k if that is smaller. */
  k?: number;
  /** What must not come, such as what is not on sale today. */
  exclude?: Id[];
}

export interface Seen {
  /** Whether the history's own items may come; by default as the bundle says. */
  includeSeen?: boolean;
}

export interface Candidates {
  candidates?: Id[];
}

/** The arrays that the graph takes, by name (clauses 4.1, 4.6 and 4.7). */
export interface Arrays {
  item_seq: number[][];
  exclude?: number[][];
  candidates?: number[][];
  time_gap?: number[][];
  behavior?: number[][];
  features?: number[][][];
  next_time_gap?: number[];
  next_behavior?: number[];
  state?: (number[] | Float32Array)[][];
}

export interface Output {
  embedding: Float32Array[];
  state: Float32Array[][];
  items?: number[][];
  scores?: Float32Array[];
  probabilities?: Float32Array[];
}

/** A bundle that answers. One serves many calls at once; make it once a process. */
export class Recommender {
  private constructor();
  /** The bundle's id, which every answer names. */
  readonly bundle: string;
  /** manifest.json, and what follows from it. */
  readonly manifest: Manifest;
  readonly vocabulary: {
    /** Index → id; index 0 is padding. */
    readonly items: (string | null)[];
    readonly titles: (string | null)[] | null;
    readonly indices: ReadonlyMap<string, number>;
  };
  /** The next items for one history, oldest first. Rejects with a SeqrecError. */
  recommend(history: Id[], told?: Told & Choice & Seen): Promise<Answer>;
  /** How probable it is that one user acts next, for a bundle of probabilities. Rejects with a SeqrecError. */
  score(history: Id[], told?: Told & Candidates): Promise<Answer>;
  /** Answers for many questions, or lines of JSON, in their order; a bad one gets its code, the others go on. */
  answerBatch(questions: (Question | string | unknown)[], options?: Seen): Promise<Answer[]>;
  /** A user whose events come one by one; each costs the same, however long the history. */
  session(history?: Id[], told?: Told & Seen): Promise<Session>;
  /** The vector that the items are scored against, and the carried state, for one question. */
  embed(question: Question): Promise<{ embedding: Float32Array; state: Float32Array[] }>;
  /** The graph itself, guarded, for whoever has arrays. */
  run(arrays: Arrays): Promise<Output>;
}

/** One user's carried state. Calls that overlap go one after the other. */
export class Session {
  private constructor();
  /** After the last event: one array a tensor; zeros at the start. */
  readonly state: Float32Array[];
  /** What the last answer's items were scored against; null before the first. */
  readonly embedding: Float32Array | null;
  /** New events, oldest first, and the answer after them. An error changes nothing. */
  push(items: Id[], told?: Told & Choice & Candidates): Promise<Answer>;
  /** `push` for a question, or a line of JSON, from elsewhere; a bad one gets its code as an answer. */
  answer(question: Question | string | unknown): Promise<Answer>;
  /** The next items again, perhaps with another k, exclusion, moment or wanted behaviour. Nothing changes. */
  recommend(told?: Pick<Told, "time" | "behavior"> & Choice): Promise<Answer>;
  /** How probable it is that the user acts next. Nothing changes. */
  score(told?: Pick<Told, "time" | "behavior"> & Candidates): Promise<Answer>;
}

export interface Tensor {
  name: string;
  dtype: "int64" | "float32";
  shape: (number | string)[];
}

export interface Manifest {
  format_version: 0;
  task: "next_item" | "probability";
  n_items: number;
  max_history: number;
  top_k: number;
  embedding_size: number;
  unknown_items: "dropped";
  exclude_seen: boolean;
  behaviors: string[];
  target_behaviors: string[];
  features: string[];
  inputs: Tensor[];
  outputs: Tensor[];
  state: { input: string; output: string; size: number }[];
  opset: number;
  ir_version: number;
  files: Record<string, { size: number | bigint; sha256: string }>;
  provenance: Record<string, unknown>;
  parity: Record<string, unknown>;
  /** Beyond the file: the columns that the graph reads, and whether it takes candidates. */
  columns: string[];
  takesCandidates: boolean;
}
