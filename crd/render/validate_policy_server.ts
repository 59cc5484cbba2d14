/** Admission rules of PolicyServer (spec/crds.md §8.4, V10). */
import { OBJECT, type OptionRules, requireOptions } from "../../program/types/option_rules.ts";
import type { PolicyServer } from "../types/kinds.ts";
import { capabilityProblem } from "./capabilities.ts";
import { type FieldError, invalid } from "./field_error.ts";
import { parseQuantity, quantityText } from "./quantity.ts";

export const DEFAULT_WEBHOOK_PORT = 8443;
export const DEFAULT_READINESS_PORT = 8081;

const NAME_LIMIT = 63;
/** `kubewarden-policy-server-<name>` is a label's value, which has at most 63 characters (spec/crds.md §15, 15). */
const NEW_NAME_LIMIT = 38;
const SIGSTORE_KEY = "sigstore-trust-config";

/** A look-up in the deployments namespace: what was found, or why nothing could be read. */
export type Found<T> = { readonly found: T } | { readonly problem: string };

/** Everything that validation needs besides the object. */
export type PolicyServerValidation = {
  /** The stored object, on UPDATE. */
  readonly old?: PolicyServer | undefined;
  /** The Secret that `spec.imagePullSecret` names, when it names one. */
  readonly imagePullSecret?: Found<{ readonly type?: string }> | undefined;
  /** The ConfigMap that `spec.sigstoreTrustConfig` names, when it names one. */
  readonly sigstoreTrustConfig?: Found<{ readonly data?: { readonly [key: string]: string } }> | undefined;
};

function checkName(name: string, creating: boolean): FieldError[] {
  if (name.length > NAME_LIMIT) {
    return [
      invalid("metadata.name", name, `the PolicyServer name cannot be longer than ${NAME_LIMIT} characters`),
    ];
  }
  if (!creating) return [];
  if (name.length > NEW_NAME_LIMIT) {
    return [invalid(
      "metadata.name",
      name,
      `the PolicyServer name cannot be longer than ${NEW_NAME_LIMIT} characters: ` +
        "it is part of a label's value, which Kubernetes limits to 63",
    )];
  }
  if (name.includes(".")) {
    return [invalid(
      "metadata.name",
      name,
      "the PolicyServer name cannot have dots: it is part of a Service's name, which is a DNS label",
    )];
  }
  return [];
}

function checkPullSecret(
  name: string | undefined,
  secret: PolicyServerValidation["imagePullSecret"],
): FieldError[] {
  const field = "spec.imagePullSecret";
  if (name === undefined || name === "" || secret === undefined) return [];
  if ("problem" in secret) return [invalid(field, name, `cannot get ${field}: ${secret.problem}`)];
  return secret.found.type === "kubernetes.io/dockerconfigjson"
    ? []
    : [invalid(field, name, `${field} secret "${name}" is not of type kubernetes.io/dockerconfigjson`)];
}

function checkSigstore(
  name: string | undefined,
  config: PolicyServerValidation["sigstoreTrustConfig"],
): FieldError[] {
  const field = "spec.sigstoreTrustConfig";
  if (name === undefined || name === "" || config === undefined) return [];
  if ("problem" in config) return [invalid(field, name, `cannot get ${field} ConfigMap: ${config.problem}`)];
  return Object.hasOwn(config.found.data ?? {}, SIGSTORE_KEY)
    ? []
    : [invalid(field, name, `${field} ConfigMap "${name}" does not contain required key "${SIGSTORE_KEY}"`)];
}

function checkDisruption({ spec }: PolicyServer): FieldError[] {
  const { minAvailable, maxUnavailable } = spec;
  if (minAvailable === undefined || maxUnavailable === undefined) return [];
  return [invalid(
    "spec",
    `minAvailable: ${minAvailable}, maxUnavailable: ${maxUnavailable}`,
    "minAvailable and maxUnavailable cannot be both set",
  )];
}

function checkResources({ spec }: PolicyServer): FieldError[] {
  const read = (given: PolicyServer["spec"]["limits"]) =>
    Object.entries(given ?? {}).sort(([a], [b]) => a < b ? -1 : 1).flatMap(([name, text]) => {
      const quantity = parseQuantity(text);
      return quantity === undefined ? [] : [{ name, quantity, text: quantityText(quantity) }];
    });
  const limits = read(spec.limits);
  const requests = read(spec.requests);
  const negative = (path: string, list: typeof limits) =>
    list.filter(({ quantity }) => quantity.nano < 0n)
      .map(({ name, text }) => invalid(`${path}.${name}`, text, "must be greater than or equal to 0"));
  const beyond = requests.flatMap(({ name, quantity, text }) => {
    const limit = limits.find((entry) => entry.name === name);
    return limit !== undefined && quantity.nano > limit.quantity.nano
      ? [
        invalid(
          `spec.requests.${name}`,
          text,
          `must be less than or equal to ${name} limit of ${limit.text}`,
        ),
      ]
      : [];
  });
  return [...negative("spec.limits", limits), ...negative("spec.requests", requests), ...beyond];
}

function checkPorts({ spec }: PolicyServer): FieldError[] {
  const webhook = spec.webhookPort ?? DEFAULT_WEBHOOK_PORT;
  const readiness = spec.readinessProbePort ?? DEFAULT_READINESS_PORT;
  return webhook === readiness
    ? [invalid(
      "spec.readinessProbePort",
      readiness,
      `readinessProbePort must differ from webhookPort (${webhook})`,
    )]
    : [];
}

const GIVEN: OptionRules<PolicyServerValidation> = {
  old: OBJECT,
  imagePullSecret: OBJECT,
  sigstoreTrustConfig: OBJECT,
};

/**
 * The errors of a PolicyServer, in the order in which they are reported.
 *
 * @throws {TypeError} when something is given that there is no name for
 */
export function validatePolicyServer(server: PolicyServer, given: PolicyServerValidation = {}): FieldError[] {
  requireOptions(given, GIVEN);
  // As for policies: what is being deleted must be able to lose its finalizer.
  if (server.metadata.deletionTimestamp !== undefined) return [];
  return [
    ...checkName(server.metadata.name, given.old === undefined),
    ...checkPullSecret(server.spec.imagePullSecret, given.imagePullSecret),
    ...checkSigstore(server.spec.sigstoreTrustConfig, given.sigstoreTrustConfig),
    ...checkDisruption(server),
    ...checkResources(server),
    ...(server.spec.namespacedPoliciesCapabilities ?? []).flatMap((capability, index) => {
      const problem = capabilityProblem(capability);
      return problem === undefined
        ? []
        : [invalid(`spec.namespacedPoliciesCapabilities[${index}]`, capability, problem)];
    }),
    ...checkPorts(server),
  ];
}
