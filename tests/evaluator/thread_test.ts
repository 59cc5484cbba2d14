/** Threads whose code can't be loaded: who waits is told so, instead of waiting for ever while threads are started in vain. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { EvaluatorPool, wholeRequest } from "../../evaluator/apply/pool.ts";

const encoder = new TextEncoder();
const request = () => wholeRequest({ json: encoder.encode("{}"), object: undefined });

let folder: string;
test.before(() => void (folder = mkdtempSync(join(tmpdir(), "thread-"))));
test.after(() => rmSync(folder, { recursive: true, force: true }));

/** What the code of a thread is; undefined: its file is missing. */
const CODES: readonly (readonly [title: string, code: string | undefined])[] = [
  ["missing", undefined],
  ["no JavaScript", "this is no program"],
  ["ends with an error", 'throw new Error("not here")'],
  ["ends", ""],
];

for (const [title, code] of CODES) {
  test(`a thread whose code is: ${title}`, async () => {
    const file = join(folder, `${title.replaceAll(" ", "_")}.mjs`);
    if (code !== undefined) writeFileSync(file, code);
    const errors: string[] = [];
    const pool = new EvaluatorPool({
      worker: pathToFileURL(file),
      threads: 2,
      onThreadError: (message) => errors.push(message),
    });
    try {
      const outcomes = await Promise.all([pool.validate(1, request()), pool.validate(1, request())]);
      for (const outcome of outcomes) {
        assert.is(outcome.kind, "error");
        assert.match(
          JSON.stringify(outcome),
          /no evaluating thread can be started: |the evaluating thread ended: /,
        );
      }
      assert.ok(errors.length >= 3);
      // The next one is told as well, and threads are not started at every turn of the loop.
      assert.is((await pool.validate(1, request())).kind, "error");
      assert.ok(errors.length < 20, `${errors.length} threads`);
    } finally {
      await pool.close();
    }
  });
}

test.run();
