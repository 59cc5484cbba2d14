// "No file over 400 lines, no function over 60, but where one comment says why": the whole product.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { findingsIn } from "./findings.ts";
import { ROOMS } from "./floors.ts";
import type { LongPiece } from "./lengths.ts";

const root = fileURLToPath(new URL("../", import.meta.url));

test("what is long says why", () => {
  const found = findingsIn<LongPiece>(
    "lengths",
    root,
    new RegExp(`^(mod\\.ts$|(${Object.keys(ROOMS).join("|")})/)`),
  );
  const texts = found.map(({ file, line, lines, most }) =>
    `${file}${line === undefined ? "" : `:${line}: a function`} has ${lines} lines, at most ${most}`
  );
  assert.is(texts.join("\n"), "");
});

/** So many lines of a body; the two of the braces come on top. */
const body = (lines: number) => "  f();\n".repeat(lines);

/** Files, and the lines in which something must be found; 0 for the file. */
const EXAMPLES: readonly (readonly [source: string, found: readonly number[]])[] = [
  [`export function f(): void {\n${body(58)}}\n`, []],
  [`export function f(): void {\n${body(59)}}\n`, [1]],
  [`/** A text. */\n// In one piece: its cases are.\nexport function f(): void {\n${body(59)}}\n`, []],
  [`// In one piece:\nexport function f(): void {\n${body(59)}}\n`, [2]],
  [`// In one piece: not this one.\n\nexport function f(): void {\n${body(59)}}\n`, [3]],
  [`export const f = (): void => {\n${body(59)}};\n`, [1]],
  [`// In one piece: a table.\nexport const f = (): void => {\n${body(59)}};\n`, []],
  [`export class C {\n  m(): void {\n    const f = () => {};\n${body(58)}  }\n}\n`, [2]],
  [
    `// In one piece: its parts share all they know.\nexport function f(): void {\n  const g = () => {\n${
      body(59)
    }  };\n  g();\n}\n`,
    [3],
  ],
  [`export const list = [\n${"  1,\n".repeat(398)}];\n`, []],
  [`export const list = [\n${"  1,\n".repeat(399)}];\n`, [0]],
  [`/** A text. */\n// In one piece: a table.\nexport const list = [\n${"  1,\n".repeat(399)}];\n`, []],
];

test("the check finds what it has to find, and nothing else", () => {
  const folder = mkdtempSync(join(tmpdir(), "lengths-"));
  try {
    const files = EXAMPLES.map((_, index) => `example_${index}.ts`);
    const compilerOptions = { strict: true, target: "ESNext", lib: ["ESNext"], types: [] };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files }));
    for (const [index, [source]] of EXAMPLES.entries()) writeFileSync(join(folder, files[index]!), source);
    const found = findingsIn<LongPiece>("lengths", folder, /^example_/);
    for (const [index, [source, wanted]] of EXAMPLES.entries()) {
      const lines = found.filter(({ file }) => file === files[index]).map(({ line }) => line ?? 0);
      assert.equal(lines, wanted, source.slice(0, 120));
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test.run();
