/** A policy's `metadata.yml`, read strictly, and as it goes into the module (`spec/cli.md §15`). */
import type {
  ContextAwareResource,
  ExecutionMode,
  PolicyMetadata,
  PolicyRule,
} from "../../evaluator/types/metadata.ts";
import { type DocumentValue, memberOf } from "../../policy_server/types/document.ts";
import { append } from "../../program/types/lists.ts";

/** What is wrong, and where in the text. */
export class MetadataDocumentError extends Error {
  readonly at: number | undefined;
  constructor(message: string, at?: number) {
    super(message);
    this.at = at;
  }
}

const MODES: readonly ExecutionMode[] = ["kubewarden-wapc", "opa", "gatekeeper", "wasi", "extism"];
const OPERATIONS = ["CREATE", "UPDATE", "DELETE", "CONNECT", "*"] as const;
const FIELDS = [
  "rules",
  "annotations",
  "mutating",
  "backgroundAudit",
  "executionMode",
  "policyType",
  "contextAwareResources",
  "hostCapabilities",
  "minimumKubewardenVersion",
  "protocolVersion",
  // What older versions had in the place of `contextAwareResources`.
  "contextAware",
];
const RULE_FIELDS = ["apiGroups", "apiVersions", "resources", "operations"] as const;

type Fields = ReadonlyMap<string, DocumentValue>;

const isAbsent = (value: DocumentValue | undefined): value is undefined =>
  value === undefined || value.kind === "null";

function wrong(path: string, value: DocumentValue, expected: string): never {
  throw new MetadataDocumentError(`${path}: invalid type: ${value.kind}, expected ${expected}`, value.at);
}

function fieldsOf(value: DocumentValue, path: string): Fields {
  if (value.kind !== "map") wrong(path, value, "a map");
  return new Map(value.entries.map((entry) => [entry.key, entry.value]));
}

function text(value: DocumentValue, path: string): string {
  return value.kind === "string" ? value.value : wrong(path, value, "a string");
}

function texts(value: DocumentValue, path: string): readonly string[] {
  if (value.kind !== "list") wrong(path, value, "a sequence");
  return value.items.map((item, index) => text(item, `${path}[${index}]`));
}

function required(fields: Fields, name: string): DocumentValue {
  const value = fields.get(name);
  if (value === undefined) throw new MetadataDocumentError(`missing field \`${name}\``);
  return value;
}

function flag(value: DocumentValue, path: string): boolean {
  return value.kind === "boolean" ? value.value : wrong(path, value, "a boolean");
}

function choice<T extends string>(value: DocumentValue, path: string, choices: readonly T[]): T {
  const given = text(value, path);
  const found = choices.find((one) => one === given);
  if (found !== undefined) return found;
  const list = choices.map((one) => `\`${one}\``).join(", ");
  throw new MetadataDocumentError(`${path}: unknown variant \`${given}\`, expected one of ${list}`, value.at);
}

/** A rule of a webhook may have these, one of a policy's metadata can't: without them it would hold for more than its author wrote. */
function refuseNarrowing(fields: Fields, path: string): void {
  for (const name of ["scope", "resourceNames"]) {
    const value = fields.get(name);
    if (isAbsent(value) || (value?.kind === "string" && value.value === "*")) continue;
    if (value!.kind === "list" && value!.items.length === 0) continue;
    throw new MetadataDocumentError(
      `${path}.${name}: the rules of a policy's metadata have no ${name}: ` +
        "remove it here, and set it in the rules of the custom resource",
      value!.at,
    );
  }
}

