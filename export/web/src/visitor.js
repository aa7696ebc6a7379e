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

  /** One pick more: one step of the model where it carries a state. An error changes nothing. */
  async add(item, behavior) {
    const event = { item, behavior, time: Date.now() / 1000 };
    const events = [...this.#events, event];
    const session = this.#session;
    if (!session) return this.#answer("whole", events, () => this.#whole(events));
    return this.#answer("step", events, () => session.push([item], { ...this.#told([event]), k: this.#k }));
  }

  async remove(place) {
    return this.start(this.#events.filter((_, other) => other !== place));
  }

  async clear() {
    return this.start([]);
  }

  /** All picks anew. */
  async start(events = this.#events) {
    return this.#answer(events.length ? "whole" : "newcomer", events, () => this.#whole(events));
  }

  /** @returns `answer`, `took` in milliseconds, and `how` it was reached: step, whole, newcomer */
  async #answer(how, events, work) {
    const begun = performance.now();
    const answer = await work();
    this.#events = events;
    return { answer, took: performance.now() - begun, how };
  }

  async #whole(events) {
    const items = events.map((event) => event.item);
    const told = this.#told(events);
    const k = this.#k;
    if (!this.#recommender.manifest.state.length) return this.#recommender.recommend(items, { ...told, k });
    const session = await this.#recommender.session(items, told);
    const answer = await session.recommend({ k });
    this.#session = session;
    return answer;
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
