// JSON whose numbers are kept as they are written is read without a reviver (`program/types/json_numbers.ts`), however deep it is.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseJson } from "../artifact/types/json_text.ts";
import { celSource } from "../audit/render/cel/values.ts";
import { parseExactly } from "../kubernetes/render/exact_json.ts";
import { parseNumbers } from "../program/types/json_numbers.ts";
import { ROOMS } from "./floors.ts";

const root = fileURLToPath(new URL("../", import.meta.url));

const TEXTS = [
  "1",
  " -0.5e+3 ",
  '"a"',
  "true",
  " [ false , null ] ",
  "[]",
  "{}",
  '[[],{},[{}],{"":[]}]',
  '{"a":{"b":[1,{"c":"d"}]},"e":"f"}',
  '{"a":1,"b":2,"a":3}',
  '{"2":1,"1":2,"b":3,"01":4}',
  '{"constructor":1,"toString":{"valueOf":null}}',
  '{"":"","\\"":"\\\\","\\\\":"\\"","\\\\\\"":"\\\\\\\\"}',
  '["\\u0041\\ud83d\\ude00\\ud800","[1,2]{\\"a\\":3}",":,"]',
  '{"\\u0061":1}',
  `"${"\\\\".repeat(1000)}"`,
  '{"a" : [ 1 ,\t2\n, -3.25e-1 ] }',
];

test("what is read is what JSON.parse reads", () => {
  for (const text of TEXTS) {
    const read = parseNumbers(text, Number);
    assert.equal(read, JSON.parse(text), text);
    assert.is(JSON.stringify(read), JSON.stringify(JSON.parse(text)), text);
  }
  const object = parseNumbers('{"__proto__":{"a":1.0},"b":[1e2]}', (source) => source) as object;
  assert.equal(Object.entries(object), [["__proto__", { a: "1.0" }], ["b", ["1e2"]]]);
  assert.is(Object.getPrototypeOf(object), Object.prototype);
  for (
    const text of ["", "[", "[1,]", "{a:1}", "01", '"\n"', "1 2", "-", "nul", "[1}", '{"a" 1}', '{"a":1,}']
  ) {
    assert.throws(() => parseNumbers(text, Number), (error: unknown) => error instanceof SyntaxError, text);
  }
});

test("parsing can be ended at every value and name", () => {
  let steps = 0;
  const text = '{"a":[1,{"b":null}],"c":"d"}';
  assert.equal(parseNumbers(text, Number, () => steps++), JSON.parse(text));
  assert.is(steps, 9);
  const ended = new Error("ended");
  for (let left = 0; left < steps; left++) {
    let taken = 0;
    assert.throws(() =>
      parseNumbers(text, Number, () => {
        if (taken++ === left) throw ended;
      }), (error: unknown) => error === ended);
  }
});

/** API servers take objects that nest this deep. */
const DEEPEST = 10_000;
const deep = (leaf: string) =>
  `${'{"a":['.repeat(DEEPEST / 2 - 1)}{"a":${leaf}}${"]}".repeat(DEEPEST / 2 - 1)}`;

test("no depth that an API server takes overflows the stack", () => {
  for (const leaf of ["1.0", "9007199254740993", "-0", "1"]) {
    let value = parseExactly(deep(leaf)) as unknown;
    for (let at = 0; at < DEEPEST - 1; at++) {
      value = Array.isArray(value) ? value[0] : (value as { readonly a: unknown }).a;
    }
    assert.is(JSON.stringify(value), leaf);
  }
  assert.throws(() => celSource(deep("1.0")), /nested more than 500 levels deep/);
  assert.throws(() => parseJson(deep("1.0"), "it", "protocol", Number), /nested deeper than 64 levels/);
});

const SKIPPED = new Set(["node_modules", "target", "extism-assemblyscript"]);

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return SKIPPED.has(entry.name) ? [] : sources(path);
    return entry.name.endsWith(".ts") ? [path] : [];
  });
}

/** The second argument of each call of `JSON.parse` that has one. */
function revivers(source: string): readonly string[] {
  return [...source.matchAll(/JSON\.parse\(/g)].flatMap(({ index, 0: { length } }) => {
    let depth = 0;
    for (let at = index + length, from = -1; at < source.length; at++) {
      const character = source[at]!;
      if ("([{".includes(character)) depth++;
      else if (depth === 0 && character === ")") return from < 0 ? [] : [source.slice(from, at).trim()];
      else if (")]}".includes(character)) depth--;
      else if (depth === 0 && character === "," && from < 0) from = at + 1;
    }
    return [];
  }).filter((argument) => argument !== "");
}

test("nothing of the product gives JSON.parse a reviver", () => {
  assert.equal(revivers("JSON.parse(text, revive); JSON.parse(f(a, b)); JSON.parse(\n  a,\n);"), ["revive"]);
  const files = Object.keys(ROOMS).flatMap((room) => sources(join(root, room)));
  assert.ok(files.length > 100);
  for (const file of files) assert.equal(revivers(readFileSync(file, "utf8")), [], file);
});

test.run();