function rulesOf(value: DocumentValue): readonly PolicyRule[] {
  if (value.kind !== "list") wrong("rules", value, "a sequence");
  return value.items.map((item, index) => {
    const fields = fieldsOf(item, `rules[${index}]`);
    const [apiGroups, apiVersions, resources, operations] = RULE_FIELDS.map((name) => {
      const list = fields.get(name);
      if (list === undefined) {
        throw new MetadataDocumentError(`rules[${index}]: missing field \`${name}\``, item.at);
      }
      return texts(list, `rules[${index}].${name}`);
    });
    refuseNarrowing(fields, `rules[${index}]`);
    const list = fields.get("operations")!;
    if (list.kind === "list") {
      list.items.forEach((one, at) => choice(one, `rules[${index}].operations[${at}]`, OPERATIONS));
    }
    return {
      apiGroups: apiGroups!,
      apiVersions: apiVersions!,
      resources: resources!,
      operations: operations!,
    };
  });
}

/** Sets have an order of their own: 1.36 sorts them. */
function resourcesOf(value: DocumentValue): readonly ContextAwareResource[] {
  if (value.kind !== "list") wrong("contextAwareResources", value, "a sequence");
  const read = value.items.map((item, index) => {
    const fields = fieldsOf(item, `contextAwareResources[${index}]`);
    return {
      apiVersion: text(required(fields, "apiVersion"), "apiVersion"),
      kind: text(required(fields, "kind"), "kind"),
    };
  });
  const key = ({ apiVersion, kind }: ContextAwareResource) => `${apiVersion}\u0000${kind}`;
  return [...new Map(read.map((one) => [key(one), one])).entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(
    ([, one]) => one,
  );
}

const SEMVER =
  /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$/;

/** Whether a text is a semantic version. */
export const isSemver = (version: string): boolean => SEMVER.test(version);

function semver(value: DocumentValue): string {
  const version = text(value, "minimumKubewardenVersion");
  if (isSemver(version)) return version;
  throw new MetadataDocumentError(
    `minimumKubewardenVersion: ${JSON.stringify(version)} is not a semantic version`,
    value.at,
  );
}

/** Reads the document; unknown members are passed over. Throws {@link MetadataDocumentError}. */
export function readMetadataDocument(document: DocumentValue | null): PolicyMetadata {
  if (document === null) throw new MetadataDocumentError("missing field `rules`");
  const fields = fieldsOf(document, "metadata");
  const optional = <T>(name: string, read: (value: DocumentValue) => T): T | undefined => {
    const value = fields.get(name);
    return isAbsent(value) ? undefined : read(value!);
  };
  const annotations = optional("annotations", (value) =>
    Object.fromEntries(
      [...fieldsOf(value, "annotations")].map(([name, entry]) => [name, text(entry, `annotations.${name}`)]),
    ));
  const mode = optional("executionMode", (value) => choice(value, "executionMode", MODES));
  return {
    protocolVersion: null,
    rules: rulesOf(required(fields, "rules")),
    annotations: annotations ?? {},
    mutating: flag(required(fields, "mutating"), "mutating"),
    backgroundAudit: optional("backgroundAudit", (value) => flag(value, "backgroundAudit")) ?? true,
    executionMode: mode ?? "kubewarden-wapc",
    policyType: optional("policyType", (value) => choice(value, "policyType", ["kubernetes", "raw"])) ??
      "kubernetes",
    contextAwareResources: optional("contextAwareResources", resourcesOf) ?? [],
    hostCapabilities: optional(
      "hostCapabilities",
      (value) => [...new Set(texts(value, "hostCapabilities"))].sort(),
    ),
    minimumKubewardenVersion: optional("minimumKubewardenVersion", semver),
  };
}

/** Members that nothing reads, by their paths: a misspelled `backgroundAudit` or `hostCapabilities` says the opposite of its default. */
export function unknownMetadataFields(document: DocumentValue | null): readonly string[] {
  const within = (value: DocumentValue | undefined, known: readonly string[], path: string) =>
    value?.kind === "map"
      ? value.entries.map(({ key }) => key).filter((key) => !known.includes(key)).map((key) => path + key)
      : [];
  const ofItems = (name: string, known: readonly string[]) => {
    const list = memberOf(document ?? undefined, name);
    return list?.kind === "list"
      ? list.items.flatMap((item, index) => within(item, known, `${name}[${index}].`))
      : [];
  };
  return [
    ...within(document ?? undefined, FIELDS, ""),
    ...ofItems("rules", [...RULE_FIELDS, "scope", "resourceNames"]),
    ...ofItems("contextAwareResources", ["apiVersion", "kind"]),
  ];
}

/** The metadata as an object whose members stand in the order in which 1.36 writes them. */
export function metadataObject(metadata: PolicyMetadata): Readonly<Record<string, unknown>> {
  const { rules, annotations, hostCapabilities, minimumKubewardenVersion, protocolVersion } = metadata;
  const sorted = Object.entries(annotations).sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    protocolVersion,
    rules: rules.map(({ apiGroups, apiVersions, resources, operations }) => ({
      apiGroups,
      apiVersions,
      resources,
      operations,
    })),
    ...(sorted.length > 0 && { annotations: Object.fromEntries(sorted) }),
    mutating: metadata.mutating,
    backgroundAudit: metadata.backgroundAudit,
    executionMode: metadata.executionMode,
    policyType: metadata.policyType,
    contextAwareResources: metadata.contextAwareResources.map(({ apiVersion, kind }) => ({
      apiVersion,
      kind,
    })),
    ...(hostCapabilities && { hostCapabilities }),
    ...(minimumKubewardenVersion !== undefined && { minimumKubewardenVersion }),
  };
}

