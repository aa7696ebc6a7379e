// A bundle that answers: clauses 5 and 6.

import { Vocabulary } from "./bundle.js";
import { SeqrecError } from "./errors.js";
import { batchOf, checkModel, GuardedGraph } from "./graph.js";
import { INT8_FILE, ITEMS_FILE, MODEL_FILE } from "./manifest.js";
import { checkQuestion, encode, identity, readQuestion } from "./question.js";
import { Session } from "./session.js";

const DEFAULT_K = 10;
/** Rows of a batch that go through the graph together. */
const MOST_ROWS = 64;

/** The file of the graph that is wanted. @throws SeqrecError `bad_value` where there is no int8 */
export function graphName(manifest, int8) {
  if (int8 && manifest.int8 === null) throw new SeqrecError("bad_value", `This bundle has no ${INT8_FILE}.`);
  return int8 ? INT8_FILE : MODEL_FILE;
}

/** A bundle that answers. One serves many calls at once; make it once a process. */
export class Recommender {
  #graph;

  /** See `open`. */
  constructor(bundle, vocabulary, graph) {
    this.manifest = bundle.manifest;
    this.bundle = bundle.id;
    this.vocabulary = vocabulary;
    this.#graph = graph;
  }

  /**
   * Make a checked bundle ready.
   * @param bundle as from `bundleFrom`
   * @param start bytes of the graph → a session of onnxruntime
   * @param Tensor of the same onnxruntime
   * @param int8 whether the graph with the int8 item table is wanted
   */
  static async open(bundle, start, Tensor, int8 = false) {
    const vocabulary = new Vocabulary(bundle.contents[ITEMS_FILE], bundle.manifest.n_items);
    const name = graphName(bundle.manifest, int8);
    const model = bundle.contents[name];
    checkModel(model, name, bundle.manifest);
    let session;
    try {
      session = await start(model);
    } catch (error) {
      const reason = String(error?.message ?? error).split("\n")[0];
      throw new SeqrecError("graph_invalid", `${name} cannot be loaded: ${reason}`);
    }
    return new Recommender(bundle, vocabulary, new GuardedGraph(bundle.manifest, session, Tensor, name));
  }

  /** The next items for one history. @throws SeqrecError */
  async recommend(history, { includeSeen, ...told } = {}) {
    this.checkTask("next_item");
    return this.#one({ ...told, history }, includeSeen);
  }

  /** How probable it is that one user acts next, for a bundle of probabilities. @throws SeqrecError */
  async score(history, told = {}) {
    this.checkTask("probability");
    return this.#one({ ...told, history });
  }

