// The page: the model is fetched once; a pick is one step of it.

import { load } from "../../clients/web/index.js";
import { Search } from "./search.js";
import { number, text, translate } from "./texts.js";
import { Visitor } from "./visitor.js";

const WASM = "ort-wasm-simd-threaded.wasm";
const at = (id) => document.getElementById(id);

let recommender;
let visitor;
let shown = null;
let turn = Promise.resolve();

translate();
for (const button of document.querySelectorAll("[data-language]")) {
  button.addEventListener("click", () => {
    translate(button.dataset.language);
    if (shown) draw();
  });
}
begin().catch((error) => {
  at("progress").hidden = true;
  at("loading").classList.add("failed");
  at("loading-text").textContent = text("failed", location.protocol === "file:" ? text("file") : error.message);
});

async function begin() {
  at("loading-text").textContent = text("loading", 0);
  recommender = await load("bundle", {
    wasm: WASM,
    report: (come, total) => {
      const percent = Math.floor((100 * come) / total);
      at("progress").value = come / total;
      at("loading-text").textContent = percent < 100 ? text("loading", percent) : text("starting");
    },
  });
  visitor = new Visitor(recommender);
  const { items, titles } = recommender.vocabulary;
  const named = items.map((item, index) => titles?.[index] ?? item);
  new Search(at("search"), at("found"), named, (index) => add(items[index]), say);
  choices();
  at("clear").addEventListener("click", () => act(() => visitor.clear(), (n, first) => text("cleared", n, first), () => at("search").focus()));
  at("next").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const place = [...at("next").querySelectorAll("button")].indexOf(button);
    add(button.dataset.item, () => {
      const buttons = at("next").querySelectorAll("button");
      (buttons[place] ?? buttons[0] ?? at("search")).focus();
    });
  });
  at("picks").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) remove(Number(button.dataset.place));
  });
  await visitor.start(); // the runtime's first run is slow, and is nobody's
  shown = await visitor.start();
  draw();
  at("loading").hidden = true;
  at("main").hidden = false;
  document.documentElement.dataset.ready = "";
}

/** The behaviours that a visitor can choose from, where the model reads them. */
function choices() {
  const { columns, behaviors } = recommender.manifest;
  if (!columns.some((name) => name.endsWith("behavior"))) return;
  at("behavior").append(...behaviors.map((name) => new Option(name, name)));
  at("behavior-row").hidden = false;
}

function add(item, then) {
  const behavior = at("behavior").value || undefined;
  act(() => visitor.add(item, behavior), (n, first) => text("added", titleOf(item), n, first), then);
}

function remove(place) {
  const title = titleOf(visitor.picks[place]);
  act(() => visitor.remove(place), (n, first) => text("removed", title, n, first), () => {
    const buttons = at("picks").querySelectorAll("button");
    (buttons[Math.min(at("picks").children.length - place, buttons.length - 1)] ?? at("search")).focus();
  });
}

/** Do one thing after the other, however fast the clicks come. */
function act(work, told, then) {
  turn = turn.then(async () => {
    shown = await work();
    draw();
    const { items } = shown.answer;
    say(told(items.length, titleOf(items[0]?.item)));
    then?.();
  });
  turn = turn.catch((error) => say(text("failed", error.message)));
}

function titleOf(item) {
  const { indices, titles } = recommender.vocabulary;
  return titles?.[indices.get(item)] ?? item ?? "–";
}

function say(words) {
  at("status").textContent = words;
}

function draw() {
  const { answer, took, how } = shown;
  const { picks } = visitor;
  at("search").placeholder = text("placeholder");
  at("picks").replaceChildren(...picks.map(pick).reverse());
  at("no-picks").hidden = picks.length > 0;
  at("clear").hidden = !picks.length;
  const best = answer.items[0]?.score ?? 0;
  const least = answer.items.at(-1)?.score ?? 0;
  at("next").replaceChildren(...answer.items.map((item) => row(item, (item.score - least) / (best - least || 1))));
  const time = text("milliseconds", took.toFixed(1));
  at("took").textContent = how === "whole" ? text("whole", picks.length, time) : text(how, time);
  at("took").dataset.milliseconds = took;
  at("took").title = answer.beyond_max_history ? text("beyond") : "";
  const { provenance, n_items } = recommender.manifest;
  at("about").textContent = text("about", provenance.model, provenance.dataset, number(n_items - 1), answer.bundle);
}

function pick(item, place) {
  const title = titleOf(item);
  const remove = element("button", "remove", "×");
  remove.type = "button";
  remove.dataset.place = place;
  remove.setAttribute("aria-label", text("remove", title));
  const line = element("li");
  line.value = place + 1;
  line.append(element("span", "title", title), remove);
  return line;
}

/** One recommendation; `share` is how its score stands between the last one's and the first one's. */
function row({ item, score }, share) {
  const button = element("button");
  button.type = "button";
  button.dataset.item = item;
  button.title = score.toFixed(3);
  const bar = element("span", "bar");
  bar.append(element("span"));
  bar.firstChild.style.inlineSize = `${Math.round(12 + 88 * share)}%`;
  bar.ariaHidden = "true";
  button.append(element("span", "title", titleOf(item)), bar);
  const line = element("li");
  line.append(button);
  return line;
}

function element(name, className = "", content = "") {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = content;
  return made;
}
