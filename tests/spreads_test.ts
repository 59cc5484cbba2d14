// Lists whose length others make are not spread into the arguments of a call, which lie on the stack: `push(...items)` of 130,000 items
// ends with a RangeError on Node.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { closingTable } from "../audit/render/progress.ts";
import { borderedTable } from "../cli/render/table.ts";
import { renderReview } from "../controller/render/admission_review.ts";
import { base64 } from "../program/types/base64.ts";
import { append, greatest } from "../program/types/lists.ts";
import { ROOMS } from "./floors.ts";

const root = fileURLToPath(new URL("../", import.meta.url));

/** Functions that take as many arguments as they are given. */
const VARIADIC = /(?<![#\w])(?:push|unshift|splice|concat|fromCharCode|fromCodePoint|hypot|max|min)\(/g;

/** What is spread into such calls, without what names its own length: a literal, a piece between two places. */
function spreadsIn(code: string): readonly string[] {
  const found: string[] = [];
  for (const call of code.matchAll(VARIADIC)) {
    let level = 1;
    let from: number | undefined;
    const take = (end: number) => {
      if (from === undefined) return;
      const spread = code.slice(from, end).trim();
      from = undefined;
      if (/^\.\.\.\[/.test(spread) && spread.endsWith("]") || /\.subarray\([^,]+,[^,]+\)$/.test(spread)) {
        return;
      }
      found.push(spread);
    };
    for (let at = call.index + call[0].length; at < code.length && level > 0; at++) {
      const sign = code[at]!;
      if ("([{".includes(sign)) level++;
      else if (")]}".includes(sign) && --level === 0) take(at);
      else if (level === 1 && sign === ",") take(at);
      else if (level === 1 && code.startsWith("...", at)) from ??= at;
    }
  }
  return found;
}

test("the check finds what it has to find", () => {
  const cases: readonly (readonly [code: string, found: readonly string[]])[] = [
    ["list.push(...items)", ["...items"]],
    ["list.push(1, ...items.map((x) => [x, (1)]), 2)", ["...items.map((x) => [x, (1)])"]],
    ["Math.max(0, ...a, ...b)", ["...a", "...b"]],
    ["String.fromCharCode(...bytes.subarray(at, at + 2))", []],
    ["String.fromCharCode(...bytes.subarray(at))", ["...bytes.subarray(at)"]],
    ["list.push(...[1, 2])", []],
    ["list.push([...items], { ...more })", []],
    ["[...items].push(1)", []],
    ["btoa(String.fromCharCode(...bytes))", ["...bytes"]],
  ];
  for (const [code, found] of cases) assert.equal(spreadsIn(code), found, code);
});

test("the product spreads no list of unknown length into a call", () => {
  const found: string[] = [];
  let files = 0;
  for (const room of Object.keys(ROOMS)) {
    for (const name of readdirSync(join(root, room), { recursive: true, encoding: "utf8" })) {
      if (!name.endsWith(".ts")) continue;
      files++;
      const file = `${room}/${name}`;
      for (const spread of spreadsIn(readFileSync(join(root, file), "utf8"))) {
        found.push(`${file}: ${spread}`);
      }
    }
  }
  assert.ok(files > 300, `${files} files`);
  assert.equal(found, []);
});

const MANY = 300_000;

test("long lists overflow nothing", () => {
  const numbers = Array.from({ length: MANY }, (_, index) => index);
  const list = [0];
  append(list, numbers);
  assert.is(list.length, MANY + 1);
  assert.is(greatest(numbers), MANY - 1);
  assert.is(greatest([], 3), 3);
  assert.is(greatest([-1, -2]), 0);
  const long = "ä".repeat(MANY);
  assert.is(base64(long), Buffer.from(long).toString("base64"));
  const rows = numbers.map((index) => [`name-${index}`, "value"] as const);
  assert.is(borderedTable(["a", "b"], rows).split("\n").length, MANY + 5);
  const totals = {
    ...{ resources: 0, namespaces: 0, written: 0, kept: 0, removed: 0 },
    ...{ unwritten: 0, unlisted: 0, failedNamespaces: 0 },
  };
  const policies = new Map(numbers.map((index) => [`p-${index}`, { pass: 1, fail: 0, error: 0 }]));
  // deno-lint-ignore no-explicit-any -- the totals are none of what this is about
  assert.ok(closingTable({ policies, totals } as any, 1).includes(`p-${MANY - 1}`));
});

test("the webhook answers with a patch of megabytes", () => {
  const value = "x".repeat(3 << 20);
  const patch = [{ op: "add" as const, path: "/spec/a", value }];
  const { response } = JSON.parse(renderReview({ allowed: true, patch }, "u"));
  assert.equal(JSON.parse(atob(response.patch)), patch);
});

test.run();
