// A search box over titles: ARIA's combobox with a listbox.

import { text } from "./texts.js";

const SHOWN = 8;

/** Without case, accents and punctuation. */
function folded(title) {
  return title.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
}

export class Search {
  #input;
  #list;
  #choose;
  #say;
  #titles;
  #found = [];
  #active = -1;

  /**
   * @param titles of each index, from 1
   * @param choose called with the index that was chosen
   * @param say tells a screen reader
   */
  constructor(input, list, titles, choose, say) {
    this.#input = input;
    this.#list = list;
    this.#choose = choose;
    this.#say = say;
    this.#titles = titles.map((title) => title && { title, key: folded(title) });
    input.addEventListener("input", () => this.#search());
    input.addEventListener("focus", () => input.value && this.#search());
    input.addEventListener("blur", () => this.close());
    input.addEventListener("keydown", (event) => this.#key(event));
    list.addEventListener("pointerdown", (event) => event.preventDefault()); // the box keeps the focus
    list.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option?.dataset.index) this.#take(Number(option.dataset.index));
    });
  }

  close() {
    this.#list.hidden = true;
    this.#active = -1;
    this.#input.setAttribute("aria-expanded", "false");
    this.#input.removeAttribute("aria-activedescendant");
  }

  #search() {
    const words = folded(this.#input.value).split(/\s+/).filter(Boolean);
    if (!words.length) return this.close();
    const scored = [];
    for (let index = 1; index < this.#titles.length; index++) {
      const title = this.#titles[index];
      if (title && words.every((word) => title.key.includes(word))) {
        const begins = title.key.startsWith(words[0]) ? 0 : new RegExp(`(^|[^\\p{L}\\p{N}])${escape(words[0])}`, "u").test(title.key) ? 1 : 2;
        scored.push([begins, title.key.length, index]);
      }
    }
    scored.sort((a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2]);
    this.#found = scored.slice(0, SHOWN).map((entry) => entry[2]);
    this.#list.replaceChildren(...(this.#found.length ? this.#found.map((index, i) => this.#option(index, i)) : [nothing()]));
    this.#list.hidden = false;
    this.#input.setAttribute("aria-expanded", String(this.#found.length > 0));
    this.#say(this.#found.length ? text("results", scored.length) : text("nothing"));
    this.#move(this.#found.length ? 0 : -1);
  }

  #option(index, i) {
    const option = document.createElement("li");
    option.role = "option";
    option.id = `found-${i}`;
    option.dataset.index = index;
    option.textContent = this.#titles[index].title;
    return option;
  }

  #move(to) {
    this.#active = to;
    [...this.#list.children].forEach((option, i) => option.setAttribute("aria-selected", String(i === to)));
    if (to < 0) return this.#input.removeAttribute("aria-activedescendant");
    this.#input.setAttribute("aria-activedescendant", `found-${to}`);
    this.#list.children[to].scrollIntoView({ block: "nearest" });
  }

  #key(event) {
    if (event.isComposing) return; // Enter ends a word of an input method
    const { key } = event;
    const count = this.#found.length;
    if (key === "Escape") {
      if (this.#list.hidden) this.#input.value = "";
      this.close();
    } else if (this.#list.hidden && (key === "ArrowDown" || key === "ArrowUp")) this.#search();
    else if (this.#list.hidden || !count) return;
    else if (key === "ArrowDown") this.#move((this.#active + 1) % count);
    else if (key === "ArrowUp") this.#move((this.#active + count - 1) % count);
    else if (key === "Enter") this.#take(this.#found[this.#active]);
    else return;
    event.preventDefault();
  }

  #take(index) {
    this.#input.value = "";
    this.close();
    this.#choose(index);
  }
}

function nothing() {
  const item = document.createElement("li");
  item.className = "quiet";
  item.role = "option";
  item.ariaDisabled = "true";
  item.textContent = text("nothing");
  return item;
}

function escape(word) {
  return word.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
}
