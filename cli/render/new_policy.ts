/** What `reeve new` writes: a policy that requires a label, with its tests. */

/** What the files are made for. */
export interface NewPolicy {
  /** The policy's name, and the folder's. */
  readonly name: string;
  /** The version of this package. */
  readonly version: string;
}

const text = (...lines: readonly string[]) => `${lines.join("\n")}\n`;

const POLICY = text(
  "/** Requires a label, except in some namespaces. */",
  'import { accept, definePolicy, reject } from "portreeve/policy";',
  'import * as v from "valibot";',
  "",
  "const settings = v.strictObject({",
  '  label: v.pipe(v.string(), v.minLength(1, "name the label")),',
  "  except: v.optional(v.array(v.string()), []),",
  "});",
  "",
  "export default definePolicy({",
  "  settings,",
  "  validate(request, { settings: { label, except } }) {",
  '    if (except.includes(request.namespace ?? "")) return accept();',
  "    const labels = request.object?.metadata?.labels ?? {};",
  '    return Object.hasOwn(labels, label) ? accept() : reject(`the label "${label}" is missing`);',
  "  },",
  "});",
);

const TEST = text(
  'import assert from "node:assert/strict";',
  'import { readFileSync } from "node:fs";',
  'import { test } from "node:test";',
  'import policy from "./policy.ts";',
  "",
  'const { request } = JSON.parse(readFileSync(new URL("request.json", import.meta.url), "utf8"));',
  "",
  'test("a Pod without the label is rejected", () => {',
  '  const answer = policy.validate(request, { settings: { label: "owner" } });',
  "  assert.deepEqual(answer, { accepted: false, message: 'the label \"owner\" is missing' });",
  "});",
  "",
  'test("a typo in the settings is refused", () => {',
  '  assert.equal(policy.validateSettings({ lable: "owner" }).valid, false);',
  "});",
);

const METADATA = ({ name }: NewPolicy) =>
  `rules:
  - apiGroups: [""]
    apiVersions: [v1]
    resources: [pods]
    operations: [CREATE, UPDATE]
mutating: false
annotations:
  io.kubewarden.policy.title: ${name}
  io.kubewarden.policy.version: 0.1.0
  io.kubewarden.policy.description: Requires a label
`;

const SUITE = `policy: policy.wasm
settings: { label: owner }
cases:
  - name: a Pod without the label is rejected
    request: request.json
    allowed: false
    message: the label "owner" is missing

  - name: another namespace may do without
    request: request.json
    settings: { label: owner, except: [default] }
    allowed: true

  - name: a typo in the settings is refused
    settings: { lable: owner }
    settingsValid: false
    settingsMessage: { contains: label }
`;

const REQUEST = {
  apiVersion: "admission.k8s.io/v1",
  kind: "AdmissionReview",
  request: {
    uid: "1299d386-525b-4032-98ae-1949f69f9cfc",
    kind: { group: "", version: "v1", kind: "Pod" },
    resource: { group: "", version: "v1", resource: "pods" },
    operation: "CREATE",
    namespace: "default",
    userInfo: { username: "alice" },
    object: {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "web" },
      spec: { containers: [{ name: "web", image: "registry.example.org/web:1" }] },
    },
  },
} as const;

const PACKAGE = ({ name, version }: NewPolicy) => ({
  name,
  version: "0.1.0",
  private: true,
  type: "module",
  scripts: {
    build: "reeve build policy.ts -m metadata.yml",
    test: "node --test && reeve test",
    watch: "reeve build policy.ts -m metadata.yml --watch",
  },
  dependencies: { valibot: "^1.5.0" },
  devDependencies: {
    "@types/node": "^26.0.0",
    esbuild: "^0.28.0",
    portreeve: `^${version}`,
    typescript: "^7.0.0",
  },
});

const COMPILER = {
  compilerOptions: {
    target: "es2023",
    lib: ["es2023"],
    module: "nodenext",
    types: ["node"],
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    allowImportingTsExtensions: true,
  },
} as const;

const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;

/** The files of a new policy in TypeScript, by their names. */
export function newTypeScriptPolicy(policy: NewPolicy): ReadonlyMap<string, string> {
  return new Map([
    [".gitignore", "node_modules\n*.wasm\n"],
    ["metadata.yml", METADATA(policy)],
    ["package.json", json(PACKAGE(policy))],
    ["policy.ts", POLICY],
    ["policy.test.ts", TEST],
    ["request.json", json(REQUEST)],
    ["suite.yml", SUITE],
    ["tsconfig.json", json(COMPILER)],
  ]);
}
