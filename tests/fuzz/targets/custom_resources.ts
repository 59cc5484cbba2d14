/**
 * Custom resources, as tenants write them: what a webhook of the controller is asked gets an answer; of what passes, every object
 * is rendered, and the policy server reads the policies that the controller writes for it.
 */
import { admitDefaults } from "../../../controller/apply/admit.ts";
import { readReview, renderReview, type Verdict } from "../../../controller/render/admission_review.ts";
import { isServable, renderConfiguration, sourcesFile } from "../../../controller/render/config_map.ts";
import { renderDeployment } from "../../../controller/render/deployment.ts";
import { renderPodDisruptionBudget } from "../../../controller/render/pod_disruption_budget.ts";
import { renderService } from "../../../controller/render/service.ts";
import { renderWebhookConfiguration } from "../../../controller/render/webhook_configuration.ts";
import { defaultSettings } from "../../../controller/types/settings.ts";
import { parseSources } from "../../../artifact/types/sources.ts";
import {
  customResourceDefinition,
  type Kind,
  KINDS,
  type Policy,
  policyId,
  type PolicyServer,
  validatePolicy,
  validatePolicyServer,
  withDefaults,
} from "../../../crd/mod.ts";
import { parsePolicies } from "../../../policy_server/types/policies.ts";
import { fits, pruned } from "../crd_schema.ts";
import { Finding, same } from "../target.ts";
import { textTarget } from "../text_target.ts";

const settings = defaultSettings("kubewarden");
const SCHEMAS = new Map(KINDS.map((description) => {
  const versions = customResourceDefinition(description).spec.versions as unknown as readonly {
    readonly name: string;
    readonly schema: { readonly openAPIV3Schema: Readonly<Record<string, unknown>> };
  }[];
  return [description.kind as string, versions.find(({ name }) => name === "v1")!.schema.openAPIV3Schema];
}));

const RULES = [{
  apiGroups: [""],
  apiVersions: ["v1"],
  resources: ["pods"],
  operations: ["CREATE", "UPDATE"],
}];
const policy = {
  module: "registry://ghcr.io/kubewarden/policies/pod-privileged:v1.0.4",
  rules: RULES,
  mutating: true,
  policyServer: "default",
  mode: "monitor",
  settings: { a: [1, { b: null }], "é": "😀" },
  timeoutSeconds: 10,
  timeoutEvalSeconds: 5,
  failurePolicy: "Ignore",
  matchPolicy: "Exact",
  sideEffects: "None",
  message: "no",
  backgroundAudit: false,
  objectSelector: { matchLabels: { a: "b" } },
  namespaceSelector: { matchExpressions: [{ key: "a", operator: "In", values: ["b"] }] },
  matchConditions: [{ name: "a", expression: "true" }],
  contextAwareResources: [{ apiVersion: "v1", kind: "Namespace" }],
};
const group = {
  rules: RULES,
  policyServer: "default",
  expression: "a() && !b()",
  message: "group",
  policies: {
    a: { module: "ghcr.io/a/b:v1", settings: { k: 1 } },
    b: { module: "https://example.org/b.wasm" },
  },
  timeoutSeconds: 20,
};
const server = {
  image: "ghcr.io/a/policy-server:v1",
  replicas: 2,
  minAvailable: 1,
  env: [{ name: "KUBEWARDEN_LOG_LEVEL", value: "debug" }],
  annotations: { a: "b" },
  labels: { c: "d" },
  insecureSources: ["localhost:5000"],
  sourceAuthorities: { "registry.example.org": ["-----BEGIN CERTIFICATE-----\n"] },
  verificationConfig: "verification",
  imagePullSecret: "pull",
  serviceAccountName: "sa",
  limits: { cpu: "1", memory: "1Gi" },
  requests: { cpu: "100m", memory: "0.5e3" },
  affinity: { nodeAffinity: {} },
  tolerations: [{ key: "a", operator: "Exists" }],
  namespacedPoliciesCapabilities: ["oci/*"],
  webhookPort: 8443,
  readinessProbePort: 8081,
  metricsPort: 8080,
};
/** As deep as settings may be, and deeper: a server reads the file that they are in, or is not given them. */
const nested = (levels: number): unknown => JSON.parse(`${'{"a":'.repeat(levels)}{}${"}".repeat(levels)}`);
const SPECS: Readonly<Record<string, readonly object[]>> = {
  PolicyServer: [server, { image: "i", replicas: 0 }],
  AdmissionPolicy: [
    policy,
    { module: "a", rules: RULES },
    { ...policy, settings: nested(99) },
    { ...policy, settings: nested(200) },
  ],
  ClusterAdmissionPolicy: [{ ...policy, allowInsideAdmissionControllerNamespace: true }],
  AdmissionPolicyGroup: [group, { ...group, policies: { a: { module: "m", settings: nested(99) } } }],
  ClusterAdmissionPolicyGroup: [{ ...group, mode: "protect" }],
};
const REVIEWS = Object.entries(SPECS).flatMap(([kind, specs]) =>
  specs.map((spec) => ({
    apiVersion: "admission.k8s.io/v1",
    kind: "AdmissionReview",
    request: {
      uid: "u",
      operation: "CREATE",
      name: "p",
      object: {
        apiVersion: "policies.kubewarden.io/v1",
        kind,
        metadata: { name: "p", ...(kind.startsWith("Admission") && { namespace: "n" }), uid: "x" },
        spec,
      },
    },
  }))
);

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function validated(kind: Kind, object: { readonly metadata: { readonly name: string } }): Verdict {
  const errors = kind === "PolicyServer"
    ? validatePolicyServer(object as unknown as PolicyServer)
    : validatePolicy(object as unknown as Policy);
  return errors.length === 0
    ? { allowed: true }
    : { allowed: false, kind, name: object.metadata.name, errors };
}

