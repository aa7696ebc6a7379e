// The visitor's picks, and the state that is carried from one to the next. None of it leaves the page.

/** How many items are shown. */
const SHOWN = 10;

export class Visitor {
  #recommender;
  #session = null;
  #events = [];

  constructor(recommender) {
    this.#recommender = recommender;
  }

  get picks() {
    return this.#events.map((event) => event.item);
  }

  /** One pick more: one step of the model where it carries a state. */
  async add(item, behavior) {
    const event = { item, behavior, time: Date.now() / 1000 };
    this.#events.push(event);
    return this.#answer(this.#session && (() => this.#session.push([item], this.#told([event]))), this.#session ? "step" : "whole");
  }

  async remove(place) {
    this.#events.splice(place, 1);
    return this.start();
  }

  async clear() {
    this.#events = [];
    return this.start();
  }

  /** All picks anew. */
  async start() {
    this.#session = null;
    return this.#answer(null, this.#events.length ? "whole" : "newcomer");
  }

  /** @returns `answer`, `took` in milliseconds, and `how` it was reached: step, whole, newcomer */
  async #answer(step, how) {
    const begun = performance.now();
    const answer = await (step ?? (() => this.#whole()))();
    return { answer, took: performance.now() - begun, how };
  }

  async #whole() {
    const { manifest } = this.#recommender;
    const told = this.#told(this.#events);
    if (!manifest.state.length) return this.#recommender.recommend(this.picks, { ...told, k: this.#k });
    this.#session = await this.#recommender.session(this.picks, told);
    return this.#session.recommend({ k: this.#k });
  }

  get #k() {
    return Math.min(SHOWN, this.#recommender.manifest.top_k);
  }

  /** What the model reads of events besides their items. */
  #told(events) {
    const { columns } = this.#recommender.manifest;
    const told = {};
    if (columns.some((name) => name.endsWith("time_gap"))) told.time = events.map((event) => event.time);
    if (columns.some((name) => name.endsWith("behavior"))) told.behavior = events.map((event) => event.behavior);
    return told;
  }
}
