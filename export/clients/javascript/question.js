// From a question to one row of the graph's inputs: clause 5.

import { SeqrecError } from "./errors.js";
import { isObject, kind, readJson, Real } from "./json.js";

const KEYS = ["id", "history", "time", "behavior", "features", "exclude", "k", "candidates"];
const LARGEST = 3.4028234663852886e38; // of float32

const bad = (message) => new SeqrecError("bad_question", message);

/** The value of one line of JSON. */
export function readQuestion(line) {
  try {
    return readJson(line);
  } catch (error) {
    throw bad(`The question is not valid JSON: ${error.message}.`);
  }
}

/** The id of a question that may be bad in other ways, so that its answer can name it. */
export function identity(value) {
  try {
    return isObject(value) ? idText(value.id, "id") : undefined;
  } catch {
    return undefined;
  }
}

/** An id as text; an integer becomes its decimal text. */
export function idText(value, name) {
  if (typeof value === "string" && value.isWellFormed()) return value;
  if (typeof value === "bigint" || Number.isSafeInteger(value)) return String(value);
  throw bad(`${name} is ${kind(value)}, but an id is a text or an integer.`);
}

function idTexts(value, name) {
  if (!Array.isArray(value)) throw bad(`${name} is ${kind(value)}, not a list of ids.`);
  return Array.from(value, (each, i) => idText(each, `${name}[${i}]`));
}

/**
 * A question, its keys and types checked (5.1): ids are texts, what is not told is undefined.
 * @param value an object, as read by `readJson` or from a caller
 */
export function checkQuestion(value) {
  if (!isObject(value)) throw bad(`A question is an object, not ${kind(value)}.`);
  for (const key of Object.keys(value)) {
    if (!KEYS.includes(key)) throw bad(`A question has no key ${JSON.stringify(key)}.`);
    if (holdsNull(value[key])) throw bad(`${key} holds a null.`);
  }
  const { id, history, time, behavior, features, exclude, k, candidates } = value;
  if (history === undefined) throw bad("A question needs a history; a newcomer's is [].");
  for (const [name, list] of Object.entries({ time, behavior })) {
    if (list !== undefined && !Array.isArray(list)) throw bad(`${name} is ${kind(list)}, not a list.`);
  }
  if (features !== undefined && !isObject(features)) throw bad(`features is ${kind(features)}, not an object.`);
  if (k !== undefined && typeof k !== "bigint" && !Number.isInteger(k)) throw bad(`k is ${kind(k)}, not an integer.`);
  return {
    id: id === undefined ? undefined : idText(id, "id"),
    history: idTexts(history, "history"),
    time,
    behavior,
    features,
    exclude: exclude === undefined ? [] : idTexts(exclude, "exclude"),
    k,
    candidates: candidates === undefined ? undefined : idTexts(candidates, "candidates"),
  };
}

function holdsNull(value) {
  if (value === null) return true;
  if (Array.isArray(value)) return value.some(holdsNull);
  return isObject(value) && Object.values(value).some(holdsNull);
}

/**
 * A history as the model reads it.
 * @param question as checked
 * @param since the time of the event before it, where a state is carried
 * @param cut whether to cut to the newest `max_history`
 * @returns `row` (items and columns of the kept events), `known` (indices before the cut), `unknown`, `truncated`,
 *   `time` (of the newest known event)
 */
