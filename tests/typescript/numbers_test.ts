// Numbers that JavaScript can't hold, or writes in another way: what a policy leaves alone comes back as it was.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { withExactNumbers } from "../../typescript/render/exact_numbers.ts";
import { loadPolicy } from "../../mod.ts";
import { build, validating } from "./building.ts";

const LARGE = "9007199254740993";

// deno-lint-ignore no-explicit-any -- as policies get it
type Change = (object: any) => unknown;

/** What is changed in an object, and what comes of it. */
const CHANGES: readonly (readonly [what: string, object: string, change: Change, changed: string])[] = [
  ["an integer beyond 2^53", `{"a":${LARGE}}`, (o) => ({ ...o, b: 1 }), `{"a":${LARGE},"b":1}`],
  ["a negative one", `{"a":-${LARGE}}`, (o) => ({ ...o, b: 1 }), `{"a":-${LARGE},"b":1}`],
  ["the largest of 64 bits", '{"a":18446744073709551615}', (o) => o, '{"a":18446744073709551615}'],
  ["a fraction that is whole", '{"a":1.0,"b":1}', (o) => ({ ...o, c: 2 }), '{"a":1.0,"b":1,"c":2}'],
  ["an exponent", '{"a":1e3,"b":2.50}', (o) => o, '{"a":1e3,"b":2.50}'],
  ["minus zero", '{"a":-0,"b":-0.0}', (o) => o, '{"a":-0,"b":-0.0}'],
  ["too large for any number", '{"a":1e400}', (o) => o, '{"a":1e400}'],
  ["one that was changed", '{"a":1.0}', (o) => ({ a: o.a + 1 }), '{"a":2}'],
  [
    "one beside it",
    `{"a":[{"n":${LARGE}},{"n":1.0}]}`,
    (o) => (o.a[0].b = 1, o),
    `{"a":[{"n":${LARGE},"b":1},{"n":1.0}]}`,
  ],
  [
    "what moves in a list",
    '{"a":[{"n":1.0},{"n":2.0}]}',
    (o) => (o.a.unshift({ n: 3 }), o),
    '{"a":[{"n":3},{"n":1.0},{"n":2.0}]}',
  ],
  ["what is copied to another place", '{"a":{"n":1.0}}', (o) => ({ b: { ...o.a } }), '{"b":{"n":1.0}}'],
  ["a large one that moves alone", `{"a":${LARGE}}`, (o) => ({ b: o.a }), `{"b":${LARGE}}`],
  ["equal but for their form", '{"a":[{"n":1},{"n":1.0}]}', (o) => o, '{"a":[{"n":1},{"n":1.0}]}'],
  ["digits in a text", `{"a":"${LARGE}","b":"v1.0"}`, (o) => o, `{"a":"${LARGE}","b":"v1.0"}`],
  [
    "names that objects inherit",
    `{"__proto__":1.0,"constructor":${LARGE}}`,
    (o) => o,
    `{"__proto__":1.0,"constructor":${LARGE}}`,
  ],
  ["undefined members", '{"a":1.0}', (o) => ({ ...o, b: undefined, c: [undefined] }), '{"a":1.0,"c":[null]}'],
  ["dates", '{"a":1.0}', (o) => ({ ...o, b: new Date(0) }), '{"a":1.0,"b":"1970-01-01T00:00:00.000Z"}'],
];

test("what is left alone is written as it was", () => {
  for (const [what, object, change, changed] of CHANGES) {
    const payload = `{"request":{"uid":"1","object":${object}},"settings":{}}`;
    assert.is(withExactNumbers(change(JSON.parse(object)), payload), changed, what);
  }
});

test("two that JavaScript takes for one are refused once they are moved", () => {
  const object = '{"a":9007199254740992,"b":9007199254740993}';
  const payload = `{"request":{"object":${object}}}`;
  assert.is(withExactNumbers(JSON.parse(object), payload), object);
  const { a, b } = JSON.parse(object);
  assert.throws(() => withExactNumbers({ c: a, d: b }, payload), /can't tell apart/);
});

test("a label that is added to a real object is all that changes", async () => {
  const wasm = await build(
    validating("(request.object!.metadata ??= {}).labels = { a: 'b' };\nreturn mutate(request.object);"),
  );
  const object =
    `{"apiVersion":"v1","kind":"A","metadata":{},"spec":{"large":${LARGE},"one":1.0,"list":[{"n":1e2},0.10,-0.0]}}`;
  await using policy = await loadPolicy(wasm);
  const gvk = '{"group":"","version":"v1","kind":"A"}';
  const { patch } = await policy.validate(
    `{"uid":"1","kind":${gvk},"resource":{"group":"","version":"v1","resource":"a"},"userInfo":{},` +
      `"operation":"CREATE","object":${object}}`,
  );
  assert.is(patch, '[{"op":"add","path":"/metadata/labels","value":{"a":"b"}}]');
});

test.run();
