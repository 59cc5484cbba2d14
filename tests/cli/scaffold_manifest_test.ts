// scaffold manifest (spec/cli.md §16.1).
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { inPlace, PLAIN, POLICY, type TestPlace } from "./place.ts";
import { warnings, yaml } from "./scaffolded.ts";

/** A policy with the given metadata, beyond what has to be there. */
async function policyWith({ reeve, file }: TestPlace, metadata: string): Promise<void> {
  file("m.yml", `mutating: false\n${metadata}`);
  const { exit, stderr } = await reeve("annotate", "-m", "m.yml", "-o", "p.wasm", PLAIN);
  assert.is(exit, 0, stderr);
}

const rules = (group: string, resource: string) =>
  `rules: [{apiGroups: ["${group}"], apiVersions: [v1], resources: ["${resource}"], operations: [CREATE]}]\n`;

test("manifest: members in order, settings as they were written", () =>
  inPlace(async ({ reeve, file, cwd }) => {
    file("policy.wasm", readFileSync(POLICY));
    file(
      "settings.yml",
      'b: 1.0\na: 12345678901234567890\nc: "yes"\nd: 1e3\ne: "2001-01-01"\n"f": [1, {x: ~}]\n',
    );
    const { exit, stdout, stderr } = await reeve(
      ..."scaffold manifest -t AdmissionPolicy policy.wasm -s settings.yml --title my.title".split(" "),
    );
    assert.equal([exit, stderr], [0, ""]);
    assert.match(
      stdout,
      /^apiVersion: policies\.kubewarden\.io\/v1\nkind: AdmissionPolicy\nmetadata:\n {2}annotations:\n/,
    );
    assert.match(stdout, "  name: my.title\n");
    assert.match(
      stdout,
      `  module: file://${cwd}/policy.wasm\n  settings:\n    b: 1.0\n    a: 12345678901234567890\n`,
    );
    // Kubernetes reads YAML 1.1, where these would be a boolean and a date.
    assert.match(
      stdout,
      "    c: 'yes'\n    d: 1e3\n    e: '2001-01-01'\n    f:\n    - 1\n    - x: null\n  rules:\n",
    );
    assert.equal(Object.keys(yaml(stdout).spec), ["module", "settings", "rules", "mutating"]);
  }));

test("manifest: context-aware resources are for cluster kinds, and granted when asked", () =>
  inPlace(async (place) => {
    await policyWith(
      place,
      `${rules("", "pods")}contextAwareResources: [{apiVersion: v1, kind: Namespace}]\n`,
    );
    const scaffold = async (kind: string, ...more: string[]) => {
      const { exit, stdout, stderr } = await place.reeve(
        "scaffold",
        "manifest",
        "-t",
        kind,
        "p.wasm",
        ...more,
      );
      assert.is(exit, 0, stderr);
      return { spec: yaml(stdout).spec, warnings: warnings(stderr) };
    };
    const granted = await scaffold("ClusterAdmissionPolicy", "--allow-context-aware");
    assert.equal(granted.spec.contextAwareResources, [{ apiVersion: "v1", kind: "Namespace" }]);
    assert.is(granted.warnings.length, 2);
    const left = await scaffold("ClusterAdmissionPolicy");
    assert.equal([left.spec.contextAwareResources, left.warnings.length], [undefined, 3]);
    const own = await scaffold("AdmissionPolicy", "--allow-context-aware");
    assert.equal([own.spec.contextAwareResources, own.warnings.length], [undefined, 0]);
  }));

test("manifest: an AdmissionPolicy for what has no namespace is warned of", () =>
  inPlace(async (place) => {
    for (
      const [group, resource, warned] of [["", "namespaces", 1], ["", "pods", 0], [
        "rbac.authorization.k8s.io",
        "clusterroles",
        1,
      ]] as const
    ) {
      await policyWith(place, rules(group, resource));
      for (const kind of ["AdmissionPolicy", "ClusterAdmissionPolicy"]) {
        const { stderr } = await place.reeve("scaffold", "manifest", "-t", kind, "p.wasm");
        assert.is(warnings(stderr).length, kind === "AdmissionPolicy" ? warned : 0, `${kind} ${resource}`);
      }
    }
  }));

test("manifest: a policy for raw requests is warned of, as no API server sends any", () =>
  inPlace(async (place) => {
    for (const [type, warned] of [["raw", 1], ["kubernetes", 0]] as const) {
      await policyWith(place, `policyType: ${type}\n${rules("", "pods")}`);
      for (const kind of ["AdmissionPolicy", "ClusterAdmissionPolicy"]) {
        const { exit, stdout, stderr } = await place.reeve("scaffold", "manifest", "-t", kind, "p.wasm");
        assert.equal([exit, yaml(stdout).kind], [0, kind]);
        const said = warnings(stderr);
        assert.is(said.length, warned, `${kind} ${type}`);
        if (warned) assert.match(said[0]!, /judges raw requests .* API servers send none/);
      }
    }
  }));

test("manifest: titles are names of resources", () =>
  inPlace(async ({ reeve, file }) => {
    file("policy.wasm", readFileSync(POLICY));
    for (
      const [title, good] of [["a.b-c.0", true], ["A", false], ["-a", false], ["a.", false], [
        "a".repeat(64),
        false,
      ], [`${"a".repeat(63)}.b`, true]] as const
    ) {
      const { exit, stderr } = await reeve(
        "scaffold",
        "manifest",
        "-t",
        "AdmissionPolicy",
        `--title=${title}`,
        "policy.wasm",
      );
      assert.is(exit, good ? 0 : 1, title);
      if (!good) {
        assert.is(
          stderr,
          `Error: Invalid title '${title}'. Must conform to RFC 1123: use lowercase alphanumeric chars, ` +
            "'-' or '.', and start/end with an alphanumeric character.\n",
        );
      }
    }
  }));

test.run();
