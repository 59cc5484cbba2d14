/**
 * What a ValidatingAdmissionPolicy and its binding may hold (Kubernetes' API reference, `admissionregistration.k8s.io/v1`). A condition
 * or selector that is misspelled, or of another type, must not be passed over: without it the converted policy would hold for more.
 */
import { own } from "../../program/types/own.ts";
import { CliError } from "../types/command.ts";

type Shape =
  | "text"
  /** Not looked into: passed on whole, or checked where it is converted. */
  | "any"
  | { readonly list: Shape }
  | { readonly oneOf: readonly string[] }
  | { readonly labels: true }
  | { readonly fields: Readonly<Record<string, Shape>>; readonly required?: readonly string[] };

const TEXTS: Shape = { list: "text" };
const SELECTOR: Shape = {
  fields: {
    matchLabels: { labels: true },
    matchExpressions: {
      list: { fields: { key: "text", operator: "text", values: TEXTS }, required: ["key", "operator"] },
    },
  },
};
const RULES: Shape = {
  list: {
    fields: {
      apiGroups: TEXTS,
      apiVersions: TEXTS,
      operations: TEXTS,
      resources: TEXTS,
      resourceNames: TEXTS,
      scope: "any",
    },
  },
};
const MATCH_RESOURCES = {
  resourceRules: RULES,
  excludeResourceRules: RULES,
  matchPolicy: { oneOf: ["Exact", "Equivalent"] },
  namespaceSelector: SELECTOR,
  objectSelector: SELECTOR,
} as const satisfies Readonly<Record<string, Shape>>;

export const POLICY_SPEC: Shape = {
  fields: {
    auditAnnotations: { list: "any" },
    failurePolicy: { oneOf: ["Fail", "Ignore"] },
    matchConditions: { list: "any" },
    matchConstraints: { fields: MATCH_RESOURCES, required: ["resourceRules"] },
    paramKind: { fields: { apiVersion: "text", kind: "text" } },
    validations: {
      list: {
        fields: { expression: "text", message: "text", messageExpression: "text", reason: "text" },
        required: ["expression"],
      },
    },
    variables: {
      list: { fields: { name: "text", expression: "text" }, required: ["name", "expression"] },
    },
  },
  required: ["matchConstraints"],
};

export const BINDING_SPEC: Shape = {
  fields: {
    matchResources: { fields: MATCH_RESOURCES },
    paramRef: {
      fields: { name: "text", namespace: "text", parameterNotFoundAction: "text", selector: SELECTOR },
    },
    policyName: "text",
    validationActions: { list: { oneOf: ["Deny", "Warn", "Audit"] } },
  },
};

function typeOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "string") return "a string";
  if (typeof value === "boolean") return "a boolean";
  return Object(value) === value && Object.getPrototypeOf(value) === Object.prototype ? "a map" : "a number";
}

function requireType(value: unknown, type: string, path: string): void {
  const given = typeOf(value);
  if (given !== type) throw new CliError(`${path} must be ${type}, it is ${given}`);
}

/**
 * The value without members that are null, which mean the same as absent ones.
 *
 * @param path where it stands, for messages: `spec.matchConstraints`
 * @throws {CliError} an unknown field, a wrong type, a missing field; with its path
 */
export function shaped(value: unknown, shape: Shape, path: string): unknown {
  if (shape === "any") return value;
  if (shape === "text") return requireType(value, "a string", path), value;
  if ("oneOf" in shape) {
    if (shape.oneOf.includes(value as string)) return value;
    throw new CliError(`${path} must be one of ${shape.oneOf.join(", ")}, it is ${JSON.stringify(value)}`);
  }
  if ("list" in shape) {
    requireType(value, "a list", path);
    return (value as readonly unknown[]).map((item, index) => shaped(item, shape.list, `${path}[${index}]`));
  }
  requireType(value, "a map", path);
  const entries = Object.entries(value as object).filter(([, member]) => member !== null);
  if ("labels" in shape) {
    for (const [label, text] of entries) requireType(text, "a string", `${path}[${JSON.stringify(label)}]`);
    return Object.fromEntries(entries);
  }
  for (const name of shape.required ?? []) {
    if (!entries.some(([given]) => given === name)) throw new CliError(`${path}.${name} is missing`);
  }
  return Object.fromEntries(entries.map(([name, member]) => {
    const known = own(shape.fields, name);
    if (known === undefined) {
      throw new CliError(
        `${path} has no field ${JSON.stringify(name)}: correct or remove it ` +
          `(known: ${Object.keys(shape.fields).join(", ")})`,
      );
    }
    return [name, shaped(member, known, `${path}.${name}`)];
  }));
}
