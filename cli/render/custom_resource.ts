/** From the documents of a YAML file to the policies that they define (`spec/cli.md §7.3`). */
import { own } from "../../program/types/own.ts";
import { KINDS } from "../../crd/types.ts";
import { type DocumentValue, jsonText, memberOf, textOf } from "../../policy_server/types/document.ts";
import { CliError } from "../types/command.ts";
import type { Definition, Grants, ModuleDefinition } from "../types/definition.ts";

const API_VERSION = "policies.kubewarden.io/v1";
const TOP_FIELDS = ["apiVersion", "kind", "metadata", "spec", "status"];
const POLICIES = KINDS.filter(({ policy }) => policy);

type Fields = ReadonlyMap<string, DocumentValue>;
type JsonSchema = {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly items?: JsonSchema;
  readonly additionalProperties?: JsonSchema;
  readonly enum?: readonly string[];
};

const fieldsOf = (value: DocumentValue): Fields =>
  new Map(value.kind === "map" ? value.entries.map((entry) => [entry.key, entry.value]) : []);

const quoted = (value: DocumentValue | undefined): string =>
  value === undefined ? "None" : `Some(${jsonText(value)})`;

/** `List`, as `kubectl get` writes it, and the lists of the API: `ClusterAdmissionPolicyList`. */
const LISTS: readonly string[] = ["List", ...POLICIES.map(({ kind }) => `${kind}List`)];

/** The documents of a stream, with lists taken apart. */
function flattened(documents: readonly DocumentValue[]): readonly DocumentValue[] {
  return documents.flatMap((document) => {
    const fields = fieldsOf(document);
    const items = fields.get("items");
    if (!LISTS.includes(textOf(fields.get("kind")) ?? "")) return [document];
    return items?.kind === "list" ? flattened(items.items) : items?.kind === "null" ? [] : [document];
  });
}

function wrongType(value: DocumentValue, { type }: JsonSchema): string | undefined {
  const kind = value.kind === "number" ? (value.integer ? "integer" : "number") : value.kind;
  const wanted: Readonly<Record<string, readonly string[]>> = {
    string: ["string"],
    boolean: ["boolean"],
    integer: ["integer"],
    array: ["list"],
    object: ["map"],
  };
  const accepted = own(wanted, type ?? "");
  if (value.kind === "null" || accepted === undefined || accepted.includes(kind)) return undefined;
  return `invalid type: ${kind}, expected ${type}`;
}

/** What a policy can't be evaluated without; the API server asks for more, `rules` for one. */
const REQUIRED = ["module"];
const REQUIRED_OF_GROUPS = ["expression", "message", "policies"];

/** What is wrong below the fields of a spec; with the schema's limits kept to types and names. */
function deeperFaults(value: DocumentValue, schema: JsonSchema, path: string): readonly string[] {
  const fault = wrongType(value, schema);
  if (fault !== undefined) return [`${path}: ${fault}`];
  if (value.kind === "list" && schema.items !== undefined) {
    return value.items.flatMap((item, index) => deeperFaults(item, schema.items!, `${path}[${index}]`));
  }
  if (value.kind !== "map") return [];
  const { properties, additionalProperties } = schema;
  return value.entries.flatMap((entry) => {
    const field = own(properties, entry.key) ?? additionalProperties;
    if (field !== undefined) return deeperFaults(entry.value, field, `${path}.${entry.key}`);
    return properties === undefined ? [] : [
      `${path}: unknown field \`${entry.key}\`, expected one of ${
        Object.keys(properties).map((one) => `\`${one}\``).join(", ")
      }`,
    ];
  });
}

/** Refuses fields that the resource has not got, missing ones, and wrong types; what lies deeper is lenient. */
function checkSpec(
  spec: DocumentValue,
  schema: JsonSchema,
  required: readonly string[],
  kind: string,
): Fields {
  const refuse = (reason: string): never => {
    throw new CliError(`cannot parse value into ${kind}: ${reason}`);
  };
  if (spec.kind !== "map") refuse(`invalid type: ${spec.kind}, expected struct ${kind}Spec`);
  const fields = fieldsOf(spec);
  const known = Object.keys(schema.properties ?? {});
  for (const [name, value] of fields) {
    const field = own(schema.properties, name);
    if (field === undefined) {
      refuse(`unknown field \`${name}\`, expected one of ${known.map((one) => `\`${one}\``).join(", ")}`);
    }
    const fault = wrongType(value, field!);
    if (fault !== undefined) refuse(`spec.${name}: ${fault}`);
    if (field!.enum && value.kind === "string" && !field!.enum.includes(value.value)) {
      refuse(`spec.${name}: unknown variant \`${value.value}\`, expected one of ${field!.enum.join(", ")}`);
    }
  }
  const missing = required.find((name) => (fields.get(name)?.kind ?? "null") === "null");
  if (missing !== undefined) refuse(`missing field \`${missing}\``);
  return fields;
}

function grantsOf(value: DocumentValue | undefined): Grants {
  const items = value?.kind === "list" ? value.items : [];
  return {
    kind: "listed",
    resources: items.map((item) => {
      const fields = fieldsOf(item);
      return { apiVersion: textOf(fields.get("apiVersion")) ?? "", kind: textOf(fields.get("kind")) ?? "" };
    }),
  };
}

/** What a namespaced policy gets: nothing, with the warnings that a policy wants more. */
const NO_GRANTS: Grants = { kind: "metadata", agreed: false };

function settingsOf(value: DocumentValue | undefined): string {
  return value === undefined || value.kind === "null" ? "{}" : jsonText(value);
}

