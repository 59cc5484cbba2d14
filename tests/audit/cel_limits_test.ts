// What a tenant may write into matchConditions ends within its limits of cost, time and memory, and the object is never passed
// over in silence: it gets an error. Each of these ran for minutes, took gigabytes, or both.
import { performance } from "node:perf_hooks";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  celEnvironment,
  matchConditions,
  MAX_NAMESPACE_MS,
  MAX_POLICY_MS,
} from "../../audit/apply/match_conditions.ts";
import { compileCondition } from "../../audit/render/cel/conditions.ts";
import {
  createMeter,
  MAX_CONDITIONS_COST,
  MAX_CONDITIONS_MS,
  MAX_EXPRESSION_COST,
} from "../../audit/render/cel/meter.ts";
import { programSize } from "../../audit/render/cel/patterns.ts";
import { celSource } from "../../audit/render/cel/values.ts";
import type { Audited } from "../../audit/types/judgement.ts";
import type { Auditable, Served } from "../../audit/types/policies.ts";
import { type Attack, ATTACKS, LARGE, OBJECT } from "./cel_attacks.ts";

/** Beyond the limit on time: one step that nothing interrupts (100 ms), on a machine that does other things too. */
const MAX_MS = MAX_CONDITIONS_MS + 1_000;
/** All that one evaluation may hold at a time, and what the runtime hasn't collected yet of the evaluations before it. */
const MAX_GROWTH = 400 * 2 ** 20;

const served: Served = {
  group: "",
  version: "v1",
  kind: "ConfigMap",
  plural: "configmaps",
  singular: "configmap",
  namespaced: true,
  rank: 0,
};
const audited = (text: string): Audited => ({
  text,
  apiVersion: "v1",
  kind: "ConfigMap",
  name: "a",
  namespace: "tenant",
  uid: "u",
  resourceVersion: "1",
  labels: {},
});
let made = 0;
const policyOf = (expressions: readonly string[], namespace?: string) =>
  ({
    id: `p-${made++}`,
    policy: { metadata: { name: "p", ...(namespace === undefined ? {} : { namespace }) } },
    conditions: expressions.map((expression, index) => ({ name: `c-${index}`, expression })),
  }) as unknown as Auditable;

async function checker() {
  const conditions = matchConditions();
  await conditions.prepare([policyOf(["true"])]);
  return (expressions: readonly string[], text: string) =>
    conditions.check(policyOf(expressions), audited(text), served);
}

for (const { name, expressions, text = OBJECT, outcome = "problem" } of ATTACKS as readonly Attack[]) {
  test(`ends: ${name}`, async () => {
    const check = await checker();
    const before = process.memoryUsage().rss;
    const began = performance.now();
    const found = check(expressions, text);
    const ms = performance.now() - began;
    const grown = process.memoryUsage().rss - before;
    assert.ok(ms < MAX_MS, `${ms.toFixed()} ms`);
    assert.ok(grown < MAX_GROWTH, `grown by ${(grown / 2 ** 20).toFixed()} MiB`);
    if (outcome !== "any") assert.is(found.kind, outcome, JSON.stringify(found).slice(0, 300));
    if (found.kind === "problem") {
      assert.match(found.message, /^the match condition/);
      assert.ok(found.message.length < 400, `${found.message.length} characters`);
      // deno-lint-ignore no-control-regex
      assert.not.match(found.message, /[\x00-\x1f\x7f-\x9f]/);
    }
  });
}

test("what conditions are about stays far below the limits, on large objects too", async () => {
  const environment = await celEnvironment();
  const costs: [string, number][] = [];
  for (
    const expression of [
      "object.spec.names.all(name, name.matches('^[a-z0-9-]{1,63}$'))",
      "object.spec.names.exists(name, name.startsWith('x')) || object.spec.names.size() == 2000",
      "!('x' in object.spec.names) && object.spec.names.map(n, n.split('-')).all(parts, parts.size() == 2)",
      "size(object.data.large) > 1000 && object.data.large.contains('aaaab') == false",
    ]
  ) {
    let cost = 0;
    const meter = createMeter(() => 0);
    const charge = (paid: number) => {
      cost += paid;
      meter.charge(paid);
    };
    const verdict = compileCondition(environment, expression)({ object: celSource(LARGE).value }, {
      ...meter,
      charge,
      text: (length) => charge(length / 10),
    });
    assert.equal(verdict, { kind: "value", value: true }, expression);
    costs.push([expression, cost]);
  }
  for (const [expression, cost] of costs) assert.ok(cost < MAX_EXPRESSION_COST / 3, `${expression}: ${cost}`);
});

