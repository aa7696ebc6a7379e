// A client as the conformance runner asks it: JSON lines in, JSON lines out. ../../conformance/README.md has the protocol.

import { SeqrecError } from "./errors.js";
import { isObject, readJson, Real } from "./json.js";

const UNDER_TEST = { load, recommend: ask, score: ask, session, push, run, time };

/**
 * Answer stdin's requests on stdout.
 * @param load a function that loads the bundle
 * @param client, runtime their names
 */
export async function serve({ load, client, runtime }) {
  const { createInterface } = await import("node:readline");
  let recommender;
  try {
    recommender = await load();
  } catch (error) {
    if (!(error instanceof SeqrecError)) throw error;
    write({ status: error.code, message: error.message });
    process.exitCode = 3;
    return;
  }
  const context = { recommender, sessions: new Map(), client, runtime };
  for await (const line of createInterface({ input: process.stdin })) {
    let request;
    try {
      request = readJson(line);
      if (!isObject(request) || !Object.hasOwn(UNDER_TEST, request.call)) throw new SyntaxError("no such call");
    } catch (error) {
      write(recommender.failure(undefined, new SeqrecError("bad_value", `This is no request: ${error.message}.`)));
      continue;
    }
    try {
      write(await UNDER_TEST[request.call](context, request));
    } catch (error) {
      write(recommender.failure(undefined, error));
    }
  }
}

/** Floats as the shortest text of the same float32 would be long: a double's text gives the same float32 back. */
function write(answer) {
  const plain = (_, value) => (ArrayBuffer.isView(value) ? Array.from(value) : value);
  process.stdout.write(JSON.stringify(answer, plain) + "\n");
}

function load({ recommender, client, runtime }) {
  return { status: "ok", bundle: recommender.bundle, client, runtime };
}

async function ask({ recommender }, { call, question, include_seen, tensors }) {
  recommender.checkTask(call === "score" ? "probability" : "next_item");
  const [answer] = await recommender.answerBatch([value(question)], { includeSeen: include_seen });
  return tensors && !answer.message ? { ...answer, ...(await recommender.embed(value(question))) } : answer;
}

async function session({ recommender, sessions }, { session, include_seen }) {
  sessions.set(session, await recommender.session([], { includeSeen: include_seen }));
  return { status: "ok", bundle: recommender.bundle };
}

async function push({ sessions }, { session: name, question, tensors }) {
  const session = sessions.get(name);
  if (!session) throw new SeqrecError("bad_value", `There is no session ${name}.`);
  const answer = await session.answer(value(question));
  return tensors && !answer.message ? { ...answer, embedding: session.embedding, state: session.state } : answer;
}

async function run({ recommender }, { call: _, ...arrays }) {
  return { status: "ok", bundle: recommender.bundle, ...(await recommender.run(numbers(arrays))) };
}

async function time({ recommender }, { question, repeat }) {
  const asked = value(question);
  const { history, ...told } = asked;
  const clock = async (work) => {
    const took = [];
    for (let i = -50; i < repeat; i++) {
      const start = performance.now();
      await work();
      if (i >= 0) took.push((performance.now() - start) * 1000);
    }
    return took;
  };
  const call = recommender.manifest.task === "next_item" ? "recommend" : "score";
  const answered = await clock(() => recommender[call](history, told));
  if (!recommender.manifest.state.length) return { status: "ok", recommend: answered, push: [] };
  const last = lastOf(asked);
  const session = await recommender.session();
  return { status: "ok", recommend: answered, push: await clock(() => session.push(last.history, last.told)) };
}

/** A question's last event, with what is told of it. */
function lastOf({ history, time, behavior, features, ...told }) {
  const at = history.length - 1;
  const lists = { time, behavior };
  for (const name in lists) if (lists[name]) told[name] = [lists[name][at]];
  if (features) {
    told.features = Object.fromEntries(Object.entries(features).map(([name, values]) => [name, [values[at]]]));
  }
  return { history: [history[at]], told };
}

/** A missing question is no object either. */
function value(question) {
  return question === undefined ? null : question;
}

/** Arrays with the texts NaN, Infinity and -Infinity as numbers. */
function numbers(value) {
  if (value instanceof Real) return value.value;
  if (typeof value === "string" || typeof value === "bigint") return Number(value);
  if (Array.isArray(value)) return value.map(numbers);
  return isObject(value) ? Object.fromEntries(Object.entries(value).map(([k, v]) => [k, numbers(v)])) : value;
}
