/**
 * `policies.yml`: which policies and policy groups a server serves (spec/policy-server.md §2.1).
 *
 * An entry is read as a policy first, then as a group; the first shape that fits wins. Unknown keys are ignored in
 * entries (the controller writes some) and refused in group members.
 */
import { PortreeveError } from "../../program/types/error.ts";
import type { PolicyMode } from "../../admission/types/admission.ts";
import { boundedText } from "../../program/types/bounded_text.ts";
import {
  type DocumentEntry,
  DocumentError,
  type DocumentValue,
  jsonText,
  positionOf,
  repeatedKeys,
} from "./document.ts";
import {
  article,
  boolean,
  type Fields,
  fieldsOf,
  list,
  mismatch,
  optional,
  required,
  string,
  unsigned,
} from "./document_fields.ts";
import { nearestName } from "../../program/types/nearest.ts";
import { readDocument } from "./read_document.ts";

export type { PolicyMode };

/** One kind of Kubernetes resource that a policy may read. */
export type ContextAwareResource = { readonly apiVersion: string; readonly kind: string };

/** What a policy and a group's member have in common. */
export type PolicyModule = {
  /** Where the Wasm comes from, as written; without `://` it is a registry reference (spec/policy-server.md §3.3). */
  readonly module: string;
  /** The settings object as compact JSON: numbers have the digits and the form of the file. `{}` where none are set. */
  readonly settingsJson: string;
  /** Without repeats, in the order of the file. */
  readonly contextAwareResources: readonly ContextAwareResource[];
  /** Seconds; `null`: the server's `--policy-timeout` holds. May be as large as 2^64 - 1. */
  readonly timeoutEvalSeconds: number | null;
  /** Patterns as written; empty denies all. `evaluator/types/host_capabilities.ts` checks them. */
  readonly hostCapabilities: readonly string[];
};

/** A single policy. `name` is its id and the URL's path segment. */
export type Policy = PolicyModule & {
  readonly kind: "policy";
  readonly name: string;
  readonly policyMode: PolicyMode;
  readonly allowedToMutate: boolean;
  /** The text that replaces the policy's own rejection message; `null`: none. */
  readonly message: string | null;
};

/** Policies joined by an expression. Each member is a function of the expression, named by its key. */
export type PolicyGroup = {
  readonly kind: "group";
  readonly name: string;
  readonly policyMode: PolicyMode;
  readonly policies: ReadonlyMap<string, PolicyModule>;
  readonly expression: string;
  readonly message: string;
};

/** One entry of the file. */
export type PolicyEntry = Policy | PolicyGroup;

/** Characters of what is wrong: names and values of the file are quoted, which tenants write a part of. */
const MAX_REASON = 1_000;

/** The file can't be used. `message` is the whole text for the user; the other members say where the fault is. */
export class PoliciesFileError extends PortreeveError {
  /** Always this one. */
  override readonly code = "invalid_policies_file";
  /** The name of the error. */
  override readonly name = "PoliciesFileError";
  /** The file. */
  readonly path: string;
  /** The line of the fault, from 1. */
  readonly line: number;
  /** Its column, from 1. */
  readonly column: number;
  /** `reason` is shortened where it is long. */
  constructor(path: string, reason: string, at: { readonly line: number; readonly column: number }) {
    super(
      `${policiesFilePrefix(path)}${boundedText(reason, MAX_REASON)} at line ${at.line} column ${at.column}`,
    );
    this.path = path;
    this.line = at.line;
    this.column = at.column;
  }
}

/** What every error about the file begins with; also for one that can't be read (spec/policy-server.md §2.1, errors 1 and 2). */
export function policiesFilePrefix(path: string): string {
  return `error while loading policies from ${JSON.stringify(path)}: `;
}

/**
 * Reads the text of the policies file found at `path` (named in errors only). Names keep the order of the file.
 *
 * A key that stands twice counts as the last one, and a field that a policy has not is passed over, as in 1.36. Both are told with
 * their places: `onWarning` gets the texts.
 *
 * Throws {@link PoliciesFileError}, e.g. `error while loading policies from "policies.yml": psp.policyMode: expected
 * "protect" or "monitor", found "Protect" at line 3 column 15`.
 */
