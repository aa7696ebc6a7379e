// What the page says, in English and Chinese.

const TEXTS = {
  en: {
    heading: "What comes next",
    lead: "Pick what you liked. What comes next is worked out here, in your browser.",
    picks: "Your picks",
    search: "Search titles",
    placeholder: "Type a title…",
    nothing: "No title matches",
    behavior: "What you do with a pick",
    noPicks: "Nothing yet. Search, or take something from the list: it is what a newcomer gets.",
    clear: "Start again",
    next: "Recommended",
    hint: "Choose one to add it to your picks.",
    remove: (title) => `Remove ${title}`,
    loading: (percent) => `Fetching the model, once: ${percent}%`,
    starting: "Starting the model…",
    step: (time) => `one step, ${time}`,
    whole: (n, time) => `${n} ${n === 1 ? "pick" : "picks"} read anew, ${time}`,
    newcomer: (time) => `for a newcomer, ${time}`,
    added: (title, n, first) => `${title} added. ${n} recommendations, the first is ${first}.`,
    removed: (title, n, first) => `${title} removed. ${n} recommendations, the first is ${first}.`,
    cleared: (n, first) => `Started again. ${n} recommendations, the first is ${first}.`,
    results: (n) => `${n} ${n === 1 ? "title matches" : "titles match"}`,
    beyond: "Longer than the histories the model learned from.",
    privacy: "Your picks never leave this device: the model was fetched once, and nothing is sent.",
    about: (model, dataset, items, bundle) => `${model} on ${dataset}, ${items} titles, bundle ${bundle}.`,
    notices: "Notices of the software in this page",
    failed: (message) => `This page cannot start: ${message}`,
    file: "it was opened as a file. Serve its folder, for example with: python -m http.server --bind 127.0.0.1",
    milliseconds: (time) => `${time} ms`,
  },
  zh: {
    heading: "接下来看什么",
    lead: "选几个你喜欢的，推荐就在你的浏览器里算出来。",
    picks: "你的选择",
    search: "搜索标题",
    placeholder: "输入标题（原文）…",
    nothing: "没有匹配的标题",
    behavior: "你对所选条目的行为",
    noPicks: "还没有选择。可以搜索，也可以直接点推荐列表里的条目：那是给新用户的推荐。",
    clear: "重新开始",
    next: "推荐",
    hint: "点一个，就会加入你的选择。",
    remove: (title) => `移除 ${title}`,
    loading: (percent) => `正在获取模型（仅此一次）：${percent}%`,
    starting: "正在启动模型…",
    step: (time) => `只算一步，${time}`,
    whole: (n, time) => `重读 ${n} 个选择，${time}`,
    newcomer: (time) => `新用户，${time}`,
    added: (title, n, first) => `已加入 ${title}。共 ${n} 条推荐，第一条是 ${first}。`,
    removed: (title, n, first) => `已移除 ${title}。共 ${n} 条推荐，第一条是 ${first}。`,
    cleared: (n, first) => `已重新开始。共 ${n} 条推荐，第一条是 ${first}。`,
    results: (n) => `${n} 个标题匹配`,
    beyond: "已超过模型训练时见过的历史长度。",
    privacy: "你的选择不会离开这台设备：模型只获取一次，之后不发送任何数据。",
    about: (model, dataset, items, bundle) => `模型 ${model}，数据集 ${dataset}，${items} 个标题，模型包 ${bundle}。`,
    notices: "本页面所含软件的许可声明",
    failed: (message) => `页面无法启动：${message}`,
    file: "它是作为文件打开的。请用服务器提供这个文件夹，例如：python -m http.server --bind 127.0.0.1",
    milliseconds: (time) => `${time} 毫秒`,
  },
};

const CODES = { en: "en", zh: "zh-CN" };
const KEPT = "language";

function first() {
  try {
    const kept = localStorage.getItem(KEPT);
    if (kept in TEXTS) return kept;
  } catch {
    // A browser may keep nothing.
  }
  return navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
}

let language = first();

/** A text in the page's language. */
export function text(key, ...values) {
  const found = TEXTS[language][key];
  return typeof found === "function" ? found(...values) : found;
}

export function number(value) {
  return value.toLocaleString(CODES[language]);
}

/** Write every text of the page that does not change; `chosen` is kept for the next visit. */
export function translate(chosen) {
  if (chosen) {
    language = chosen;
    try {
      localStorage.setItem(KEPT, chosen);
    } catch {
      // As above.
    }
  }
  document.documentElement.lang = CODES[language];
  document.title = text("heading");
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = text(element.dataset.text);
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === language));
  }
}
