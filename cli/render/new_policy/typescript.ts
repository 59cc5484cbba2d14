/** A new policy in TypeScript: `portreeve/policy`, and `reeve build`. */
import { json, type NewPolicy, type PolicyLanguage, text } from "./common.ts";

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

const PACKAGE = ({ name, portreeve }: NewPolicy) => ({
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
    portreeve: portreeve.from,
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

export const TYPESCRIPT: PolicyLanguage = {
  ignored: ["node_modules", "*.wasm"],
  typo: "label",
  annotates: true,
  sources: (policy) => ({
    "package.json": json(PACKAGE(policy)),
    "policy.ts": POLICY,
    "policy.test.ts": TEST,
    "tsconfig.json": json(COMPILER),
  }),
  commands: ["npm install", "npm run build", "npm test"],
};
