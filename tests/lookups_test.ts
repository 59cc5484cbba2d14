// "Untrusted names are looked up only in Map / null-prototype table / Object.hasOwn": the whole product, by the compiler's types.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { isDigest, parseDigest } from "../artifact/types/reference.ts";
import { parseFlags } from "../audit/render/flags.ts";
import { matchesLabels } from "../cli/render/declared_answers.ts";
import { policyLogEntry } from "../evaluator/render/policy_log.ts";
import { own, setOwn } from "../program/types/own.ts";
import { findingsIn } from "./findings.ts";
import { ROOMS } from "./floors.ts";
import type { Lookup } from "./lookups.ts";

const root = fileURLToPath(new URL("../", import.meta.url));

test("names from outside are looked up in what an object holds itself", () => {
  const found = findingsIn<Lookup>(
    "lookups",
    root,
    new RegExp(`^(mod\\.ts$|(${Object.keys(ROOMS).join("|")})/)`),
  );
  assert.is(found.map(({ file, line, text }) => `${file}:${line}: ${text}`).join("\n"), "");
  assert.ok(Object.keys(ROOMS).length > 8);
});

/** Lines of a program; those that end with `// found` must be found. */
const EXAMPLES =
  `declare const name: string, count: number, kind: "a" | "b", anything: any, either: "a" | string | undefined;
declare const table: Record<string, number>, pair: { a: number; b: number }, list: number[], exact: { [name: string]: () => void };
declare const exported: WebAssembly.Instance;
function generic<K extends "a" | "b">(key: K) { return pair[key]; }
function open<K extends string>(key: K) { return table[key]; } // found
generic("a"); open("a");
table[name]; // found
table[name] = 1; // found
table["fixed"];
table[\`x\${name}\`]; // found
exact[name]?.(); // found
table[anything]; // found
list[count];
list[anything]; // found
pair[kind];
table[either!]; // found
name in table; // found
"a" in table;
exported.exports[name];
exported.exports[name]!;
Object.hasOwn(table, name) ? table[name] : undefined;
if (Object.hasOwn(table, name)) table[name]!;
if (Object.hasOwn(exact, name)) table[name]!; // found
export const read = (key: string) => Object.hasOwn(table, key) && table[key];
export const later = () => table[name]; // found
new Map<string, number>().get(name);
`;

test("the check finds what it has to find, and nothing else", () => {
  const folder = mkdtempSync(join(tmpdir(), "lookups-"));
  try {
    writeFileSync(
      join(folder, "tsconfig.json"),
      JSON.stringify({
        compilerOptions: { strict: true, target: "ESNext", lib: ["ESNext", "DOM"], types: [] },
        files: ["a.ts"],
      }),
    );
    writeFileSync(join(folder, "a.ts"), EXAMPLES);
    const found = findingsIn<Lookup>("lookups", folder, /^a\.ts$/).map(({ line }) => line);
    const wanted = EXAMPLES.split("\n").flatMap((line, index) =>
      line.endsWith("// found") ? [index + 1] : []
    );
    assert.equal(found, wanted);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("own and setOwn know nothing of what objects inherit", () => {
  const inherited = [...Object.getOwnPropertyNames(Object.prototype), "prototype", "name"];
  for (const name of inherited) {
    assert.is(own({}, name), undefined, name);
    const table: Record<string, number> = {};
    setOwn(table, name, 1);
    assert.is(own(table, name), 1, name);
    assert.is(Object.getPrototypeOf(table), Object.prototype, name);
    assert.equal(Object.keys(table), [name]);
  }
  assert.is(own(undefined, "a"), undefined);
  assert.is(own(null, "a"), undefined);
  assert.is(own({ a: 0 }, "a"), 0);
});

test("what objects inherit is no log level, no flag's value, no algorithm and no label", () => {
  const encoder = new TextEncoder();
  for (const name of Object.getOwnPropertyNames(Object.prototype)) {
    const { level } = policyLogEntry(encoder.encode(JSON.stringify({ level: name, message: "m" })));
    assert.is(level, "error", name);
    assert.is(parseFlags([`--cluster=${name}`]).kind, "problem", name);
    assert.not.ok(isDigest(`${name}:${"0".repeat(64)}`), name);
    assert.throws(() => parseDigest(`${name}:`), undefined, name);
    assert.not.ok(matchesLabels(name, {}), name);
    assert.ok(matchesLabels(`!${name}`, {}), name);
  }
});

test.run();
