// A user whose events come one by one: clause 7.

import { SeqrecError } from "./errors.js";
import { checkQuestion, identity, part, readQuestion } from "./question.js";

/** One user's carried state; made by `Recommender.session`. Calls that overlap go one after the other. */
export class Session {
  #recommender;
  #includeSeen;
  #known = [];
  #events = 0;
  #truncated = false;
  #time = null;
  // The last event and the state before it: with another exclusion that step runs again.
  #last;
  #before;
  #after;
  #step = null;
  #turn = Promise.resolve();

  constructor(recommender, includeSeen) {
    const { state } = recommender.manifest;
    if (!state.length) {
      throw new SeqrecError("bad_value", "This model carries no state: give the whole history each time.");
    }
    this.#recommender = recommender;
    this.#includeSeen = includeSeen;
    this.#last = recommender.encode(checkQuestion({ history: [] })).row;
    this.#before = this.#after = state.map(({ size }) => [new Float32Array(size)]);
  }

  /** The state after the last event: one Float32Array for each of the manifest's; zeros at the start. */
  get state() {
    return this.#after.map(([tensor]) => tensor);
  }

  /** What the last answer's items were scored against; null before the first answer. */
  get embedding() {
    return this.#step?.output.embedding[0] ?? null;
  }

  /** What is known already; called once, by `Recommender.session`. */
  begin(past) {
    return this.#queue(async () => {
      const encoded = this.#encode(checkQuestion(past));
      const question = checkQuestion({ history: [] });
      const { manifest } = this.#recommender;
      if (manifest.takesCandidates) question.candidates = [this.#recommender.vocabulary.items[1]];
      await this.#carry(encoded, this.#recommender.choose(question, encoded.known, this.#includeSeen));
    });
  }

  /**
   * New events, oldest first, and the answer after them. Unknown items change nothing; nor does an error.
   * @param told what a question would say besides: k, exclude, candidates, time, behavior, features
   */
  push(items, told = {}) {
    return this.#queue(() => this.#push({ ...told, history: items }));
  }

  /** `push` for any value, or line of JSON, from elsewhere: a bad question gets its code as an answer. */
  async answer(source) {
    let id;
    try {
      const value = typeof source === "string" ? readQuestion(source) : source;
      id = identity(value);
      return await this.#queue(() => this.#push(value));
    } catch (error) {
      return this.#recommender.failure(id, error);
    }
  }

  /** The next items again, perhaps with another k, exclusion, moment or wanted behaviour. Nothing changes. */
  async recommend(told = {}) {
    this.#recommender.checkTask("next_item");
    return this.push([], told);
  }

  /** How probable it is that the user acts next. Nothing changes. */
  async score(told = {}) {
    this.#recommender.checkTask("probability");
    return this.push([], told);
  }

  async #push(value) {
    const recommender = this.#recommender;
    const question = checkQuestion(value);
    const encoded = this.#encode(question);
    const choice = recommender.choose(question, [...this.#known, ...encoded.known], this.#includeSeen);
    await this.#carry(encoded, choice);
    const last = { ...this.#last, columns: { ...this.#last.columns, ...asked(encoded.row) } };
    const key = keyOf(choice, last);
    if (this.#step?.key !== key) {
      this.#step = { key, output: await recommender.runRows([last], [choice.indices], this.#before) };
    }
    const whole = { ...encoded, known: this.#known, truncated: this.#truncated };
    const beyond = this.#events > recommender.manifest.max_history;
    return recommender.answer({ id: question.id, encoded: whole, choice }, this.#step.output, 0, beyond);
  }

  /** New events; only the first call is cut to `max_history`. */
  #encode(question) {
    return this.#recommender.encode(question, { since: this.#time, cut: this.#events === 0 });
  }

  /** Carry the state over new events, the last of them with what is asked. */
  async #carry(encoded, choice) {
    const recommender = this.#recommender;
    const { row } = encoded;
    const count = row.items.length;
    if (!count) return;
    let before = this.#after;
    if (count > 1) {
      const nothing = recommender.manifest.takesCandidates ? [1] : [];
      before = (await recommender.runRows([part(row, 0, -1)], [nothing], before)).state;
    }
    const last = part(row, -1);
    const output = await recommender.runRows([last], [choice.indices], before);
    // Only now, as each run may fail.
    if (this.#events === 0) this.#truncated = encoded.truncated;
    this.#known = [...this.#known, ...encoded.known];
    this.#last = last;
    this.#before = before;
    this.#after = output.state;
    this.#time = encoded.time;
    this.#events += count;
    this.#step = { key: keyOf(choice, last), output };
  }

  #queue(work) {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {});
    return done;
  }
}

/** What is known of the event that is asked for. */
function asked({ columns }) {
  return Object.fromEntries(Object.entries(columns).filter(([name]) => name.startsWith("next_")));
}

/** What an answer to the last event depends on. */
function keyOf(choice, row) {
  return JSON.stringify([choice.indices, asked(row)]);
}
