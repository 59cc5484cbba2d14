/** From a ValidatingAdmissionPolicy and its binding to a ClusterAdmissionPolicy of the CEL policy (`spec/cli.md §16.2`). */
import { isObject, type JsonObject } from "../../program/types/json_object.ts";
import { CliError } from "../types/command.ts";
import { BINDING_SPEC, POLICY_SPEC, shaped } from "./vap_shape.ts";

const GROUP = "admissionregistration.k8s.io";
const OPERATIONS = ["*", "CREATE", "UPDATE", "DELETE", "CONNECT"];
const SCOPES = ["Cluster", "Namespaced", "*"];

export interface Converted {
  readonly policy: JsonObject;
  /** What was left out, and what may surprise. */
  readonly warnings: readonly string[];
}

/** What a resource has beside its spec. */
const TOP_FIELDS: readonly string[] = ["apiVersion", "kind", "metadata", "spec", "status"];

const objectOf = (value: unknown): JsonObject => isObject(value) ? value : {};
const listOf = (value: unknown): readonly unknown[] => Array.isArray(value) ? value : [];

function specOf(
  document: unknown,
  kind: string,
  shape: typeof POLICY_SPEC,
): { readonly spec: JsonObject; readonly metadata: JsonObject } {
  const failed = (reason: string): never => {
    throw new CliError(`cannot convert given data into a ${kind}: ${reason}`);
  };
  const { apiVersion, kind: given, spec, metadata } = objectOf(document);
  if (typeof apiVersion !== "string" || apiVersion.split("/")[0] !== GROUP) {
    failed(`invalid value: string ${JSON.stringify(apiVersion ?? null)}, expected ${GROUP}/v1`);
  }
  if (given !== kind) failed(`invalid value: string ${JSON.stringify(given ?? null)}, expected ${kind}`);
  const unknown = Object.keys(objectOf(document)).find((name) => !TOP_FIELDS.includes(name));
  if (unknown !== undefined) {
    failed(
      `it has no field ${JSON.stringify(unknown)}: correct its name or its indentation, or remove it ` +
        `(known: ${TOP_FIELDS.join(", ")})`,
    );
  }
  if (!isObject(spec)) failed("missing field `spec`");
  try {
    return { spec: shaped(spec, shape, "spec") as JsonObject, metadata: objectOf(metadata) };
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    return failed(error.message);
  }
}

function ruleOf(rule: unknown, index: number): JsonObject {
  const { apiGroups, apiVersions, resources, operations, resourceNames, scope } = objectOf(rule);
  for (const [name, values] of Object.entries({ apiGroups, apiVersions, resources, operations })) {
    if (listOf(values).length > 0) continue;
    throw new CliError(
      `error converting VAP matchConstraints into rules: resourceRules[${index}].${name} is missing or empty`,
    );
  }
  const unknown = listOf(operations).find((operation) => !OPERATIONS.includes(operation as string));
  if (unknown !== undefined) {
    throw new CliError(
      `error converting VAP matchConstraints into rules: unknown operation ${JSON.stringify(unknown)}`,
    );
  }
  if (listOf(resourceNames).length > 0) {
    throw new CliError("error converting VAP matchConstraints into rules: resourceNames cannot be converted");
  }
  if (scope !== undefined && !SCOPES.includes(scope as string)) {
    throw new CliError(
      `error converting VAP matchConstraints into rules: unknown scope ${JSON.stringify(scope)}, ` +
        `expected one of ${SCOPES.join(", ")}`,
    );
  }
  // `*` is what a rule without scope means.
  return {
    apiGroups,
    apiVersions,
    resources,
    operations,
    ...(scope !== undefined && scope !== "*" && { scope }),
  };
}

/**
 * Metadata that `kubectl get -o yaml` shows of the binding, and that is another resource's: the API server creates nothing with some of
 * it, and of what it takes the owner or the finalizer would keep the policy, or take it along.
 */
const OF_THE_BINDING = [
  "deletionGracePeriodSeconds",
  "deletionTimestamp",
  "finalizers",
  "ownerReferences",
  "uid",
  "resourceVersion",
  "generation",
  "creationTimestamp",
  "managedFields",
  "selfLink",
];