export function parsePolicies(
  text: string,
  path: string,
  onWarning: (warning: string) => void = () => {},
): ReadonlyMap<string, PolicyEntry> {
  try {
    const root = readDocument(text);
    if (root === null) {
      throw new DocumentError("EOF while parsing a value: the file is empty (`{}` = no policies)", 0);
    }
    if (root.kind !== "map") throw mismatch("", root, "a map of policy names to policies");
    const members = fieldsOf(root);
    if (["apiVersion", "kind"].every((name) => members.get(name)?.kind === "string")) {
      throw new DocumentError(
        "it is a resource of Kubernetes, expected a map of policy names to policies: write the resource's name, and " +
          "below it module and settings of its spec",
        root.at,
      );
    }
    for (const { path: where, firstAt, againAt } of repeatedKeys(root)) {
      const at = (offset: number) => {
        const { line, column } = positionOf(text, offset);
        return `line ${line} column ${column}`;
      };
      onWarning(
        `${boundedText(where, MAX_REASON)} is given twice in ${JSON.stringify(path)}, at ${
          at(firstAt)
        } and ` +
          `${at(againAt)}: the last one counts, remove one of them`,
      );
    }
    // Keys that differ in kind only (`1` and `"1"`) are one name.
    const entries = root.entries.map((entry) => [policyName(entry), policyEntry(entry)] as const);
    for (
      const { warning, at } of root.entries.flatMap((entry, i) => unknownFields(entry, entries[i]![1])).slice(
        0,
        MAX_UNKNOWN,
      )
    ) {
      const { line, column } = positionOf(text, at);
      onWarning(
        `${boundedText(warning, MAX_REASON)} in ${JSON.stringify(path)}, at line ${line} column ${column}: ` +
          "it is passed over, correct or remove it",
      );
    }
    return new Map(entries);
  } catch (error) {
    if (!(error instanceof DocumentError)) throw error;
    throw new PoliciesFileError(path, error.message, positionOf(text, error.at));
  }
}

function policyName(entry: DocumentEntry): string {
  const { key, keyAt, keyKind } = entry;
  if (keyKind === "map" || keyKind === "list" || keyKind === "null") {
    throw new DocumentError(`expected a policy name, found ${article(keyKind)} as key`, keyAt);
  }
  if (key === "") throw new DocumentError("Not a valid Policy ID: (the policy's name is empty)", keyAt);
  if (key.includes("/")) throw new DocumentError(`policy name '${key}' contains a '/' character`, keyAt);
  return key;
}

const MODULE_FIELDS = [
  "module",
  "settings",
  "contextAwareResources",
  "timeoutEvalSeconds",
  "hostCapabilities",
] as const;
const POLICY_FIELDS = [...MODULE_FIELDS, "policyMode", "allowedToMutate", "message"] as const;
const GROUP_FIELDS = ["policyMode", "policies", "expression", "message"] as const;

/** More warnings than this about one file tell nothing new. */
const MAX_UNKNOWN = 20;

/** The fields of a policy that nothing reads; a member of a group is refused for them, as by 1.36. */
function unknownFields({ key: name, value }: DocumentEntry, { kind }: PolicyEntry) {
  const known: readonly string[] = [
    ...(kind === "group" ? GROUP_FIELDS : POLICY_FIELDS),
    // What the controllers write beside them, for people.
    "namespacedName",
  ];
  return (value.kind === "map" ? value.entries : []).flatMap(({ key, keyAt }) => {
    if (known.includes(key)) return [];
    const near = nearestName(key, known);
    const meant = near === undefined ? "" : ` (did you mean "${near}"?)`;
    return [{ warning: `${name} has an unknown field ${JSON.stringify(key)}${meant}`, at: keyAt }];
  });
}

function policyEntry({ key: name, value }: DocumentEntry): PolicyEntry {
  if (value.kind !== "map") throw mismatch(name, value, "a policy or a policy group");
  try {
    return policy(name, value);
  } catch (asPolicy) {
    try {
      return policyGroup(name, value);
    } catch (asGroup) {
      // Neither shape fits: report the one that was meant.
      const has = (field: string) => value.entries.some((entry) => entry.key === field);
      throw !has("module") && (has("policies") || has("expression")) ? asGroup : asPolicy;
    }
  }
}

function policy(name: string, value: DocumentValue): Policy {
  const fields = fieldsOf(value);
  return {
    kind: "policy",
    name,
    ...policyModule(name, value, fields, POLICY_FIELDS),
    policyMode: policyMode(name, fields),
    allowedToMutate: optional(name, fields, "allowedToMutate", boolean) ?? false,
    message: optional(name, fields, "message", string),
  };
}

