// Settings that nest too deeply are one policy's fault alone: they are refused, and where they were stored nevertheless, the policy
// server of all others is not given them.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { admitDefaults } from "../../controller/apply/admit.ts";
import {
  isServable,
  policiesFile,
  readPolicies,
  renderConfigMap,
} from "../../controller/render/config_map.ts";
import { readReview, renderReview } from "../../controller/render/admission_review.ts";
import { defaultSettings } from "../../controller/types/settings.ts";
import {
  type Policy,
  policyId,
  type PolicyServer,
  SETTINGS_TOO_DEEP,
  unreadableSettings,
  validatePolicy,
} from "../../crd/mod.ts";
import { parseExactly } from "../../kubernetes/render/exact_json.ts";
import { parsePolicies } from "../../policy_server/types/policies.ts";
import { deeperThan } from "../../program/types/depth.ts";

const MAX = 100;
/** Settings of so many levels, whose numbers are read with care: through objects, lists, or both. */
const SHAPES: Readonly<Record<string, (levels: number) => string>> = {
  objects: (levels) => `${'{"a":'.repeat(levels)}1.0${"}".repeat(levels)}`,
  lists: (levels) => `{"a":${"[".repeat(levels - 1)}1.0${"]".repeat(levels - 1)}}`,
  both: (levels) =>
    `${'{"a":['.repeat(levels >> 1)}${levels % 2 ? '{"a":1.0}' : 1}${"]}".repeat(levels >> 1)}`,
};
const KINDS: Readonly<Record<string, (settings: string) => string>> = {
  AdmissionPolicy: (settings) => `"module":"m","settings":${settings}`,
  ClusterAdmissionPolicy: (settings) => `"module":"m","settings":${settings}`,
  AdmissionPolicyGroup: (settings) =>
    `"expression":"b()","message":"no","policies":{"a":{"module":"m"},"b":{"module":"m","settings":${settings}}}`,
  ClusterAdmissionPolicyGroup: (settings) =>
    `"expression":"b()","message":"no","policies":{"b":{"module":"m","settings":${settings}}}`,
};

const json = (kind: string, name: string, settings: string) =>
  `{"apiVersion":"policies.kubewarden.io/v1","kind":"${kind}","metadata":{"name":"${name}","uid":"u"${
    kind.startsWith("Cluster") ? "" : ',"namespace":"n"'
  }},"spec":{"policyServer":"default","mutating":false,"rules":[{"apiGroups":[""],"apiVersions":["v1"],"resources":["pods"],` +
  `"operations":["CREATE"]}],${KINDS[kind]!(settings)}}}`;
const policyOf = (kind: string, name: string, settings: string) =>
  parseExactly(json(kind, name, settings)) as Policy;

const server = { metadata: { name: "default", uid: "u" }, spec: { image: "i", replicas: 1 } } as PolicyServer;

for (const kind of Object.keys(KINDS)) {
  for (const [shape, settings] of Object.entries(SHAPES)) {
    test(`${kind}: ${shape} as deep as allowed are served as they are`, () => {
      const policy = policyOf(kind, "deep", settings(MAX));
      assert.equal(validatePolicy(policy), []);
      const file = policiesFile(server, [policy]);
      assert.ok(file.includes(settings(MAX)));
      assert.equal([...parsePolicies(file, "policies.yml").keys()], [policyId(policy)]);
    });

    test(`${kind}: deeper ${shape} are refused, and keep no other policy from being served`, () => {
      const other = policyOf("ClusterAdmissionPolicy", "other", '{"a":1}');
      for (const levels of [MAX + 1, 130, 3_000, 9_900]) {
        const policy = policyOf(kind, "deep", settings(levels));
        const field = kind.endsWith("Group") ? "spec.policies[b].settings" : "spec.settings";
        assert.equal(unreadableSettings(policy), [field]);
        assert.equal(validatePolicy(policy).map(({ field, message }) => [field, message]), [
          [field, `Forbidden: ${SETTINGS_TOO_DEEP}`],
        ]);
        assert.is(isServable(policy), false);
        const configMap = renderConfigMap(server, [policy, other], defaultSettings("kubewarden"));
        assert.equal([...parsePolicies(configMap.data!["policies.yml"]!, "policies.yml").keys()], [
          policyId(other),
        ]);
        assert.equal([...readPolicies(configMap)!.keys()], [policyId(other)]);
      }
    });

    test(`${kind}: the defaulting webhook answers to ${shape} of any depth`, () => {
      const body =
        `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","name":"deep",` +
        `"operation":"CREATE","object":${json(kind, "deep", settings(9_900))}}}`;
      const review = readReview("application/json", body);
      assert.ok("request" in review);
      const verdict = admitDefaults(kind as Policy["kind"], review.request);
      assert.is(JSON.parse(renderReview(verdict, "u")).response.allowed, true);
    });
  }
}

test("depth counts lists and objects, not what they hold", () => {
  const cases: readonly (readonly [unknown, number])[] = [
    [undefined, 0],
    [null, 0],
    ["text", 0],
    [{}, 1],
    [[], 1],
    [{ a: 1, b: null }, 1],
    [{ a: [], b: 1 }, 2],
    [[[{ a: [1] }], 1], 4],
  ];
  for (const [value, depth] of cases) {
    assert.is(deeperThan(value, depth), false, JSON.stringify(value));
    if (depth > 0) assert.is(deeperThan(value, depth - 1), true, JSON.stringify(value));
  }
});

test.run();