/** What a ValidatingAdmissionPolicy's conditions may use and a webhook's may not. */
const ONLY_IN_POLICIES = ["params", "variables", "namespaceObject"];

/** CEL's string literals (raw ones have no escapes; three quotes span lines) and comments: what stands there is no name. */
const TEXT_OR_COMMENT = new RegExp(
  [
    /(?<!\w)[bB]?[rR][bB]?(?:"""[^]*?"""|'''[^]*?'''|"[^"]*"|'[^']*')/,
    /"""(?:[^\\]|\\[^])*?"""|'''(?:[^\\]|\\[^])*?'''/,
    /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/,
    /\/\/[^\n]*/,
  ].map(({ source }) => source).join("|"),
  "g",
);

/**
 * Conditions are evaluated by the API server in both resources, before anything is asked: they are kept as they are.
 * Throws {@link CliError} for those that a webhook cannot have.
 */
function conditionsOf(vap: JsonObject): readonly JsonObject[] {
  return listOf(vap["matchConditions"]).map((condition, index) => {
    const { name, expression, ...others } = objectOf(condition);
    const where = `matchConditions[${index}]${typeof name === "string" ? ` (${name})` : ""}`;
    if (typeof name !== "string" || typeof expression !== "string") {
      throw new CliError(`${where} cannot be converted: it needs a name and an expression`);
    }
    const [unknown] = Object.keys(others);
    if (unknown !== undefined) {
      throw new CliError(`${where} cannot be converted: it has an unknown field ${JSON.stringify(unknown)}`);
    }
    const code = expression.replace(TEXT_OR_COMMENT, '""');
    const used = ONLY_IN_POLICIES.find((one) => new RegExp(`(?<![\\w.])${one}(?!\\w)`).test(code));
    if (used !== undefined) {
      throw new CliError(
        `${where} cannot be converted: it uses \`${used}\`, which the matchConditions of a ClusterAdmissionPolicy do not have`,
      );
    }
    return { name, expression };
  });
}

/** Both selectors have to match. Throws {@link CliError} where they contradict each other. */
function both(first: unknown, second: unknown, name: string): JsonObject | undefined {
  const selectors = [first, second].filter(isObject).filter((one) => Object.keys(one).length > 0);
  if (selectors.length < 2) return selectors[0];
  const matchLabels = new Map<string, unknown>();
  for (const selector of selectors) {
    for (const [label, value] of Object.entries(objectOf(selector["matchLabels"]))) {
      if (matchLabels.has(label) && matchLabels.get(label) !== value) {
        throw new CliError(`${name}: the policy and its binding want different values of the label ${label}`);
      }
      matchLabels.set(label, value);
    }
  }
  const matchExpressions = selectors.flatMap((selector) => listOf(selector["matchExpressions"]));
  return {
    ...(matchExpressions.length > 0 && { matchExpressions }),
    ...(matchLabels.size > 0 && { matchLabels: Object.fromEntries(matchLabels) }),
  };
}

function parametersOf(vap: JsonObject, binding: JsonObject, warnings: string[]): JsonObject {
  const { paramKind } = vap;
  const { paramRef } = binding;
  if ((paramKind === undefined) !== (paramRef === undefined)) {
    throw new CliError("Both paramKind and paramRef must be present together, or both absent");
  }
  if (paramRef === undefined) return {};
  if (objectOf(paramRef)["parameterNotFoundAction"] !== undefined) return { paramKind, paramRef };
  warnings.push("paramRef has no parameterNotFoundAction: Deny is taken");
  return { paramKind, paramRef: { ...objectOf(paramRef), parameterNotFoundAction: "Deny" } };
}

/** The API server takes neither, and a policy without them would be enforced for nothing, in silence. */
function requireContent(vap: JsonObject): void {
  for (
    const [name, list] of [
      ["spec.matchConstraints.resourceRules", objectOf(vap["matchConstraints"])["resourceRules"]],
      ["spec.validations", vap["validations"]],
    ] as const
  ) {
    if (listOf(list).length === 0) {
      throw new CliError(
        `cannot convert given data into a ClusterAdmissionPolicy: ${name} is missing or empty`,
      );
    }
  }
}