test("reading the object is bounded and paid from the time of the policy that asks, and tried once", async () => {
  const large: Readonly<Record<string, string>> = {
    numbers: `[${"1,".repeat(700_000)}1]`,
    objects: `[${'{"a":1},'.repeat(180_000)}1]`,
    texts: `[${'"a",'.repeat(380_000)}1]`,
    "empty lists": `[${"[],".repeat(480_000)}1]`,
    names: `{${Array.from({ length: 120_000 }, (_, index) => `"k${index}":1`).join(",")}}`,
  };
  const check = await checker();
  for (const [name, text] of Object.entries(large)) {
    const found = check(["true"], `{"data":${text}}`);
    assert.equal(found, {
      kind: "problem",
      message: "the match conditions cannot be evaluated: the object has more than 200000 values and names",
    }, name);
  }
  // As large as an object may be and be read: time that is up ends it, and no other policy reads it again.
  let now = 0, looks = 0;
  const conditions = matchConditions(() => {
    looks++;
    return now += 100;
  });
  await conditions.prepare([policyOf(["true"])]);
  const object = audited(`{"data":[${"1,".repeat(190_000)}1]}`);
  const late = /^the match conditions cannot be evaluated: it takes longer than 1000 ms/;
  const first = conditions.check(policyOf(["true"]), object, served);
  assert.match((first as { message: string }).message, late);
  assert.ok(looks > 5 && looks < 50, `${looks}`);
  looks = 0;
  assert.match((conditions.check(policyOf(["true"]), object, served) as { message: string }).message, late);
  assert.ok(looks < 5, `${looks}`);
  // With the time that it takes, it is read.
  assert.is(check(["object.data.size() == 190001"], `{"data":[${"1,".repeat(190_000)}1]}`).kind, "matching");
});

test("all conditions of a policy share one budget per object", async () => {
  const check = await checker();
  const heavy = "object.spec.names.all(a, object.spec.names.exists(b, b == 'name-100'))";
  assert.is(check([heavy], LARGE).kind, "matching");
  const many = check(Array.from({ length: 64 }, () => heavy), LARGE);
  assert.is(many.kind, "problem");
  assert.match((many as { message: string }).message, String(MAX_CONDITIONS_COST));
  assert.match(
    (check(Array.from({ length: 65 }, () => "true"), LARGE) as { message: string }).message,
    /65 match conditions; the limit is 64/,
  );
  // The next object has a budget of its own.
  assert.is(check([heavy], LARGE).kind, "matching");
});

test("a policy whose conditions take a minute of a run gets errors for the objects that are left, others don't", async () => {
  let now = 0;
  const conditions = matchConditions(() => now += 1);
  const [greedy, modest] = [policyOf(["object.spec.names.all(n, n != '')"]), policyOf(["true"])];
  await conditions.prepare([greedy, modest]);
  const object = audited(LARGE);
  let matched = 0;
  let last = conditions.check(greedy, object, served);
  for (
    ;
    last.kind === "matching" && matched < MAX_POLICY_MS;
    last = conditions.check(greedy, object, served)
  ) {
    matched++;
  }
  assert.ok(matched > 10, `${matched}`);
  assert.is(last.kind, "problem");
  assert.match((last as { message: string }).message, /more than 60 s in this run/);
  assert.is(conditions.check(greedy, audited(OBJECT), served).kind, "problem");
  // A tenant whose objects made a cluster-wide policy slow has not used up what it has for others.
  assert.is(conditions.check(greedy, { ...object, namespace: "other" }, served).kind, "matching");
  assert.is(conditions.check(greedy, { ...object, namespace: undefined }, served).kind, "matching");
  assert.is(conditions.check(modest, object, served).kind, "matching");
});

