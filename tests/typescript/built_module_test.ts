// What `reeve build` makes of a policy: a small waPC module, the same bytes wherever it is built, that answers as its source does.
import { createHash } from "node:crypto";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync } from "node:zlib";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { checkBorder } from "../../evaluator/render/imports.ts";
import { sections } from "../../evaluator/render/wasm_binary.ts";
import { loadPolicy } from "../../mod.ts";
import { buildPolicy } from "../../typescript/apply/build_policy.ts";
import { evaluation } from "../evaluator/evaluation.ts";
import { build, ROOT, validating } from "./building.ts";

const CONTAINERS = `import { accept, containersOf, definePolicy, podSpecOf, reject } from "portreeve/policy";

export default definePolicy({
  validate(request, { settings }) {
    const allowed = settings["registries"] as readonly string[];
    for (const { name, image = "" } of containersOf(podSpecOf(request.object))) {
      if (!allowed.some((registry) => image.startsWith(registry + "/"))) {
        return reject(\`the image of \${name} is not from a trusted registry\`, { code: 403 });
      }
    }
    return accept();
  },
});
`;

const digest = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

test("the engine is the one whose digest is committed", () => {
  const engine = readFileSync(join(ROOT, "typescript/apply/engine.wasm"));
  assert.is(digest(engine), readFileSync(join(ROOT, "package/policy_engine/engine.sha256"), "utf8").trim());
});

test("a small policy is a small module, with the imports and exports of waPC alone", async () => {
  const module = await build(CONTAINERS);
  assert.ok(module.length < 620_000, `${module.length} bytes`);
  const packed = brotliCompressSync(module).length;
  assert.ok(packed < 240_000, `${packed} bytes with brotli`);
  checkBorder(module, "kubewarden-wapc", 4096);
  const compiled = new WebAssembly.Module(module as BufferSource);
  assert.equal(WebAssembly.Module.exports(compiled).map(({ name }) => name).sort(), [
    "__guest_call",
    "memory",
  ]);
  assert.is(sections(module).filter(({ id }) => id === 0).length, 0, "no names, no other custom sections");
});

test("the same source makes the same bytes, in any folder, after other policies", async () => {
  const first = digest(await build(CONTAINERS));
  await build(validating("return accept();"));
  assert.is(digest(await build(CONTAINERS)), first);
});

test("nothing of what is only there while it is built is in the module", async () => {
  const modules = await Promise.all(
    ["", "const only = (text: string) => text + 'ONLY AT BUILD TIME'; only('');"].map((before) =>
      build(validating("return accept();", before))
    ),
  );
  for (const module of modules) {
    const text = new TextDecoder("latin1").decode(module);
    for (const one of ["ONLY AT BUILD TIME", "checkDefinition", "json_numbers.ts", "own.ts"]) {
      assert.not.ok(text.includes(one), one);
    }
  }
});

test("the folder's tsconfig.json is that of the bundle", async () => {
  const wasm = await build({
    "policy.ts": validating(
      "return reject(seen.join() + other);",
      `import { other } from "#other";
const seen: string[] = [];
function legacy(_target: object, name: string) { seen.push(name); }
class Decorated { @legacy method() {} }
void Decorated;`,
    ),
    "other.ts": "export const other = 1;\n",
    "tsconfig.json": JSON.stringify({
      compilerOptions: { experimentalDecorators: true, paths: { "#other": ["./other.ts"] } },
    }),
  });
  await using policy = await loadPolicy(wasm);
  assert.is((await policy.validate(pod("a"))).status!.message, "method1");
});

const pod = (image: string) =>
  JSON.stringify({
    uid: "1",
    kind: { group: "", version: "v1", kind: "Pod" },
    resource: { group: "", version: "v1", resource: "pods" },
    userInfo: {},
    operation: "CREATE",
    object: {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "a" },
      spec: { containers: [{ name: "a", image }] },
    },
  });

test("the committed policies are what their sources make", async () => {
  for (const source of globSync("policies/*/policy.ts", { cwd: ROOT })) {
    const { module } = await buildPolicy(join(ROOT, source), () => {});
    const committed = readFileSync(join(ROOT, source.replace(/ts$/, "wasm")));
    assert.is(
      digest(committed.subarray(0, module.length)),
      digest(module),
      `${source}: npm run build:policies`,
    );
  }
});

test("it allows and rejects", async () => {
  const wasm = await build(CONTAINERS);
  await evaluation(async ({ load }) => {
    const policy = await load("p", { wasm, settings: '{"registries":["example.org"]}' });
    assert.equal(await policy.settings(), { valid: true });
    assert.is((await policy.judge(pod("example.org/a:1"))).allowed, true);
    const { allowed, status } = await policy.judge(pod("example.com/a:1"));
    assert.is(allowed, false);
    assert.equal(status, { message: "the image of a is not from a trusted registry", code: 403 });
  });
});

test("the settings' schema is asked, and names what is wrong by its path", async () => {
  const wasm = await build(`import * as v from "valibot";
import { definePolicy, reject } from "portreeve/policy";
export default definePolicy({
  settings: v.strictObject({
    registries: v.pipe(v.array(v.string()), v.minLength(1, "name at least one")),
    code: v.optional(v.number(), 418),
  }),
  validateSettings: ({ registries }) => registries.includes("docker.io") ? "docker.io is not to be trusted" : undefined,
  validate: (_request, { settings }) => reject(settings.registries.join(), { code: settings.code }),
});
`);
  const cases: readonly (readonly [settings: string, message: RegExp | undefined])[] = [
    ['{"registries":["a"]}', undefined],
    ['{"registries":["docker.io"]}', /^docker\.io is not to be trusted$/],
    ['{"registries":[]}', /^registries: name at least one$/],
    ['{"registries":["a",1]}', /^registries\[1\]: .*string.*1/],
    ["{}", /^registries: /],
    ['{"registries":["a"],"extra":1}', /^extra: /],
    ['{"__proto__":{"registries":["a"]}}', /registries/],
  ];
  await evaluation(async ({ load }) => {
    for (const [index, [settings, message]] of cases.entries()) {
      const policy = await load(`p${index}`, { wasm, settings });
      const answer = await policy.settings();
      assert.is(answer.valid, message === undefined, settings);
      if (!answer.valid) assert.match(answer.message!, message!);
      else assert.equal((await policy.judge(pod("a"))).status, { message: "a", code: 418 });
    }
  });
});

test("warnings, audit annotations and a changed object reach the server", async () => {
  const wasm = await build(validating(
    `request.object!.metadata!.labels = { seen: "yes" };
    return mutate(request.object, { warnings: ["changed"], auditAnnotations: { by: "me" } });`,
  ));
  await using policy = await loadPolicy(wasm);
  const verdict = await policy.validate(pod("a"));
  assert.equal(verdict.warnings, ["changed"]);
  assert.equal(verdict.auditAnnotations, { by: "me" });
  assert.equal(JSON.parse(verdict.patch!), [{ op: "add", path: "/metadata/labels", value: { seen: "yes" } }]);
});

test.run();
