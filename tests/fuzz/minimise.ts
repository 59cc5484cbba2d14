/** Makes an input that shows a fault smaller, as long as it shows the same one (the "ddmin" of delta debugging). */
import { execute } from "./execute.ts";
import type { Target } from "./target.ts";

const LIMIT_MS = 10_000;

/** The smallest input found that has the same signature. */
export async function minimise(target: Target, input: Uint8Array, signature: string): Promise<Uint8Array> {
  const until = performance.now() + LIMIT_MS;
  const shows = async (candidate: Uint8Array) => {
    const outcome = await execute(target, candidate);
    return typeof outcome === "object" && outcome.signature === signature;
  };
  let smallest = input;
  for (
    let piece = Math.ceil(smallest.length / 2);
    piece >= 1;
    piece = piece === 1 ? 0 : Math.ceil(piece / 2)
  ) {
    for (let at = 0; at < smallest.length && performance.now() < until;) {
      const shorter = Buffer.concat([smallest.subarray(0, at), smallest.subarray(at + piece)]);
      if (await shows(shorter)) smallest = new Uint8Array(shorter);
      else at += piece;
    }
  }
  return smallest;
}
