/** The policies as they are committed: whole, made from the metadata beside them, and with suites that make sense. */
import { createHash } from "node:crypto";
import { existsSync, globSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseDocument } from "../../deps.ts";
import { customSections } from "../../evaluator/render/custom_section.ts";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const bytesOf = (file: string) => readFileSync(join(root, file));
const yaml = (file: string) => {
  const document = parseDocument(bytesOf(file).toString("utf8"));
  assert.equal(document.errors, [], file);
  return document.toJS();
};
const policies = globSync(["policies/*/*.wasm", "tests/policies/*/*.wasm"], { cwd: root }).sort();

test("the digest list names every policy and its sha256", () => {
  const found = policies.map((file) => [file, createHash("sha256").update(bytesOf(file)).digest("hex")]);
  assert.equal(JSON.parse(bytesOf("policies/digests.json").toString()), Object.fromEntries(found));
});

test("every source has its policy", () => {
  const sources = globSync(["policies/*/*.wat", "tests/policies/*/*.wat"], { cwd: root });
  for (const source of sources) assert.ok(policies.includes(source.replace(/wat$/, "wasm")), source);
  for (
    const metadata of globSync(["policies/*/metadata.yml", "tests/policies/*/metadata.yml"], { cwd: root })
  ) {
    assert.ok(policies.some((file) => dirname(file) === dirname(metadata)), metadata);
  }
});

test("this runtime can compile every policy", () => {
  for (const file of policies) assert.ok(WebAssembly.validate(bytesOf(file)), file);
});

test("every policy carries the metadata beside it, completed, in the order of spec/evaluator.md §9", () => {
  const order = [
    "protocolVersion",
    "rules",
    "annotations",
    "mutating",
    "backgroundAudit",
    "executionMode",
    "policyType",
    "contextAwareResources",
    "hostCapabilities",
    "minimumKubewardenVersion",
  ];
  for (const file of policies) {
    const sections = customSections(bytesOf(file), "io.kubewarden.metadata");
    assert.is(sections.length, 1, file);
    const embedded = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(sections[0]));
    assert.equal(Object.keys(embedded), order.filter((field) => field in embedded), file);
    assert.equal(
      embedded,
      {
        protocolVersion: "v1",
        backgroundAudit: true,
        executionMode: "kubewarden-wapc",
        policyType: "kubernetes",
        contextAwareResources: [],
        ...yaml(join(dirname(file), "metadata.yml")),
      },
      file,
    );
  }
});

test("no policy holds a path of the machine that built it", () => {
  for (const file of policies) {
    for (const path of ["/root", "/home/", "/Users/", ".cargo/", ".rustup/"]) {
      assert.not.ok(bytesOf(file).includes(path), `${file}: ${path}`);
    }
  }
});

test("policies are small: 250 KB, 700 with QuickJS, 800 with the types of the Kubernetes API, 1 MB with Javy, 4 MB with the Go runtime", () => {
  for (const file of policies) {
    const limit = file === join("policies", "pod-privileged", "policy.wasm")
      ? 800_000
      : existsSync(join(root, dirname(file), "go.mod"))
      ? 4_000_000
      : existsSync(join(root, dirname(file), "policy.js"))
      ? 1_000_000
      : existsSync(join(root, dirname(file), "policy.ts")) && !dirname(file).includes("assemblyscript")
      ? 700_000
      : 250_000;
    assert.ok(bytesOf(file).length <= limit, `${file}: ${bytesOf(file).length} bytes`);
  }
});

test("every sample has a suite that accepts and rejects or mutates, and a README", () => {
  for (const file of policies.filter((file) => file.startsWith("policies"))) {
    assert.ok(existsSync(join(root, dirname(file), "README.md")), file);
    const { cases } = yaml(join(dirname(file), "suite.yml"));
    assert.ok(cases.some((one: Case) => one.allowed === true), `${file}: nothing is accepted`);
    assert.ok(
      cases.some((one: Case) => one.allowed === false || (one.patch?.length ?? 0) > 0),
      `${file}: nothing is rejected or mutated`,
    );
    assert.ok(cases.some((one: Case) => one.settingsValid === false), `${file}: no settings are refused`);
  }
});

type Case = {
  readonly name?: unknown;
  readonly request?: unknown;
  readonly allowed?: unknown;
  readonly patch?: readonly unknown[];
  readonly settingsValid?: unknown;
};

test("suites keep to the format of policies/README.md", () => {
  const caseMembers = [
    "name",
    "request",
    "settings",
    "allowed",
    "message",
    "code",
    "patch",
    "warnings",
    "settingsValid",
    "settingsMessage",
  ];
  const suites = globSync(["policies/*/suite*.yml", "tests/policies/*/suite*.yml"], { cwd: root }).sort();
  const used = new Set<string>();
  for (const file of suites) {
    const suite = yaml(file);
    const folder = dirname(file);
    assert.equal(
      Object.keys(suite).filter((key) => !["policy", "settings", "cases"].includes(key)),
      [],
      file,
    );
    assert.ok(existsSync(join(root, folder, suite.policy ?? "policy.wasm")), file);
    const names = suite.cases.map((one: Case) => one.name);
    assert.is(new Set(names).size, names.length, `${file}: two cases have the same name`);
    for (const one of suite.cases as Case[]) {
      const where = `${file}: ${one.name}`;
      assert.type(one.name, "string", where);
      assert.equal(Object.keys(one).filter((key) => !caseMembers.includes(key)), [], where);
      if (one.request === undefined) {
        assert.type(one.settingsValid, "boolean", where);
        assert.is(one.allowed, undefined, where);
        continue;
      }
      assert.type(one.allowed, "boolean", where);
      assert.is.not(one.settingsValid, false, where);
      if (typeof one.request !== "string") continue;
      used.add(join(folder, one.request));
      JSON.parse(bytesOf(join(folder, one.request)).toString());
    }
  }
  const requests = globSync("policies/*/requests/*.json", { cwd: root });
  assert.equal(
    requests.filter((file) => !used.has(file)).map((file) => basename(file)),
    [],
    "unused requests",
  );
});

test("the review for benchmarks is as big as its name says, on one line", () => {
  for (const name of ["privileged.json", "unprivileged-3500-bytes.json"]) {
    const review = bytesOf(`policies/pod-privileged/requests/${name}`).toString();
    assert.ok(Math.abs(review.length - 3500) < 50, `${name}: ${review.length} bytes`);
    assert.is(review, JSON.stringify(JSON.parse(review)));
  }
});

test.run();
