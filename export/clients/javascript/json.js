// JSON that keeps apart what JSON.parse does not: 2.0 is no integer, and 12345678901234567890 keeps its digits.

/** A number written with a fraction or an exponent that happens to be whole, such as 2.0. */
export class Real {
  constructor(value) {
    this.value = value;
  }
}

const MOST_DEPTH = 200;
const NUMBER = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y;
const WORDS = { true: true, false: false, null: null };

/**
 * The value of a text. Integers are numbers, or BigInts where these would lose digits; objects have no prototype.
 * @throws SyntaxError
 */
export function readJson(text) {
  let at = 0;
  const value = read(0);
  space();
  if (at < text.length) fail();
  return value;

  function fail() {
    throw new SyntaxError(at < text.length ? `unexpected ${JSON.stringify(text[at])} at ${at}` : "it ends too early");
  }

  function space() {
    while (at < text.length && " \t\n\r".includes(text[at])) at++;
  }

  function expect(character) {
    space();
    if (text[at] !== character) fail();
    at++;
  }

  /** Whether a character comes next; it is taken then. */
  function next(character) {
    space();
    if (text[at] !== character) return false;
    at++;
    return true;
  }

  function read(depth) {
    if (depth > MOST_DEPTH) throw new SyntaxError("it is nested too deeply");
    space();
    if (next("{")) return object(depth);
    if (next("[")) return list(depth);
    if (text[at] === '"') return string();
    for (const word in WORDS) {
      if (text.startsWith(word, at)) {
        at += word.length;
        return WORDS[word];
      }
    }
    return number();
  }

  function object(depth) {
    const found = Object.create(null); // so that "__proto__" is a key like any other
    if (next("}")) return found;
    do {
      space();
      if (text[at] !== '"') fail();
      const key = string();
      expect(":");
      found[key] = read(depth + 1); // of repeated keys the last one counts
    } while (next(","));
    expect("}");
    return found;
  }

  function list(depth) {
    const found = [];
    if (next("]")) return found;
    do found.push(read(depth + 1));
    while (next(","));
    expect("]");
    return found;
  }

  function string() {
    let end = at;
    let escaped;
    do {
      end = text.indexOf('"', end + 1);
      if (end < 0) throw new SyntaxError("a text does not end");
      escaped = false;
      for (let i = end - 1; text[i] === "\\"; i--) escaped = !escaped;
    } while (escaped);
    const value = JSON.parse(text.slice(at, end + 1));
    if (!value.isWellFormed()) throw new SyntaxError(`half a character at ${at}`);
    at = end + 1;
    return value;
  }

  function number() {
    NUMBER.lastIndex = at;
    const match = NUMBER.exec(text);
    if (!match) fail();
    at = NUMBER.lastIndex;
    const value = Number(match[0]);
    if (!Number.isFinite(value)) throw new SyntaxError(`${match[0]} is too large`);
    if (match[1] || match[2]) return Number.isInteger(value) ? new Real(value) : value;
    return Number.isSafeInteger(value) ? value + 0 : BigInt(match[0]);
  }
}

/** Bytes as text. @throws TypeError where they are not UTF-8. */
export function utf8(bytes) {
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
}

/** Whether a value is a JSON object. */
export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Real);
}

/** How a person calls a value. */
export function kind(value) {
  if (value instanceof Real) return `the number ${value.value}`;
  if (Array.isArray(value)) return "a list";
  if (typeof value === "string") return "a text";
  if (typeof value === "number" || typeof value === "bigint") return `the number ${value}`;
  return typeof value === "object" && value !== null ? "an object" : String(value);
}