test("many policies of a namespace have five minutes of a run together", async () => {
  let now = 0;
  const conditions = matchConditions(() => now += 1);
  const all = ["object.spec.names.all(n, n != '')"];
  await conditions.prepare([policyOf(all)]);
  const object = audited(LARGE);
  let last = conditions.check(policyOf(all, "tenant"), object, served);
  for (let made = 0; last.kind === "matching" && made < MAX_NAMESPACE_MS; made++) {
    last = conditions.check(policyOf(all, "tenant"), object, served);
  }
  assert.is(last.kind, "problem");
  assert.match(
    (last as { message: string }).message,
    /namespace's policies have taken more than 300 s in this run/,
  );
  assert.is(conditions.check(policyOf(all, "other"), object, served).kind, "matching");
  assert.is(conditions.check(policyOf(all), object, served).kind, "matching");
});

test("an error is absorbed by && and ||, the end of the budget is not", async () => {
  const check = await checker();
  assert.is(check(["1 / 0 == 1 || true"], OBJECT).kind, "matching");
  const endless = "object.data.list.all(a, object.data.list.all(b, object.data.list.all(c, true)))";
  for (const absorbed of [`${endless} || true`, `[1, 2].exists(x, x == 2 || ${endless})`]) {
    assert.is(
      check([absorbed], OBJECT.replace('"list":[]', `"list":${JSON.stringify(Array(300).fill(1))}`)).kind,
      "problem",
    );
  }
});

test("names that objects inherit are no fields, keys, variables or functions", async () => {
  const check = await checker();
  for (const name of ["constructor", "toString", "hasOwnProperty", "valueOf"]) {
    assert.is(check([`has(object.${name})`], OBJECT).kind, "excluded", name);
    assert.is(check([`"${name}" in object.data || '${name}' in {'a': 1}`], OBJECT).kind, "excluded", name);
    assert.is(check([`object.?${name}.hasValue()`], OBJECT).kind, "excluded", name);
    for (
      const expression of [`object.${name}`, `object["${name}"]`, name, `${name}(object)`, `object.${name}()`]
    ) {
      assert.is(check([`${expression} == 1`], OBJECT).kind, "problem", expression);
    }
  }
  assert.is(check(['"__proto__" in object'], OBJECT).kind, "excluded");
  // What the object itself holds under such names is data.
  const own = '{"constructor":"c","__proto__":{"a":1},"toString":"t"}';
  assert.is(
    check(["object.constructor == 'c' && object['__proto__'].a == 1 && object.toString == 't'"], own).kind,
    "matching",
  );
  assert.is(check(["{'constructor': 1, '__proto__': 2}['constructor'] == 1"], OBJECT).kind, "matching");
});

test("the size of a pattern's program is told before it is compiled", () => {
  for (
    const [pattern, least, most] of [
      ["^[a-z]+$", 4, 60],
      ["a{1000}", 1000, 1000],
      ["(ab){500}", 1000, 2100],
      ["((a{10}){10}){10}", 1000, 3300],
      ["a{2,50}b", 90, 110],
      ["[{]a\\{5}", 1, 30],
      ["\\Qa{1000}\\E", 1, 20],
    ] as const
  ) {
    const { instructions: size } = programSize(pattern);
    assert.ok(size >= least && size <= most, `${pattern}: ${size}`);
  }
  // Building classes of Unicode costs more than their instructions, wherever they stand.
  for (
    const [pattern, least] of [
      ["\\pL", 20],
      ["\\pL".repeat(10), 200],
      [`[${"\\pL".repeat(10)}]`, 200],
      [`[^${"\\PL".repeat(10)}]`, 200],
      [`(?i)[${"\\p{L}".repeat(10)}]`, 600],
      [`(?i:${"\\pL".repeat(10)})`, 600],
      [`(?si)${"\\pL".repeat(10)}`, 600],
    ] as const
  ) assert.ok(programSize(pattern).building >= least, `${pattern}: ${programSize(pattern).building}`);
});

test.run();
