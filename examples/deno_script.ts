// A script for Deno: deno run --allow-read --allow-env=POLICY,SETTINGS deno_script.ts < review.json
// It prints the answer to the review that it reads.
import { loadPolicy } from "portreeve";

await using policy = await loadPolicy(Deno.env.get("POLICY") ?? "policy.wasm", {
  settings: Deno.env.get("SETTINGS") ?? "{}",
});
const review = await new Response(Deno.stdin.readable).text();
console.log(JSON.stringify(await policy.review(review)));
