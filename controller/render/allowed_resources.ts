/**
 * Which resources policies of a namespace may target: the list in the controller's own configuration, and what becomes of a policy
 * that targets another one (spec/crds.md §10; GHSA-3ppr-x76g-fjjm).
 */
import { own } from "../../program/types/own.ts";
import { isObject, type JsonObject } from "../../program/types/json_object.ts";
import { parseAllDocuments } from "../../deps.ts";
import { yamlFaultAt, yamlFaultText } from "../../program/types/yaml_fault.ts";
import { isNamespaced, type Policy, type Rule } from "../../crd/types.ts";
import { compareBytes } from "./json.ts";

/** Key of the ConfigMap under which the configuration stands. */
export const CONFIG_FILE = "config.yaml";
/** Field of the configuration that holds the list. */
export const ALLOWED_RESOURCES = "namespacedPoliciesAllowedResources";
/** Why a rejected policy is not active, as its condition's reason. */
export const RESOURCES_NOT_ALLOWED = "ResourcesNotAllowed";

/**
 * Longest configuration that is read, in UTF-16 units. All resources of a cluster with 500 custom ones take a quarter of it; the
 * worst that it can hold (brackets that are never closed) takes two to three seconds, once for each version of the ConfigMap.
 */
const MAX_CONFIG_LENGTH = 128 * 1024;
/** Combinations of apiGroup and resource that are looked at of one policy; one that has more is rejected. */
const MAX_TARGETS = 10_000;
/** Longest part of one apiGroup or resource that a message repeats; names of Kubernetes are shorter. */
const MAX_NAME_LENGTH = 253;
/** Longest list of targets in a message; the API takes 32768 characters of a condition's message. */
const MAX_LIST_LENGTH = 16_384;

/** What policies of a namespace may target: for each apiGroup, the plurals of the entries that name it. */
export type AllowedResources = ReadonlyMap<string, readonly ReadonlySet<string>[]>;

/** A list as it was read. */
export interface ReadList {
  readonly allowed: AllowedResources;
  /** What cannot be used of the configuration, each with its place; it is left out. */
  readonly problems: readonly string[];
}

/** A configuration of which nothing can be used. */
class UnusableError extends Error {}

function list(value: unknown, place: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new UnusableError(`${place} is no list`);
  return value;
}

function parse(text: string): JsonObject {
  if (text.length > MAX_CONFIG_LENGTH) {
    throw new UnusableError(`it is longer than ${MAX_CONFIG_LENGTH} characters`);
  }
  const documents = parseAllDocuments(text, { merge: false, prettyErrors: false });
  if (!Array.isArray(documents) || documents.length === 0) return {};
  if (documents.length > 1) throw new UnusableError("it holds several YAML documents");
  const [fault] = documents[0]!.errors;
  if (fault !== undefined) throw new UnusableError(`it is not valid YAML: ${yamlFaultAt(text, fault)}`);
  const config: unknown = documents[0]!.toJS();
  if (config === null) return {};
  if (!isObject(config)) throw new UnusableError("it is no object");
  return config;
}

function groupProblem(group: string): string | undefined {
  return group.includes("*") ? "wildcards are not permitted" : undefined;
}

function resourceProblem(resource: string): string | undefined {
  if (resource === "") return "empty strings are not permitted";
  if (resource.includes("*")) return "wildcards are not permitted";
  return resource.includes("/")
    ? "subresources are not permitted, list the parent resource instead"
    : undefined;
}

function readEntries(config: JsonObject): ReadList {
  const allowed = new Map<string, ReadonlySet<string>[]>();
  const problems: string[] = [];
  const names = (
    entry: JsonObject,
    name: string,
    place: string,
    check: (name: string) => string | undefined,
  ) => {
    const usable = list(own(entry, name), `${place}.${name}`).filter((value, index): value is string => {
      const at = `${place}.${name}[${index}]`;
      if (typeof value !== "string") throw new UnusableError(`${at} is no string`);
      const problem = check(value);
      if (problem !== undefined) {
        problems.push(`${at}: ${JSON.stringify(value.slice(0, MAX_NAME_LENGTH))}: ${problem}`);
      }
      return problem === undefined;
    });
    if (usable.length === 0) problems.push(`${place} is left out: ${name} has no valid item`);
    return usable;
  };
  list(own(config, ALLOWED_RESOURCES), ALLOWED_RESOURCES).forEach((value, index) => {
    const place = `${ALLOWED_RESOURCES}[${index}]`;
    const entry = value ?? {};
    if (!isObject(entry)) throw new UnusableError(`${place} is no object`);
    const groups = names(entry, "apiGroups", place, groupProblem);
    const resources = new Set(names(entry, "resources", place, resourceProblem));
    if (resources.size === 0) return;
    for (const group of new Set(groups)) {
      const known = allowed.get(group);
      if (known === undefined) allowed.set(group, [resources]);
      else known.push(resources);
    }
  });
  return { allowed, problems };
}

