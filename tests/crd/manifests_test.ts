import { test } from "uvu";
import * as assert from "uvu/assert";
import { customResourceDefinitions, KINDS, legacyPolicyId, policyId, withDefaults } from "../../crd/mod.ts";

// deno-lint-ignore no-explicit-any
type Any = any;
const byName = new Map<string, Any>(customResourceDefinitions().map((crd) => [crd.metadata.name, crd]));

test("five CRDs with the names, scopes, short names and versions of the group", () => {
  assert.equal([...byName.keys()].sort(), [
    "admissionpolicies.policies.kubewarden.io",
    "admissionpolicygroups.policies.kubewarden.io",
    "clusteradmissionpolicies.policies.kubewarden.io",
    "clusteradmissionpolicygroups.policies.kubewarden.io",
    "policyservers.policies.kubewarden.io",
  ]);
  for (const { kind, plural, short, namespaced, v1alpha2 } of KINDS) {
    const { spec } = byName.get(`${plural}.policies.kubewarden.io`);
    assert.equal(spec.names, {
      kind,
      listKind: `${kind}List`,
      plural,
      shortNames: [short],
      singular: kind.toLowerCase(),
    });
    assert.is(spec.scope, namespaced ? "Namespaced" : "Cluster");
    const versions = spec.versions.map((
      { name, served, storage, deprecated }: Any,
    ) => [name, served, storage, deprecated]);
    const alpha = v1alpha2 === undefined ? [] : [["v1alpha2", true, false, true]];
    assert.equal(versions, [...alpha, ["v1", true, true, undefined]]);
    for (const version of spec.versions) {
      assert.equal(version.subresources, { status: {} });
      assert.is(version.schema.openAPIV3Schema.required, undefined);
    }
  }
});

test("printer columns, in order", () => {
  const columns = (crd: string, version: string) =>
    byName.get(crd).spec.versions.find(({ name }: { name: string }) => name === version)
      .additionalPrinterColumns
      .map(({ name }: Any) => name);
  const policy = "clusteradmissionpolicies.policies.kubewarden.io";
  assert.equal(columns(policy, "v1"), [
    "Policy Server",
    "Mutating",
    "BackgroundAudit",
    "Mode",
    "Observed mode",
    "Status",
    "Age",
    "Severity",
    "Category",
  ]);
  assert.equal(columns(policy, "v1alpha2"), ["Policy Server", "Mutating", "Mode", "Observed mode", "Status"]);
  assert.equal(columns("policyservers.policies.kubewarden.io", "v1"), ["Replicas", "Image"]);
});

test("required fields and defaults", () => {
  const spec = (crd: string, version = "v1"): Any =>
    byName.get(`${crd}.policies.kubewarden.io`).spec.versions
      .find(({ name }: { name: string }) => name === version).schema.openAPIV3Schema.properties.spec;
  assert.equal(spec("clusteradmissionpolicies").required, ["module", "mutating", "rules"]);
  assert.equal(spec("admissionpolicygroups").required, ["expression", "message", "policies", "rules"]);
  assert.equal(spec("policyservers").required, ["image", "replicas"]);
  assert.is(spec("admissionpolicies").properties.contextAwareResources, undefined);
  assert.is(
    spec("admissionpolicygroups").properties.policies.additionalProperties.properties.contextAwareResources,
    undefined,
  );
  assert.is(spec("admissionpolicies", "v1alpha2").properties.backgroundAudit, undefined);
  assert.is(spec("admissionpolicies", "v1alpha2").properties.timeoutSeconds.maximum, undefined);
  assert.equal(withDefaults("ClusterAdmissionPolicy", { module: "m" }), {
    module: "m",
    policyServer: "default",
    mode: "protect",
    backgroundAudit: true,
    timeoutSeconds: 10,
  });
});

test("ids: no two policies share one, where those of 1.36 do", () => {
  const ap = (namespace: string, name: string) => ({
    kind: "AdmissionPolicy" as const,
    metadata: { namespace, name },
  });
  const apg = (namespace: string, name: string) => ({
    kind: "AdmissionPolicyGroup" as const,
    metadata: { namespace, name },
  });
  const cap = (name: string) => ({ kind: "ClusterAdmissionPolicy" as const, metadata: { name } });
  const capg = (name: string) => ({ kind: "ClusterAdmissionPolicyGroup" as const, metadata: { name } });
  const pairs = [[ap("a-b", "c"), ap("a", "b-c")], [ap("group-x", "y"), apg("x", "y")], [
    cap("group-x"),
    capg("x"),
  ]] as const;
  for (const [one, other] of pairs) {
    assert.is(legacyPolicyId(one), legacyPolicyId(other));
    assert.is.not(policyId(one), policyId(other));
  }
  assert.is(policyId(cap("x")), "kw.cap.x");
  assert.is(policyId(capg("x")), "kw.capg.x");
  assert.is(policyId(ap("n", "x")), "kw.ap.n.x");
  assert.is(policyId(apg("n", "x")), "kw.apg.n.x");
});

test.run();