/** The API server's rules for the resources of a webhook rule. */
function resourceFaults(resources: readonly string[]): string[] {
  const faults: string[] = [];
  const parts = resources.map((resource) => {
    const slash = resource.indexOf("/");
    return slash < 0
      ? [resource, ""] as const
      : [resource.slice(0, slash), resource.slice(slash + 1)] as const;
  });
  if (resources.includes("")) faults.push("an empty string is no resource");
  if (resources.includes("*/*") && resources.length > 1) {
    faults.push("if '*/*' is present, must not specify other resources");
  }
  if (resources.includes("*") && parts.some(([name, sub]) => name !== "*" && sub === "")) {
    faults.push("if '*' is present, must not specify other resources without subresources");
  }
  for (const [name, sub] of parts) {
    if (
      name === "*" && sub !== "" && sub !== "*" && parts.some(([other, its]) => other !== "*" && its === sub)
    ) {
      faults.push(`if '*/${sub}' is present, must not specify '<resource>/${sub}'`);
    }
    if (
      sub === "*" && name !== "*" && parts.some(([other, its]) => other === name && its !== "" && its !== "*")
    ) {
      faults.push(`if '${name}/*' is present, must not specify '${name}/<subresource>'`);
    }
  }
  return [...new Set(faults)];
}

/** What is wrong with metadata that could be read; empty if nothing is. */
export function metadataFaults(metadata: PolicyMetadata): readonly string[] {
  const faults: string[] = [];
  metadata.rules.forEach((rule, index) => {
    for (const name of RULE_FIELDS) {
      const values = rule[name];
      const where = `rules[${index}].${name}`;
      if (values.length === 0) faults.push(`${where}: must have at least one element`);
      if (name === "resources") {
        append(faults, resourceFaults(values).map((fault) => `${where}: ${fault}`));
      } else if (values.includes("*") && values.length > 1) {
        faults.push(`${where}: No other elements can be defined when '*' is used`);
      }
    }
  });
  metadata.contextAwareResources.forEach(({ apiVersion, kind }, index) => {
    if (apiVersion === "") faults.push(`contextAwareResources[${index}].apiVersion: must not be empty`);
    if (kind === "") faults.push(`contextAwareResources[${index}].kind: must not be empty`);
  });
  if (metadata.executionMode === "kubewarden-wapc" && metadata.protocolVersion === "Unknown") {
    faults.push("protocolVersion: must be specified with execution mode kubewarden-wapc");
  }
  return faults;
}
