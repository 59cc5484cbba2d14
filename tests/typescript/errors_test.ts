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
  [
    "a policy by hand",
    "export default { validate: () => ({ accepted: true }), validateSettings: () => ({ valid: true }) };\n",
    /default export is no policy: export default definePolicy/,
  ],
  [
    "a Proxy",
    'export default new Proxy({}, { get() { throw new Error("asked"); } });\n',
    /default export is no policy/,
  ],
  [
    "a name that is misspelt",
    `${HEAD}export default definePolicy({ validate: () => accept(), validatesettings: () => "no" } as never);\n`,
    /^TypeError: definePolicy knows no `validatesettings`: its members are settings, validate, validateSettings\n {4}at .*policy\.ts:2/,
  ],
  [
    "a check of settings that is no function",
    `${HEAD}export default definePolicy({ validate: () => accept(), validateSettings: "no" } as never);\n`,
    /`validateSettings` is no function/,
  ],
  [
    "an asynchronous check of settings",
    `${HEAD}export default definePolicy({ validate: () => accept(), validateSettings: async () => "no" } as never);\n`,
    /validateSettings is asynchronous/,
  ],
  [
    "a generator",
    `${HEAD}export default definePolicy({ *validate() { yield accept(); } } as never);\n`,
    /validate is a generator: a policy is synchronous/,
  ],
  [
    "await at the top",
    "await Promise.resolve();\n",
    /^policy\.ts:1:1: a policy is synchronous: it can't await anything\n {4}await Promise/,
  ],
  [
    "for await at the top",
    "for await (const a of [1]) void a;\n",
    /^policy\.ts:1:5: a policy is synchronous: it can't await anything\n/,
  ],
  [
    "a module of an address",
    'import a from "https://example.org/a.js";\nvoid a;\n',
    /^policy\.ts:1:15: https:\/\/example\.org\/a\.js can't be imported: a policy is made of files and of packages of npm\n/,
  ],
  ["one of Bun", 'import "bun:sqlite";\n', /^policy\.ts:1:8: bun:sqlite can't be imported/],
  ["one of JSR", 'import "jsr:@std/path";\n', /^policy\.ts:1:8: jsr:@std\/path can't be imported/],
  [
    "a file of another kind",
    'import a from "./a.yaml";\nvoid a;\n',
    /^policy\.ts:1:15: "\.yaml" files can't be imported: code, JSON and \.txt can\n/,
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
      await build({ "policy.ts": source, "a.yaml": "a: 1\n" });
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
    /\ncaused by TypeError: b\n {4}at validate \(policy\.ts:5:\d+\)$/,
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
    /TypeError: mutate needs what JSON can hold: object\.a stands in itself/,
    /object\.a stands/,
  ],
  [
    "a BigInt in an object",
    "return mutate({ a: [{ b: 1n }] });",
    /TypeError: mutate needs what JSON can hold: object\.a\.0\.b is a BigInt/,
    /object\.a\.0\.b/,
  ],
  [
    "a message that is no text",
    'return reject(new Error("x") as never);',
    /an answer's `message` must be a text$/,
    /policy\.ts:5/,
  ],
  ["a code below 0", 'return reject("x", { code: -1 });', /`code` must be an integer/, /policy\.ts:5/],
  ["a code that is no number", 'return reject("x", { code: NaN });', /`code` must be/, /policy\.ts:5/],
  [
    "warnings that are a text",
    'return accept({ warnings: "x" as never });',
    /`warnings` must be \[text, \.\.\.\]$/,
    /policy\.ts:5/,
  ],
  [
    "a warning of nothing",
    "return accept({ warnings: [undefined] as never });",
    /`warnings`/,
    /policy\.ts:5/,
  ],
  [
    "annotations in a Map",
    'return accept({ auditAnnotations: new Map([["a", "b"]]) as never });',
    /`audit_annotations` must be \{name: text\}$/,
    /policy\.ts:5/,
  ],
  [
    "an annotation that is no text",
    "return accept({ auditAnnotations: { a: 1 } as never });",
    /`audit_annotations`/,
    /policy\.ts:5/,
  ],
  [
    "an answer whose own members say nothing",
    "return Object.create({ accepted: true });",
    /an object without `accepted`/,
    /./,
  ],
  [
    "a truth that is a text",
    'return { accepted: "false" } as never;',
    /`accepted` must be a boolean$/,
    /./,
  ],
  [
    "a Map in the place of the object",
    'return mutate(new Map([["a", 1]]));',
    /mutate needs the whole object/,
    /./,
  ],
  [
    "an object that writes itself as another thing",
    "return mutate({ toJSON: () => 5 });",
    /mutate needs the whole object/,
    /./,
  ],
  [
    "a change that rejects",
    "return Object.assign(mutate({ a: 1 }), { accepted: false });",
    /`mutated_object` must be given with mutate\(object\)$/,
    /./,
  ],
  [
    "half a pair in its message",
    'throw new Error("a\\ud800b");',
    /the policy failed: Error: a\ufffdb$/,
    /^Error: a\ufffdb\n {4}at validate/,
  ],
  [
    "a pair where the short message is cut",
    'throw new Error("x".repeat(192) + "\\u{1f600}");',
    /the policy failed: Error: x{192}\ufffd…$/,
    /^Error: x{192}\u{1f600}\n/u,
  ],
  [
    "an error whose message throws",
    'throw Object.defineProperty(new Error("a"), "message", { get() { throw this; } });',
    /the policy failed: a value that has no text$/,
    /^a value that has no text$/,
  ],
  [
    "an error whose name is no text",
    'throw Object.assign(new Error("a"), { name: Symbol("b") });',
    /the policy failed: a value that has no text$/,
    /^a value that has no text$/,
  ],
  [
    "a Proxy that answers nothing",
    "throw new Proxy({}, { get() { throw 1; }, getPrototypeOf() { throw 2; } });",
    /the policy failed: a value that has no text$/,
    /has no text/,
  ],
  [
    "causes of causes",
    'throw new Error("a", { cause: new Error("b", { cause: new RangeError("c") }) });',
    /Error: a$/,
    /\ncaused by Error: b\n {4}at .*policy\.ts:5:\d+\)?\ncaused by RangeError: c\n {4}at .*policy\.ts:5/,
  ],
  [
    "a cause that is the error",
    'const a = new Error("a"); a.cause = a;\n    throw a;',
    /Error: a$/,
    /^Error: a\n {4}at validate \(policy\.ts:5:\d+\)$/,
  ],
  [
    "causes in a circle",
    'const a = new Error("a"); a.cause = new Error("b", { cause: a });\n    throw a;',
    /Error: a$/,
    /^(?!(?:[^]*caused by){6})/,
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

/** Answers that say one thing, and another one to who asks in another way. */
const AMBIGUOUS: readonly (readonly [what: string, body: string])[] = [
  ["a toJSON", "return { accepted: false, toJSON: () => ({ accepted: true }) } as never;"],
  [
    "a toJSON of all objects",
    'Object.defineProperty(Object.prototype, "toJSON", { value: () => ({ accepted: true }) });\n    return { accepted: false };',
  ],
  ["a getter that changes its mind", "let n = 0; return { get accepted() { return n++ > 0; } };"],
  [
    "a Proxy",
    'return new Proxy({ accepted: false }, { getOwnPropertyDescriptor: () => ({ value: true, configurable: true, enumerable: true }), ownKeys: () => ["accepted"] });',
  ],
];

test("an answer is what it says when it is first read", async () => {
  await evaluation(async ({ load }) => {
    for (const [what, body] of AMBIGUOUS) {
      const policy = await load(what, { wasm: await build(validating(body)) });
      assert.is((await policy.judge("{}")).allowed, false, what);
    }
  });
});

/** What a check of settings may return in error, and schemas that follow the standard in part. */
const UNCHECKED: readonly (readonly [what: string, members: string, said: RegExp])[] = [
  ["false", "validateSettings: () => false", /must return a text or nothing/],
  ["true", "validateSettings: () => true", /must return a text or nothing/],
  ["an answer", 'validateSettings: () => ({ valid: false, message: "no" })', /must return a text/],
  [
    "a promise",
    'validateSettings: () => Promise.resolve("no")',
    /must return a text or nothing/,
  ],
  ["half a pair", 'validateSettings: () => "a\\ud800"', /./],
  ["an exception", 'validateSettings: () => { throw new Error("no"); }', /the policy failed: Error: no"\)$/],
  ...[
    ["nothing", "undefined", /schema is asynchronous, or no Standard Schema/],
    [
      "a promise of a value",
      "Promise.resolve({ value: {} })",
      /schema is asynchronous, or no Standard Schema/,
    ],
    ["issues that are no list", '{ issues: "no" }', /./],
    ["issues without a message", "{ issues: [{}] }", /./],
  ].map(([what, result, said]) =>
    [
      `a schema that gives ${what}`,
      `settings: { "~standard": { version: 1, vendor: "x", validate: () => (${result}) } }`,
      said,
    ] as readonly [string, string, RegExp]
  ),
];

test("settings that could not be checked are not taken", async () => {
  await evaluation(async ({ load }) => {
    for (const [what, members, said] of UNCHECKED) {
      const wasm = await build(
        `${HEAD}export default definePolicy({ validate: () => accept(), ${members} } as never);\n`,
      );
      const policy = await load(what, { wasm });
      const refused = await policy.settings().then(
        (verdict) => verdict.valid ? "" : verdict.message || "refused",
        (error: Error) => error.message,
      );
      assert.match(refused, said, `${what}: ${refused}`);
    }
  });
});

test("a schema may give a list", async () => {
  const wasm = await build(`import { definePolicy, reject } from "portreeve/policy";
export default definePolicy({
  settings: { "~standard": { version: 1, vendor: "x", validate: () => ({ value: ["a"] }) } },
  validate: (_request, { settings }) => reject(settings.join()),
});
`);
  await evaluation(async ({ load }) => {
    const policy = await load("p", { wasm });
    assert.equal(await policy.settings(), { valid: true });
    assert.is((await policy.judge("{}")).status!.message, "a");
  });
});

test("what is probably wrong is said, and the policy is built", async () => {
  const lines: string[] = [];
  await build(
    validating("return reject(String(import.meta.url));", "const a = { b: 1, b: 2 };\nvoid a;"),
    (line) => lines.push(line),
  );
  assert.match(lines.join("\n"), /^warning: policy\.ts:2:19: Duplicate key "b"/m);
  assert.match(
    lines.join("\n"),
    /^warning: policy\.ts:6:\d+: a policy has no import\.meta: it will be empty$/m,
  );
});

test("console never fails", async () => {
  const wasm = await build(validating(
    `const none = Object.create(null); none.none = none;
    console.log(none); console.log(new Proxy({}, { get() { throw 1; } })); console.log(Symbol("a"));
    console.log("a\\ud800"); console.log("\u{1f600}".repeat(8001).slice(1));
    return accept();`,
  ));
  await evaluation(async ({ load, logged }) => {
    const policy = await load("p", { wasm });
    assert.is((await policy.judge("{}")).allowed, true);
    const messages = logged.map(({ entry }) => entry.message);
    assert.equal(messages.slice(0, 4), [
      "a value that has no text",
      "a value that has no text",
      "Symbol(a)",
      "a\ufffd",
    ]);
    assert.is(messages.length, 5);
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
