// What is wrong with a policy in TypeScript is said in its author's words: file, line, remedy; the client of the API server sees little.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { PolicyBuildError } from "../../typescript/types/build_error.ts";
import { evaluation } from "../evaluator/evaluation.ts";
import { build, validating } from "./building.ts";

const HEAD = 'import { accept, definePolicy } from "portreeve/policy";\n';

/** What can't be built, and what its author is told. */
const UNBUILT: readonly (readonly [what: string, source: string, told: RegExp])[] = [
  ["a syntax error", "const a = ;\n", /^policy\.ts:1:11: Unexpected ";"\n {4}const a = ;$/],
  [
    "nothing exported",
    `${HEAD}definePolicy({ validate: () => accept() });\n`,
    /no policy: export default definePolicy/,
  ],
  [
    "something else exported",
    "export default { a: 1 };\n",
    /default export is no policy: export default definePolicy/,
  ],
  [
    "no validate",
    `${HEAD}export default definePolicy({} as never);\nvoid accept;`,
    /needs an object with a function `validate`\n {4}at .*policy\.ts:2/,
  ],
  [
    "an asynchronous one",
    `${HEAD}export default definePolicy({ validate: async () => accept() } as never);\n`,
    /validate is asynchronous/,
  ],
  [
    "settings that are no schema",
    `${HEAD}export default definePolicy({ settings: {} as never, validate: () => accept() });\n`,
    /no schema of valibot, zod/,
  ],
  ["a module of Node", 'import fs from "node:fs";\nvoid fs;\n', /policy\.ts:1:16: a policy has no node:fs/],
  [
    "one without its prefix",
    'import { join } from "path";\nvoid join;\n',
    /policy\.ts:1:22: a policy has no path/,
  ],
  [
    "another part of the package",
    'import { loadPolicy } from "portreeve/evaluator";\nvoid loadPolicy;\n',
    /nothing of this package but "portreeve\/policy"/,
  ],
  [
    "a package that is not there",
    'import a from "nobody-has-this";\nvoid a;\n',
    /policy\.ts:1:15: Could not resolve "nobody-has-this"/,
  ],
  [
    "what throws when it is loaded",
    `${HEAD}export default definePolicy({ validate: () => accept() });\n\nthrow new Error("too early");\n`,
    /^Error: too early\n {4}at policy\.ts:4:\d+$/,
  ],
  ["what throws no error", 'throw "a text";\n', /^a text$/],
  [
    "an error whose text throws",
    'throw { toString() { throw new Error("again"); } };\n',
    /^an error that has no text$/,
  ],
  ["a clock that is waited for", "setTimeout(() => {}, 1);\n", /a policy has no setTimeout/],
  [
    "endless recursion",
    "function f(): number { return f() + 1; }\nf();\n",
    /Maximum call stack size exceeded\n {4}at f \(policy\.ts:1:\d+\)/,
  ],
  [
    "all memory",
    "const all: string[] = [];\nfor (;;) all.push('a'.repeat(1e6) + all.length);\n",
    /out of memory|crashed the engine/,
  ],
];

for (const [what, source, told] of UNBUILT) {
  test(`it is not built: ${what}`, async () => {
    try {
      await build(source);
    } catch (error) {
      assert.instance(error, PolicyBuildError);
      return assert.match((error as Error).message, told);
    }
    assert.unreachable("it was built");
  });
}

test("a policy that asks its host while it is built is refused", async () => {
  const source =
    `${HEAD}const policy = definePolicy({ validate: (_, { host }) => (host.call("net", "x", 1), accept()) });
policy.validate({} as never);
export default policy;
`;
  await build(source).then(
    () => assert.unreachable("it was built"),
    (error: Error) => {
      assert.instance(error, PolicyBuildError);
      assert.match(error.message, /^HostError: there is no host to answer net\/x/);
      assert.match(error.message, /policy\.ts:2:\d+/);
    },
  );
});

test("what it logs while it is built is shown", async () => {
  const lines: string[] = [];
  await build(
    validating("return accept();", 'console.log("building", { a: 1 });'),
    (line) => lines.push(line),
  );
  assert.equal(lines, ['building {"a":1}']);
  lines.length = 0;
  await build(
    validating("return accept();", 'JSON.stringify = () => "{";\nconsole.log(1);'),
    (line) => lines.push(line),
  );
  assert.equal(lines, ["{"]);
});