function moduleOf(
  fields: Fields,
  cluster: boolean,
  where: string,
  fetchUri: (module: string) => string,
): ModuleDefinition {
  const module = textOf(fields.get("module"));
  if (module === undefined) throw new CliError(`${where}: missing field \`module\``);
  const settings = fields.get("settings");
  if (settings !== undefined && settings.kind !== "map" && settings.kind !== "null") {
    throw new CliError(`${where}: invalid type: ${settings.kind}, expected a map of settings`);
  }
  return {
    uri: fetchUri(module),
    settingsJson: settingsOf(settings),
    grants: cluster ? grantsOf(fields.get("contextAwareResources")) : NO_GRANTS,
  };
}

function definitionOf(document: DocumentValue, fetchUri: (module: string) => string): Definition {
  if (document.kind !== "map") {
    throw new CliError(`cannot extract ObjectReference: invalid type: ${document.kind}, expected an object`);
  }
  const resource = fieldsOf(document);
  if (textOf(resource.get("apiVersion")) !== API_VERSION) {
    throw new CliError(`invalid apiVersion ${quoted(resource.get("apiVersion"))}`);
  }
  const description = POLICIES.find(({ kind }) => kind === textOf(resource.get("kind")));
  if (description === undefined) {
    throw new CliError(`unknown kind ${quoted(resource.get("kind"))}, not a Kubewarden policy`);
  }
  const { kind, group, namespaced } = description;
  const specValue = resource.get("spec");
  if (specValue === undefined) {
    throw new CliError(`CRD does not have spec, but it is required for ${kind}`);
  }
  const required = group ? REQUIRED_OF_GROUPS : REQUIRED;
  const spec = checkSpec(specValue, description.v1.spec.json as JsonSchema, required, kind);
  const id = textOf(memberOf(resource.get("metadata"), "name")) ?? "crd-without-name";
  const mode = textOf(spec.get("mode")) === "monitor" ? "monitor" : "protect";
  const where = `cannot parse value into ${kind}`;
  if (!group) {
    const mutating = spec.get("mutating");
    return {
      kind: "policy",
      id,
      mode,
      allowedToMutate: mutating?.kind === "boolean" && mutating.value,
      message: textOf(spec.get("message")) ?? null,
      ...moduleOf(spec, !namespaced, where, fetchUri),
    };
  }
  const policies = spec.get("policies")!;
  const members = policies.kind === "map" ? policies.entries : [];
  return {
    kind: "group",
    id,
    mode,
    expression: textOf(spec.get("expression")) ?? "",
    message: textOf(spec.get("message")) ?? "",
    members: new Map(
      members.map((
        { key, value },
      ) => [key, moduleOf(fieldsOf(value), !namespaced, `${where}: ${key}`, fetchUri)]),
    ),
  };
}

/** A policy that a file defines again: a cluster would keep the second alone. */
export type RepeatedPolicy = {
  /** Such as `AdmissionPolicy "web/a"`. */
  readonly title: string;
  /** Offsets in the text. */
  readonly firstAt: number;
  readonly againAt: number;
};

/** The policies that have the kind, name and namespace of one before them. */
export function repeatedPolicies(documents: readonly DocumentValue[]): readonly RepeatedPolicy[] {
  const seen = new Map<string, number>();
  return flattened(documents).flatMap((document): readonly RepeatedPolicy[] => {
    const fields = fieldsOf(document);
    const metadata = fields.get("metadata");
    const [namespace, name] = ["namespace", "name"].map((field) => textOf(memberOf(metadata, field)));
    if (name === undefined) return [];
    const title = `${textOf(fields.get("kind"))} "${namespace === undefined ? "" : `${namespace}/`}${name}"`;
    const firstAt = seen.get(title);
    if (firstAt !== undefined) return [{ title, firstAt, againAt: document.at }];
    seen.set(title, document.at);
    return [];
  });
}

/** Something in a policy that is passed over, as 1.36 does: `text` says what, `at` is the policy's offset in the text. */
export type PassedOver = { readonly text: string; readonly at: number };

/**
 * Misspelled and mistyped fields below those of a spec, and beside it: of a group's member, say, whose settings are then its defaults.
 * A cluster passes over them or refuses them.
 */
export function passedOver(documents: readonly DocumentValue[]): readonly PassedOver[] {
  return flattened(documents).flatMap((document) => {
    const resource = fieldsOf(document);
    const description = POLICIES.find(({ kind }) => kind === textOf(resource.get("kind")));
    const spec = resource.get("spec");
    if (description === undefined || spec?.kind !== "map") return [];
    const { properties } = description.v1.spec.json as JsonSchema;
    const name = memberOf(resource.get("metadata"), "name");
    return [
      ...[...resource.keys()].filter((key) => !TOP_FIELDS.includes(key)).map((key) =>
        `unknown field \`${key}\``
      ),
      ...(name === undefined ? [] : deeperFaults(name, { type: "string" }, "metadata.name")),
      ...spec.entries.flatMap(({ key, value }) => {
        const field = own(properties, key);
        return field === undefined ? [] : deeperFaults(value, field, `spec.${key}`);
      }),
    ].map((text) => ({ text: `${description.kind}: ${text}`, at: document.at }));
  });
}

/**
 * The policies of a file's documents, in order.
 *
 * @param fetchUri completes what `module` fields say
 * @param placeOf names the place of an offset in the text, for errors
 * @throws {CliError} a document is no policy, or one that can't be evaluated
 */
export function definitionsOf(
  documents: readonly DocumentValue[],
  fetchUri: (module: string) => string,
  placeOf: (at: number) => string,
): readonly Definition[] {
  return flattened(documents).map((document) => {
    try {
      return definitionOf(document, fetchUri);
    } catch (error) {
      if (!(error instanceof CliError)) throw error;
      throw new CliError(`${error.message} (${placeOf(document.at)})`);
    }
  });
}
