// Lines out of pieces, wherever they were cut.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { linesOf } from "../../kubernetes/render/lines.ts";

async function* cut(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function read(text: string, size: number, limit = 100): Promise<string[]> {
  const found: string[] = [];
  for await (const line of linesOf(cut(new TextEncoder().encode(text), size), limit)) found.push(line);
  return found;
}

test("lines come whole, however they were cut; empty ones and an unfinished last one do not come", async () => {
  for (let size = 1; size < 20; size++) {
    assert.equal(await read("one\n\nzwei ü 😀\n\n\nthree\nunfinished", size), ["one", "zwei ü 😀", "three"]);
  }
  assert.equal(await read("", 1), []);
});

test("a line over the limit is an error, finished or not, in one piece or in many", async () => {
  for (const text of ["x".repeat(11), `${"x".repeat(11)}\n`, `short\n${"x".repeat(11)}\nshort\n`]) {
    for (const size of [1, 5, 100]) {
      const error = await read(text, size, 10).then(() => undefined, (error: Error) => error.message);
      assert.is(error, "a line has more than 10 characters", `${JSON.stringify(text)} in pieces of ${size}`);
    }
  }
  assert.equal(await read(`${"x".repeat(10)}\n`.repeat(30), 1000, 10), Array(30).fill("x".repeat(10)));
});

test.run();