/** What fails when it is asked: what the client sees, and what the log has. */
const FAILING: readonly (readonly [what: string, body: string, seen: RegExp, logged: RegExp])[] = [
  [
    "an exception",
    "const nothing = undefined as unknown as { name: string };\n    return reject(nothing.name);",
    /the policy failed: TypeError: cannot read property 'name' of undefined$/,
    /^TypeError: cannot read property 'name' of undefined\n {4}at validate \(policy\.ts:6:\d+\)$/,
  ],
  [
    "one of a function of another file",
    "return reject(helper({}));",
    /the policy failed: RangeError: no such thing$/,
    /^RangeError: no such thing\n {4}at helper \(helper\.ts:2:\d+\)\n {4}at validate \(policy\.ts:5:\d+\)$/,
  ],
  [
    "a long message",
    'throw new Error("x".repeat(5000));',
    /the policy failed: Error: x{193}…$/,
    /^Error: x{5000}\n/,
  ],
  [
    "several lines",
    'throw new Error("a\\n\\n  b");',
    /the policy failed: Error: a b$/,
    /^Error: a\n\n {2}b\n/,
  ],
  ["no error", 'throw "a secret";', /the policy failed: thrown: string$/, /^thrown: a secret$/],
  [
    "a cause",
    'throw new Error("a", { cause: new TypeError("b") });',
    /Error: a$/,
    /\ncaused by TypeError: b$/,
  ],
  [
    "a promise",
    "return Promise.resolve(accept()) as never;",
    /returned a promise/,
    /a policy is synchronous/,
  ],
  [
    "nothing",
    "return undefined as never;",
    /must return accept\(\), reject/,
    /it returned a value of type undefined/,
  ],
  [
    "a truth",
    "return true as never;",
    /must return accept\(\), reject/,
    /it returned a value of type boolean/,
  ],
  ["no object", "return mutate(1);", /mutate needs the whole object/, /policy\.ts:5/],
  [
    "a changed object by hand",
    "return { accepted: true, mutated_object: {} };",
    /given with mutate\(object\)/,
    /./,
  ],
  [
    "a circular object",
    "const a: Record<string, unknown> = {};\n    a.a = a;\n    return mutate(a);",
    /TypeError: circular reference/,
    /circular reference/,
  ],
  ["fetch", 'return fetch("https://example.org") as never;', /a policy has no fetch/, /`host`/],
  ["a clock", "setTimeout(() => {}, 1);\n    return accept();", /a policy has no setTimeout/, /./],
  ["chance", "return reject(String(Math.random()));", /no Math\.random/, /same verdict/],
  [
    "what can't be caught",
    'try { return reject("x".repeat(2 ** 29)); } catch { return accept(); }',
    /the policy failed: InternalError: out of memory$/,
    /^InternalError: out of memory\n {4}at validate \(policy\.ts:5:\d+\)$/,
  ],
  ["code from a text", 'return new Function("return 1")();', /eval is not supported/, /policy\.ts:5/],
  ["what is not there", "return reject(String(process.version));", /process is not defined/, /policy\.ts:5/],
  [
    "a host call that is not granted",
    'host.call("net", "v1/dns_lookup_host", "a");\n    return accept();',
    /HostError: Policy has not been granted/,
    /policy\.ts:5/,
  ],
];

test("what fails when it is asked is told at length in the log, and shortly to the client", async () => {
  await evaluation(async ({ load, logged }) => {
    for (const [what, body, seen, log] of FAILING) {
      const helper =
        "// A comment.\nexport function helper(_: object): string { throw new RangeError('no such thing'); }\n";
      const before = body.includes("helper(") ? 'import { helper } from "./helper.ts";' : "";
      const wasm = await build({ "policy.ts": validating(body, before), "helper.ts": helper });
      const policy = await load(what, { wasm, capabilities: [] });
      logged.length = 0;
      const { allowed, status } = await policy.judge("{}");
      assert.is(allowed, false, what);
      assert.is(status?.code, 500, what);
      assert.match(status!.message!, seen, what);
      assert.ok(!/ at \w+ \(|\.ts/.test(status!.message!), `${what}: ${status!.message}`);
      const errors = logged.filter(({ entry }) => entry.level === "error").map(({ entry }) => entry.message);
      assert.is(errors.length, 1, `${what}: ${errors}`);
      assert.match(errors[0]!, log, what);
    }
  });
});

test("console is the policy's log", async () => {
  const wasm = await build(validating(
    `console.debug("a", 1); console.log({ a: [1n < 2n] }); console.warn(undefined); console.error(new Error("x"));
    const a: Record<string, unknown> = {}; a.a = a; console.info(a);
    return accept();`,
  ));
  await evaluation(async ({ load, logged }) => {
    const policy = await load("p", { wasm });
    await policy.judge("{}");
    const [debug, log, warn, error, info] = logged.map(({ entry }) => `${entry.level} ${entry.message}`);
    assert.equal([debug, log, warn, info], [
      "debug a 1",
      'info {"a":[true]}',
      "warn undefined",
      "info [object Object]",
    ]);
    assert.match(error!, /^error Error: x\n {4}at validate \(policy\.ts:5:\d+\)$/);
  });
});

test.run();