  /** Answers for many questions (objects, or lines of JSON), in their order; a bad one gets its code. */
  async answerBatch(questions, { includeSeen } = {}) {
    const answers = [];
    const rows = [];
    for (const [place, source] of questions.entries()) {
      let id;
      try {
        const value = typeof source === "string" ? readQuestion(source) : source;
        id = identity(value);
        rows.push({ place, id, ...this.#prepare(value, includeSeen) });
      } catch (error) {
        answers[place] = this.failure(id, error);
      }
    }
    // Like lengths together: little padding; candidates of one number together: these are not padded.
    const by = (row) => [row.choice.candidates.length, row.encoded.row.items.length];
    rows.sort((a, b) => by(a)[0] - by(b)[0] || by(a)[1] - by(b)[1]);
    for (let begin = 0, end; begin < rows.length; begin = end) {
      end = begin + 1;
      while (end < rows.length && end < begin + MOST_ROWS && by(rows[end])[0] === by(rows[begin])[0]) end++;
      await this.#runRows(rows.slice(begin, end), answers);
    }
    return answers;
  }

  /** A user whose events come one by one; each costs the same, however long the history. @throws SeqrecError */
  async session(history = [], { includeSeen, ...told } = {}) {
    const session = new Session(this, includeSeen);
    await session.begin({ ...told, history });
    return session;
  }

  /** The vector that the items are scored against, and the carried state, for one question. @throws SeqrecError */
  async embed(question) {
    const { row } = this.encode(checkQuestion(question));
    const output = await this.runRows([row], [this.manifest.takesCandidates ? [1] : []]);
    return { embedding: output.embedding[0], state: output.state.map(([tensor]) => tensor) };
  }

  /** The graph itself, guarded, for whoever has arrays: see `GuardedGraph.run`. @throws SeqrecError */
  run(arrays) {
    return this.#graph.run(arrays);
  }

  runRows(rows, choices, state) {
    return this.#graph.run({ ...batchOf(rows, choices, this.manifest), state });
  }

  encode(question, carried) {
    return encode(question, this.vocabulary, this.manifest, carried);
  }

  checkTask(task) {
    if (this.manifest.task !== task) {
      throw new SeqrecError("bad_value", `This bundle's task is ${this.manifest.task}.`);
    }
  }

  /** What must not come, or is asked about: clauses 5.3, 5.4 and 5.6. */
  choose(question, known, includeSeen) {
    const { manifest, vocabulary } = this;
    const indices = (items) => items.map((item) => vocabulary.indices.get(item));
    const isKnown = (index) => index !== undefined;
    const nothing = { indices: [], k: 0, candidates: [], unknownCandidates: [] };
    if (manifest.task === "next_item") {
      const k = question.k ?? Math.min(DEFAULT_K, manifest.top_k);
      if (k < 1 || k > manifest.top_k) {
        throw new SeqrecError("bad_k", `k is ${k}, but must be 1 to ${manifest.top_k}.`);
      }
      const named = indices(question.exclude).filter(isKnown);
      const seen = includeSeen ?? !manifest.exclude_seen ? [] : known;
      return { ...nothing, indices: [...new Set([...seen, ...named])], k: Number(k) };
    }
    if (!manifest.takesCandidates) {
      if (question.candidates) throw new SeqrecError("bad_question", "This model takes no candidates.");
      return nothing;
    }
    if (!question.candidates?.length) throw new SeqrecError("bad_question", "This model is asked about candidates.");
    const found = indices(question.candidates);
    const candidates = found.filter(isKnown);
    const unknownCandidates = question.candidates.filter((_, i) => !isKnown(found[i]));
    // Where nothing known is asked about, some item stands in.
    return { indices: candidates.length ? candidates : [1], k: 0, candidates, unknownCandidates };
  }

  /** Row i of what the graph gave, as an answer. */
  answer({ id, encoded, choice }, output, i, beyond = false) {
    const { manifest, vocabulary } = this;
    const found = [];
    const push = (index, score) => {
      const title = vocabulary.titles?.[index] ?? undefined;
      found.push({ item: vocabulary.items[index], score, ...(title === undefined ? {} : { title }) });
    };
    if (manifest.task === "next_item") {
      const best = output.items[i].slice(0, choice.k);
      best.forEach((index, place) => index && push(index, output.scores[i][place]));
    } else {
      choice.candidates.forEach((index, c) => push(index, output.probabilities[i][c]));
    }
    const single = manifest.task === "probability" && !manifest.takesCandidates;
    return {
      ...(id === undefined ? {} : { id }),
      status: encoded.known.length ? "ok" : "newcomer",
      items: found,
      ...(single ? { probability: output.probabilities[i][0] } : {}),
      ...(choice.unknownCandidates.length ? { unknown_candidates: choice.unknownCandidates } : {}),
      unknown: encoded.unknown,
      truncated: encoded.truncated,
      beyond_max_history: beyond,
      bundle: this.bundle,
    };
  }

  async #one(question, includeSeen) {
    const row = this.#prepare(question, includeSeen);
    return this.answer(row, await this.runRows([row.encoded.row], [row.choice.indices]), 0);
  }

  #prepare(value, includeSeen) {
    const question = checkQuestion(value);
    const encoded = this.encode(question);
    return { id: question.id, encoded, choice: this.choose(question, encoded.known, includeSeen) };
  }

  async #runRows(rows, answers) {
    try {
      const output = await this.runRows(rows.map((row) => row.encoded.row), rows.map((row) => row.choice.indices));
      rows.forEach((row, i) => (answers[row.place] = this.answer(row, output, i)));
    } catch (error) {
      if (error.code !== "not_finite") throw error;
      if (rows.length === 1) answers[rows[0].place] = this.failure(rows[0].id, error);
      // One user's NaN is not the others': each again, alone.
      else for (const row of rows) await this.#runRows([row], answers);
    }
  }

  /** The answer that a bad question gets. */
  failure(id, error) {
    if (!(error instanceof SeqrecError)) throw error;
    const rest = { unknown: [], truncated: false, beyond_max_history: false, bundle: this.bundle };
    return { ...(id === undefined ? {} : { id }), status: error.code, items: [], ...rest, message: error.message };
  }
}
