import { load, SeqrecError } from "./index.js";

try {
  const recommender = await load(process.argv[2] ?? "bundles/demo");

  const answer = await recommender.recommend(["50", "172", "181"], { k: 5 });
  for (const { item, score, title } of answer.items) console.log(item, score.toFixed(3), title ?? "");

  const session = await recommender.session(["50", "172"]); // this user's state is carried from here on
  const next = await session.push(["181"], { k: 5 }); // one step, however long the history
  console.log(next.status, next.items.map(({ item }) => item).join(" "), next.bundle);
} catch (error) {
  if (!(error instanceof SeqrecError)) throw error;
  console.error(`${error.code}: ${error.message}`);
  process.exitCode = 3;
}
