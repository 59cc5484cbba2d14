/** The suites of the samples and of the WASI and Extism policies (`policies/README.md`), through the embeddable library. */
import { globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseDocument } from "../../deps.ts";
import { scanObject, skipSpace, skipValue, stringValue } from "../../evaluator/render/json_scan.ts";
import { loadPolicy } from "../../mod.ts";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

type Text = string | { readonly contains: string } | null;

interface Case {
  readonly name: string;
  readonly request?: unknown;
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly allowed?: boolean;
  readonly message?: Text;
  readonly code?: number | null;
  readonly patch?: readonly unknown[];
  readonly warnings?: readonly string[] | null;
  readonly settingsValid?: boolean;
  readonly settingsMessage?: Text;
}

interface Suite {
  readonly policy?: string;
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly cases: readonly Case[];
}

/** The request of a review, byte for byte, or the request itself. */
function requestOf(json: Uint8Array): Uint8Array {
  let request = json;
  const start = skipSpace(json, 0);
  scanObject(json, start, (keyStart, keyEnd, valueStart) => {
    const end = skipValue(json, valueStart, 127);
    if (stringValue(json, keyStart, keyEnd) === "request") request = json.slice(valueStart, end);
    return end;
  });
  return request;
}

function requestBytes(folder: string, request: unknown): Uint8Array {
  if (typeof request !== "string") return requestOf(new TextEncoder().encode(JSON.stringify(request)));
  return requestOf(new Uint8Array(readFileSync(join(folder, request))));
}

function expectText(found: string | null | undefined, expected: Text | undefined, what: string): void {
  if (expected === undefined) return;
  if (typeof expected === "object" && expected !== null) {
    assert.ok(found?.includes(expected.contains), `${what}: ${found}`);
  } else assert.is(found ?? null, expected, what);
}

const suites = globSync(
  ["policies/*/suite*.yml", "tests/policies/{extism,wasi}-*/suite*.yml"],
  { cwd: root },
).sort();

for (const file of suites) {
  const folder = join(root, dirname(file));
  const suite: Suite = parseDocument(readFileSync(join(root, file), "utf8")).toJS();
  const module = new Uint8Array(readFileSync(join(folder, suite.policy ?? "policy.wasm")));
  for (const one of suite.cases) {
    test(`${file}: ${one.name}`, async () => {
      const settings = one.settings ?? suite.settings ?? {};
      await using policy = await loadPolicy(module, { settings, timeoutMs: 20_000, threads: 0 });
      const valid = await policy.validateSettings();
      assert.is(
        valid.valid,
        one.settingsValid ?? true,
        valid.valid ? "valid" : valid.message ?? "no message",
      );
      expectText(valid.valid ? null : valid.message, one.settingsMessage, "settingsMessage");
      if (one.request === undefined) return;
      const verdict = await policy.validate(requestBytes(folder, one.request));
      assert.is(verdict.allowed, one.allowed, JSON.stringify(verdict));
      expectText(verdict.status?.message, one.message, "message");
      if (one.code !== undefined) assert.is(verdict.status?.code ?? null, one.code, "code");
      if (one.patch) assert.equal(JSON.parse(verdict.patch ?? "[]"), one.patch, "patch");
      if (one.warnings !== undefined) assert.equal(verdict.warnings, one.warnings, "warnings");
    });
  }
}

test.run();