export function encode(question, vocabulary, manifest, { since = null, cut = true } = {}) {
  const reads = (...names) => names.some((name) => manifest.columns.includes(name));
  const indices = question.history.map((item) => vocabulary.indices.get(item));
  const unknown = question.history.filter((_, place) => indices[place] === undefined);
  const places = [...indices.keys()].filter((place) => indices[place] !== undefined);
  const kept = cut ? places.slice(-manifest.max_history) : places;
  const columns = {};
  let time = since;
  if (reads("time_gap", "next_time_gap")) {
    const [times, now] = readTimes(question, since);
    const before = [since, ...places.map((place) => times[place])];
    const gaps = places.map((place, i) => (before[i] === null ? -1 : times[place] - before[i]));
    columns.time_gap = gaps.slice(gaps.length - kept.length);
    if (kept.length < places.length) columns.time_gap[0] = -1;
    time = before.at(-1);
    columns.next_time_gap = now === null || time === null ? -1 : now - time;
    if (![...gaps, columns.next_time_gap].every((gap) => Number.isFinite(Math.fround(gap)))) {
      throw bad("time holds a gap that is too large for float32.");
    }
  }
  if (reads("behavior", "next_behavior")) {
    const [names, wanted] = aligned(question, "behavior");
    const found = names.map((name, place) => readBehavior(name, place, manifest));
    columns.behavior = kept.map((place) => found[place]);
    columns.next_behavior = wanted === undefined ? 0 : readBehavior(wanted, names.length, manifest);
  }
  if (reads("features")) {
    const events = readFeatures(question, manifest);
    columns.features = kept.map((place) => events[place]);
  }
  const row = { items: kept.map((place) => indices[place]), columns };
  const known = places.map((place) => indices[place]);
  return { row, known, unknown, truncated: kept.length < places.length, time };
}

/** Some events of a row; the gaps stay those to the event before in the whole. */
export function part(row, start, end) {
  const columns = Object.entries(row.columns).map(([name, values]) => [
    name,
    Array.isArray(values) ? values.slice(start, end) : values,
  ]);
  return { items: row.items.slice(start, end), columns: Object.fromEntries(columns) };
}

/** The entries of a key, one an item, and that of the event asked for, or undefined. */
function aligned(question, key) {
  const n = question.history.length;
  const given = question[key];
  if (given === undefined) {
    if (n) throw bad(`This model reads ${key}: one entry an item of the history.`);
    return [[], undefined];
  }
  if (given.length !== n && given.length !== n + 1) {
    throw bad(`${key} has ${given.length} entries for a history of ${n}; it may have one more.`);
  }
  return [given.slice(0, n), given[n]];
}

function readNumber(value, name) {
  const number = value instanceof Real ? value.value : typeof value === "bigint" ? Number(value) : value;
  if (typeof number === "number" && Math.abs(number) <= LARGEST) return number;
  throw bad(`${name} is ${kind(value)}, but must be a number.`);
}

/** Numbers that do not decrease, and the moment of asking or null. */
function readTimes(question, since) {
  const [given, asked] = aligned(question, "time");
  let latest = since;
  const times = [...given, ...(asked === undefined ? [] : [asked])].map((value, place) => {
    const time = readNumber(value, `time[${place}]`);
    if (Math.abs(time) >= 1e11) throw bad(`time[${place}] is ${time}: seconds are meant.`);
    if (latest !== null && time < latest) throw bad(`time[${place}] is ${time}, before ${latest}.`);
    return (latest = time);
  });
  return [times.slice(0, given.length), times[given.length] ?? null];
}

function readBehavior(name, place, manifest) {
  const index = manifest.behaviors.indexOf(idText(name, `behavior[${place}]`));
  if (index < 0) throw bad(`behavior[${place}] is ${JSON.stringify(String(name))}; there are ${manifest.behaviors}.`);
  return index + 1;
}

/** For each event its numbers, in the manifest's order. */
function readFeatures({ features = {}, history }, manifest) {
  for (const name of Object.keys(features)) {
    if (!manifest.features.includes(name)) throw bad(`features has ${JSON.stringify(name)}; there are ${manifest.features}.`);
  }
  const lists = manifest.features.map((name) => {
    const values = Object.hasOwn(features, name) ? features[name] : history.length ? null : [];
    if (!Array.isArray(values) || values.length !== history.length) {
      throw bad(`features lacks ${JSON.stringify(name)}, a list of ${history.length} numbers.`);
    }
    return values.map((value, place) => readNumber(value, `features.${name}[${place}]`));
  });
  return history.map((_, place) => lists.map((values) => values[place]));
}