/**
 * Reads the configuration. Where it is missing or cannot be read nothing is allowed; `problems` says why. Only `apiGroups` and
 * `resources` of an entry count.
 *
 * @param text The configuration; `undefined` where there is none.
 */
export function readAllowedResources(text: string | undefined): ReadList {
  const none = (problem: string): ReadList => ({ allowed: new Map(), problems: [problem] });
  if (text === undefined) return none(`${CONFIG_FILE} is missing`);
  try {
    return readEntries(parse(text));
  } catch (error) {
    // The parser of YAML throws at aliases that multiply and at what is nested too deeply.
    const what = error instanceof UnusableError
      ? error.message
      : `it cannot be read: ${yamlFaultText(error as Error)}`;
    return none(`${CONFIG_FILE}: ${what}`);
  }
}

function isAllowed(allowed: AllowedResources, group: string, resource: string): boolean {
  // Names with wildcards never come into the list.
  const parent = resource.split("/", 1)[0]!;
  return (allowed.get(group) ?? []).some((resources) => resources.has(parent));
}

/** What a policy targets although it may not. */
export interface DisallowedTargets {
  /** `resource.apiGroup`, or `resource` of the core group; sorted, each once. */
  readonly targets: readonly string[];
  /** Whether one of them has a wildcard. */
  readonly wildcard: boolean;
  /** False when the rules have more combinations than are looked at. */
  readonly complete: boolean;
}

const shown = (name: string) => name.length > MAX_NAME_LENGTH ? `${name.slice(0, MAX_NAME_LENGTH)}…` : name;

/** The targets of rules that are not allowed. Rules of old objects may lack any field. */
export function disallowedTargets(
  rules: readonly (Rule | null)[],
  allowed: AllowedResources,
): DisallowedTargets {
  const targets = new Set<string>();
  let wildcard = false;
  let examined = 0;
  const found = (complete: boolean) => ({ targets: [...targets].sort(compareBytes), wildcard, complete });
  for (const rule of rules) {
    const resources = new Set(rule?.resources ?? []);
    for (const group of new Set(rule?.apiGroups ?? [])) {
      for (const resource of resources) {
        if (++examined > MAX_TARGETS) return found(false);
        if (isAllowed(allowed, group, resource)) continue;
        wildcard ||= group.includes("*") || resource.includes("*");
        targets.add(group === "" ? shown(resource) : `${shown(resource)}.${shown(group)}`);
      }
    }
  }
  return found(true);
}

function targetList({ targets, complete }: DisallowedTargets): string {
  const parts: string[] = [];
  let length = 0;
  for (const target of targets) {
    length += target.length + 2;
    if (length > MAX_LIST_LENGTH) break;
    parts.push(target);
  }
  const hidden = targets.length - parts.length;
  if (!complete) {
    parts.push(`and others: the policy has more than ${MAX_TARGETS} combinations of apiGroup and resource`);
  } else if (hidden > 0) parts.push(`and ${hidden} more`);
  return parts.join(", ");
}

/**
 * Why a policy must not be deployed, in the words of its condition; `undefined` when it may be. Cluster-wide policies always may.
 *
 * @param configMap Name of the ConfigMap that holds the list.
 */
export function rejection(policy: Policy, allowed: AllowedResources, configMap: string): string | undefined {
  if (!isNamespaced(policy)) return undefined;
  const disallowed = disallowedTargets(policy.spec.rules ?? [], allowed);
  const empty = allowed.size === 0;
  if (!empty && disallowed.complete && disallowed.targets.length === 0) return undefined;
  return "The policy is not deployed. " +
    (empty
      ? "The allow list of resources for namespaced policies is empty. " +
        `The controller reads the allow list from the key ${ALLOWED_RESOURCES} of the file ${CONFIG_FILE} ` +
        `in the ConfigMap ${configMap}. `
      : "The cluster administrator does not allow namespaced policies to target these resources " +
        `(resource.apiGroup): ${targetList(disallowed)}. `) +
    (disallowed.wildcard
      ? "Namespaced policies cannot use wildcards in apiGroups or resources. " +
        "Replace each wildcard with a resource name. "
      : "") +
    "To deploy this policy, ask the cluster administrator to add the resources that the policy targets " +
    `to the Helm value ${ALLOWED_RESOURCES}.`;
}
