// Names that every object inherits are names like any other, wherever policies, requests, resources and flags bring them.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { matchesLabels } from "../../cli/render/declared_answers.ts";
import { isClusterScoped } from "../../cli/render/cluster_scoped.ts";
import { readMetadata } from "../../evaluator/apply/prepare.ts";
import { parseDocument } from "../../deps.ts";
import { inPlace, POLICY } from "./place.ts";

const NAMES = Object.getOwnPropertyNames(Object.prototype);

test("there are such names", () => assert.ok(NAMES.includes("constructor") && NAMES.includes("__proto__")));

test("labels", () => {
  for (const name of NAMES) {
    assert.not(matchesLabels(name, {}), name);
    assert.ok(matchesLabels(`!${name}`, {}), name);
    assert.ok(matchesLabels(`${name}!=x`, {}), name);
    assert.not(matchesLabels(`${name} in (x)`, {}), name);
    assert.ok(matchesLabels(name, JSON.parse(`{"${name}":"x"}`)), name);
    assert.ok(matchesLabels(`${name}=x`, JSON.parse(`{"${name}":"x"}`)), name);
  }
});

test("API groups", () => {
  for (const name of NAMES) {
    const rule = {
      apiGroups: [name],
      apiVersions: ["v1"],
      resources: [name],
      operations: ["CREATE" as const],
    };
    assert.not(isClusterScoped([rule]), name);
  }
});

test("fields of a resource", () =>
  inPlace(async ({ reeve, file }) => {
    file("request.json", "{}");
    for (const name of NAMES) {
      file(
        "policy.yml",
        `apiVersion: policies.kubewarden.io/v1\nkind: ClusterAdmissionPolicy\nmetadata: {name: p}\nspec:\n` +
          `  module: file://${POLICY}\n  ${JSON.stringify(name)}: 1\n`,
      );
      const { exit, stderr } = await reeve("run", "policy.yml", "-r", "request.json");
      assert.is(exit, 1);
      assert.match(stderr, `unknown field \`${name}\``);
    }
  }));

test("flags' values and commands", () =>
  inPlace(async ({ reeve, file }) => {
    file("policy.wasm", readFileSync(POLICY));
    for (const name of NAMES) {
      for (
        const words of [
          [name],
          ["scaffold", name],
          ["inspect", "policy.wasm", "-o", name],
          ["run", "policy.wasm", "--execution-mode", name],
          ["completions", "--shell", name],
          ["inspect", "policy.wasm", `--${name}`],
        ]
      ) {
        const { exit, stderr } = await reeve(...words);
        assert.is(exit, 2, words.join(" "));
        assert.match(stderr, /^error: /, words.join(" "));
      }
    }
  }));

test("annotations", () =>
  inPlace(async ({ reeve, file, cwd }) => {
    file("policy.wasm", readFileSync(POLICY));
    const flags = NAMES.flatMap((name) => ["--annotation", `${name}=value of ${name}`]);
    const { exit, stderr } = await reeve("annotate", "policy.wasm", ...flags, "-o", "out.wasm");
    assert.is(exit, 0, stderr);
    const annotations = readMetadata(readFileSync(join(cwd, "out.wasm")))!.annotations;
    const shown = (await reeve("inspect", "out.wasm")).stdout;
    const yaml = parseDocument((await reeve("inspect", "out.wasm", "-o", "yaml")).stdout).toJS();
    for (const name of NAMES) {
      assert.ok(Object.hasOwn(annotations, name), name);
      assert.is(annotations[name], `value of ${name}`);
      assert.ok(
        shown.split("\n").some((line) => line.startsWith(`${name} `) && line.endsWith(`value of ${name}`)),
        name,
      );
      assert.is(Object.getOwnPropertyDescriptor(yaml.annotations, name)?.value, `value of ${name}`);
    }
  }));

test.run();