/** An object that was refused; no fault of ours. */
class Refused extends Error {}

/** The API server takes no answer beyond 3 MiB; what is wrong is told in a part of that. */
const MAX_ANSWER = 1 << 20;

function checkAnswer(verdict: Verdict, length: number): void {
  const answer = renderReview(verdict, "u");
  JSON.parse(answer);
  // Each fault quotes the value that it is about, as Kubernetes does.
  if (answer.length > MAX_ANSWER + 40 * length) {
    throw new Finding("long error", `an answer of ${answer.length} characters to an object of ${length}`);
  }
}

function checkPolicy(policy: Policy): void {
  renderWebhookConfiguration(policy, { namespace: "kubewarden", caBundle: "" });
  if (!isServable(policy)) return;
  const owner = { metadata: { name: "default", uid: "x" }, spec: {} } as unknown as PolicyServer;
  const written = renderConfiguration(owner, [policy], settings).configMap.data["policies.yml"]!;
  const read = parsePolicies(written, "policies.yml");
  same("the policies that the server reads", policyId(policy), [...read.keys()].join());
}

function checkServer(server: PolicyServer): void {
  renderDeployment({ server, settings, configVersion: "1" });
  renderService(server, settings);
  renderConfiguration(server, [], settings);
  renderPodDisruptionBudget(server, settings.namespace);
  parseSources(sourcesFile(server));
}

export const target = textTarget({
  name: "custom-resources",
  examples: REVIEWS,
  words: [
    ...Object.keys({ ...policy, ...group, ...server }),
    "PolicyServer",
    "AdmissionPolicy",
    "metadata",
    "spec",
    "finalizers",
    "deletionTimestamp",
    "name",
    "namespace",
    "*",
    "*/*",
    "pods/*",
    "Fail",
    "In",
    "a()",
    "1Gi",
    "50%",
    "kubewarden",
  ],
  expected: [Refused],
  read: (text) => {
    const review = readReview("application/json", text);
    if ("problem" in review) throw new Refused(review.problem);
    const { object } = review.request;
    const kind = isObject(object) ? object["kind"] as Kind : undefined;
    // Defaults are asked for before any schema is looked at.
    for (const { kind } of KINDS) {
      checkAnswer(admitDefaults({ settings }, kind as Kind, review.request), text.length);
    }
    const schema = typeof kind === "string" ? SCHEMAS.get(kind) : undefined;
    if (schema === undefined || !isObject(object) || !isObject(object["metadata"])) {
      throw new Refused("no object");
    }
    const { metadata } = object;
    const named = typeof metadata["name"] === "string" && /^[a-z0-9.-]{1,253}$/.test(metadata["name"]);
    const namespace = metadata["namespace"];
    const inNamespace = namespace === undefined ||
      typeof namespace === "string" && /^[a-z0-9-]{1,63}$/.test(namespace);
    if (!named || !inNamespace) throw new Refused("no name");
    const known = {
      ...(pruned(schema, object) as object),
      metadata: { ...metadata, deletionTimestamp: undefined },
    };
    const spec = withDefaults(kind!, ((known as { spec?: unknown }).spec ?? {}) as never);
    const stored = { ...known, spec } as unknown as { readonly metadata: { readonly name: string } };
    if (!fits(schema, JSON.parse(JSON.stringify(stored)))) throw new Refused("the schema refuses it");
    const verdict = validated(kind!, stored);
    checkAnswer(verdict, text.length);
    if (!verdict.allowed) throw new Refused("invalid");
    if (kind === "PolicyServer") checkServer(stored as unknown as PolicyServer);
    else checkPolicy(stored as unknown as Policy);
  },
});