function policyGroup(name: string, value: DocumentValue): PolicyGroup {
  const fields = fieldsOf(value);
  const policies = required(name, value, fields, "policies", GROUP_FIELDS);
  if (policies.kind !== "map") {
    throw mismatch(`${name}.policies`, policies, "a map of member names to policies");
  }
  const group: PolicyGroup = {
    kind: "group",
    name,
    policyMode: policyMode(name, fields),
    expression: string(`${name}.expression`, required(name, value, fields, "expression", GROUP_FIELDS)),
    message: string(`${name}.message`, required(name, value, fields, "message", GROUP_FIELDS)),
    policies: new Map(policies.entries.map((entry) => groupMember(`${name}.policies`, entry))),
  };
  const offenders = policies.entries.filter((entry) => entry.key.includes("/"));
  if (offenders[0] !== undefined) {
    const names = JSON.stringify(offenders.map((entry) => entry.key)).replaceAll('","', '", "');
    throw new DocumentError(
      `policy group '${name}' contains policies with invalid names: ${names}`,
      offenders[0].keyAt,
    );
  }
  return group;
}

function groupMember(path: string, entry: DocumentEntry): readonly [string, PolicyModule] {
  const { key, keyKind, keyAt, value } = entry;
  if (keyKind !== "string") {
    throw new DocumentError(`${path}: expected a string as key, found ${key || keyKind}`, keyAt);
  }
  if (key === "") throw new DocumentError(`${path}: a member's name is empty`, keyAt);
  const at = `${path}.${key}`;
  if (value.kind !== "map") throw mismatch(at, value, "a policy");
  const unknown = value.entries.find((field) =>
    field.keyKind !== "string" || !(MODULE_FIELDS as readonly string[]).includes(field.key)
  );
  if (unknown !== undefined) {
    const near = nearestName(unknown.key, MODULE_FIELDS);
    const advice = near === undefined
      ? `expected one of ${MODULE_FIELDS.join(", ")}`
      : `did you mean "${near}"?`;
    throw new DocumentError(`${at}: unknown field ${JSON.stringify(unknown.key)}, ${advice}`, unknown.keyAt);
  }
  return [key, policyModule(at, value, fieldsOf(value), MODULE_FIELDS)];
}

function policyModule(
  path: string,
  value: DocumentValue,
  fields: Fields,
  known: readonly string[],
): PolicyModule {
  return {
    module: string(`${path}.module`, required(path, value, fields, "module", known)),
    settingsJson: settingsJson(path, fields),
    contextAwareResources: contextAwareResources(path, fields),
    timeoutEvalSeconds: optional(path, fields, "timeoutEvalSeconds", unsigned),
    hostCapabilities: list(path, fields, "hostCapabilities", "a list of strings").map((item, i) =>
      string(`${path}.hostCapabilities[${i}]`, item)
    ),
  };
}

function policyMode(path: string, fields: Fields): PolicyMode {
  const value = fields.get("policyMode");
  if (value === undefined) return "protect";
  if (value.kind === "string" && (value.value === "protect" || value.value === "monitor")) return value.value;
  throw mismatch(`${path}.policyMode`, value, '"protect" or "monitor"');
}

function settingsJson(path: string, fields: Fields): string {
  const settings = fields.get("settings");
  if (settings === undefined || settings.kind === "null") return "{}";
  if (settings.kind !== "map") throw mismatch(`${path}.settings`, settings, "a map or null");
  checkKeys(`${path}.settings`, settings);
  return jsonText(settings);
}

/** JSON has string keys only. */
function checkKeys(path: string, value: DocumentValue): void {
  if (value.kind === "list") value.items.forEach((item, i) => checkKeys(`${path}[${i}]`, item));
  if (value.kind !== "map") return;
  for (const { key, keyKind, keyAt, value: held } of value.entries) {
    if (keyKind !== "string") {
      const found = key === "" ? article(keyKind) : key;
      throw new DocumentError(`${path}: expected a string as key, found ${found} (quote it)`, keyAt);
    }
    checkKeys(`${path}.${key}`, held);
  }
}

function contextAwareResources(path: string, fields: Fields): readonly ContextAwareResource[] {
  const seen = new Map<string, ContextAwareResource>();
  list(path, fields, "contextAwareResources", "a list of apiVersion and kind").forEach((item, i) => {
    const at = `${path}.contextAwareResources[${i}]`;
    if (item.kind !== "map") throw mismatch(at, item, "a map with apiVersion and kind");
    const known = ["apiVersion", "kind"];
    const held = fieldsOf(item);
    const apiVersion = string(`${at}.apiVersion`, required(at, item, held, "apiVersion", known));
    const kind = string(`${at}.kind`, required(at, item, held, "kind", known));
    seen.set(`${apiVersion} ${kind}`, { apiVersion, kind });
  });
  return [...seen.values()];
}
