/** The webhook configuration that makes the API server ask a policy (spec/controller.md §8). */
import { reachesReports, REPORT_RESOURCES } from "../../crd/render/report_resources.ts";
import { WEBHOOK_NAME_SUFFIX } from "../../crd/render/validate_policy.ts";
import {
  isGroup,
  isNamespaced,
  type LabelSelector,
  type MatchCondition,
  type Policy,
  policyId,
  type Rule,
} from "../../crd/types.ts";
import type { Webhook, WebhookConfiguration, WebhookKind } from "../types/objects.ts";
import { PART_OF, POLICY_NAME_ANNOTATION, POLICY_NAMESPACE_ANNOTATION, serverObjectName } from "./names.ts";

const NAMESPACE_LABEL = "kubernetes.io/metadata.name";

export type WebhookInput = {
  /** The deployments namespace. */
  readonly namespace: string;
  /** Every authority that signs serving certificates now: `ca.crt` and, during a rotation, `old-ca.crt`; base64 of PEM. */
  readonly caBundle: string;
};

/** Kind of a policy's webhook configuration. */
export function webhookKind(policy: Policy): WebhookKind {
  return !isGroup(policy) && policy.spec.mutating === true
    ? "MutatingWebhookConfiguration"
    : "ValidatingWebhookConfiguration";
}

/**
 * Which namespaces a policy sees. Cluster-wide policies keep off the deployments namespace unless they ask for it; what the
 * user selects is kept whole (the original loses `matchLabels`).
 */
export function namespaceSelector(policy: Policy, namespace: string): LabelSelector | undefined {
  if (isNamespaced(policy)) return { matchLabels: { [NAMESPACE_LABEL]: policy.metadata.namespace ?? "" } };
  const { namespaceSelector: given, allowInsideAdmissionControllerNamespace } = policy.spec;
  if (allowInsideAdmissionControllerNamespace === true) return given;
  return {
    ...given,
    matchExpressions: [
      { key: NAMESPACE_LABEL, operator: "NotIn", values: [namespace] },
      ...(given?.matchExpressions ?? []),
    ],
  };
}

/** Nothing in the API keeps a stored list from holding `null`. */
const storedRules = (policy: Policy): readonly Rule[] =>
  (policy.spec.rules ?? []).filter((rule) => rule !== null);

function rules(policy: Policy): readonly Rule[] {
  const scope = isNamespaced(policy) ? "Namespaced" : undefined;
  return storedRules(policy).map((rule) => ({ ...rule, scope: scope ?? given(rule.scope, "*") }));
}

function given(value: string | undefined, preset: string): string {
  return value === undefined || value === "" ? preset : value;
}

const NO_REPORTS: MatchCondition = {
  name: "kubewarden.io/no-reports",
  expression: `!(request.resource.group in [${
    REPORT_RESOURCES.map(({ group }) => `'${group}'`).join(", ")
  }])`,
};

/**
 * The policy's own conditions. A policy of a namespace whose rules take in the audit's reports is refused when it is written; one
 * that was stored before this was checked goes on guarding everything else that its rules name.
 */
function matchConditions(policy: Policy): readonly MatchCondition[] {
  const conditions = policy.spec.matchConditions ?? [];
  const tooFar = isNamespaced(policy) && storedRules(policy).some(reachesReports);
  return tooFar ? [...conditions, NO_REPORTS] : conditions;
}

/** The webhook configuration of a policy. */
export function renderWebhookConfiguration(
  policy: Policy,
  input: WebhookInput,
): WebhookConfiguration & { readonly kind: WebhookKind } {
  const id = policyId(policy);
  const { spec } = policy;
  const conditions = matchConditions(policy);
  const webhook: Webhook = {
    name: id + WEBHOOK_NAME_SUFFIX,
    clientConfig: {
      service: {
        name: serverObjectName(spec.policyServer ?? ""),
        namespace: input.namespace,
        path: `/validate/${id}`,
        port: 443,
      },
      caBundle: input.caBundle,
    },
    rules: rules(policy),
    admissionReviewVersions: ["v1"],
    // The API server's own defaults are spelled out: what is not said could be changed by hand unnoticed.
    sideEffects: given(spec.sideEffects, "None"),
    failurePolicy: given(spec.failurePolicy, "Fail"),
    matchPolicy: given(spec.matchPolicy, "Equivalent"),
    objectSelector: spec.objectSelector ?? {},
    namespaceSelector: namespaceSelector(policy, input.namespace) ?? {},
    timeoutSeconds: spec.timeoutSeconds ?? 10,
    ...(webhookKind(policy) === "MutatingWebhookConfiguration" ? { reinvocationPolicy: "Never" } : {}),
    ...(conditions.length === 0 ? {} : { matchConditions: conditions }),
  };
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: webhookKind(policy),
    metadata: {
      name: id,
      labels: PART_OF,
      annotations: {
        [POLICY_NAME_ANNOTATION]: policy.metadata.name,
        [POLICY_NAMESPACE_ANNOTATION]: policy.metadata.namespace ?? "",
      },
    },
    webhooks: [webhook],
  };
}