/** Without Deny nothing was ever rejected, and nothing is from now on. */
function modeOf(binding: JsonObject, warnings: string[]): "monitor" | undefined {
  const actions = listOf(binding["validationActions"]);
  const others = actions.filter((action) => action !== "Deny");
  if (others.length === 0) return undefined;
  const mode = others.length === actions.length ? "monitor" : undefined;
  warnings.push(
    mode === undefined
      ? `validationActions ${others.join(", ")} are left out: a ClusterAdmissionPolicy rejects without them`
      : `validationActions ${
        others.join(", ")
      } become the mode monitor: violations are logged and counted, nothing is rejected`,
  );
  return mode;
}

/** What the policy and its binding match, together. Throws {@link CliError} for what a webhook cannot have. */
function matchingOf(vap: JsonObject, binding: JsonObject): JsonObject {
  const constraints = objectOf(vap["matchConstraints"]);
  const matched = objectOf(binding["matchResources"]);
  for (const [where, one] of [["matchConstraints", constraints], ["matchResources", matched]] as const) {
    if (listOf(one["excludeResourceRules"]).length > 0) {
      throw new CliError(`${where}.excludeResourceRules cannot be converted`);
    }
  }
  if (listOf(matched["resourceRules"]).length > 0) {
    throw new CliError("matchResources.resourceRules cannot be converted: they narrow the policy's own");
  }
  const matchPolicy = constraints["matchPolicy"];
  if (matched["matchPolicy"] !== undefined && matched["matchPolicy"] !== (matchPolicy ?? "Equivalent")) {
    throw new CliError("the policy and its binding have different matchPolicies");
  }
  const selector = (name: "namespaceSelector" | "objectSelector") =>
    both(constraints[name], matched[name], name);
  return {
    matchPolicy,
    namespaceSelector: selector("namespaceSelector"),
    objectSelector: selector("objectSelector"),
  };
}

const present = (object: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined && value !== null));

/** Converts. `module` is where the CEL policy is. Throws {@link CliError}. */
export function convertVap(policyDocument: unknown, bindingDocument: unknown, module: string): Converted {
  const policy = specOf(policyDocument, "ValidatingAdmissionPolicy", POLICY_SPEC);
  const { spec: binding, metadata } = specOf(
    bindingDocument,
    "ValidatingAdmissionPolicyBinding",
    BINDING_SPEC,
  );
  const vap = policy.spec;
  if (binding["policyName"] !== policy.metadata["name"]) {
    throw new CliError(
      `the binding is of the policy ${JSON.stringify(binding["policyName"] ?? null)}, not of ` +
        JSON.stringify(policy.metadata["name"] ?? null),
    );
  }
  const warnings: string[] = [];
  if (listOf(vap["auditAnnotations"]).length > 0) {
    warnings.push("auditAnnotations are not supported by Kubewarden's CEL policy. They will be ignored");
  }
  requireContent(vap);
  const matchConditions = conditionsOf(vap);
  const mode = modeOf(binding, warnings);
  const matching = matchingOf(vap, binding);
  const { failurePolicy, variables, validations } = vap;
  const parameters = parametersOf(vap, binding, warnings);
  return {
    policy: {
      apiVersion: "policies.kubewarden.io/v1",
      kind: "ClusterAdmissionPolicy",
      metadata: Object.fromEntries(
        Object.entries(metadata).filter(([name]) => !OF_THE_BINDING.includes(name)),
      ),
      spec: {
        module,
        settings: present({ failurePolicy, variables, ...parameters, validations }),
        rules: listOf(objectOf(vap["matchConstraints"])["resourceRules"]).map(ruleOf),
        mutating: false,
        ...present(matching),
        ...(matchConditions.length > 0 && { matchConditions }),
        // A condition that can't be evaluated, or a server that can't be asked, must not reject more than before.
        ...(failurePolicy === "Ignore" && { failurePolicy }),
        ...(mode !== undefined && { mode }),
      },
    },
    warnings,
  };
}
