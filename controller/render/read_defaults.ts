/** The default resources that the unified chart hands to the controller in a ConfigMap, one YAML document per key. */
import { isObject } from "../../program/types/json_object.ts";
import { parseAllDocuments } from "../../deps.ts";
import { yamlFaultAt, yamlFaultText } from "../../program/types/yaml_fault.ts";
import { API_GROUP, type Kind, KINDS } from "../../crd/types.ts";
import type { KubeObject } from "../../kubernetes/types/object.ts";

/** Marks what the controller made from the chart's defaults; what lacks it is never deleted. */
export const DEFAULTS_LABEL = { "kubewarden.io/managed-by": "kubewarden-controller-defaults" } as const;

/** A resource that should exist. */
export interface DefaultResource {
  readonly kind: Kind;
  readonly object: KubeObject & { readonly apiVersion: string };
}

/** What a ConfigMap's data says. */
export interface Defaults {
  /** Policy servers before the policies that they serve. */
  readonly resources: readonly DefaultResource[];
  /** Entries that can't be used, each with its key; they are left out. */
  readonly problems: readonly string[];
}

function readEntry(text: string): DefaultResource | string {
  const documents = parseAllDocuments(text, { merge: false, prettyErrors: false });
  if (!Array.isArray(documents) || documents.length !== 1) {
    return "it does not hold exactly one YAML document";
  }
  const [fault] = documents[0]!.errors;
  if (fault !== undefined) return `it is not valid YAML: ${yamlFaultAt(text, fault)}`;
  const object: unknown = documents[0]!.toJS();
  if (!isObject(object)) return "it is no object";
  const { apiVersion, kind, metadata } = object;
  const known = KINDS.find((candidate) => candidate.kind === kind);
  if (typeof apiVersion !== "string" || !apiVersion.startsWith(`${API_GROUP}/`) || known === undefined) {
    return `${String(apiVersion)} ${String(kind)} is none of the kinds of ${API_GROUP}`;
  }
  if (!isObject(metadata) || typeof metadata["name"] !== "string") return "it has no metadata.name";
  if (known.namespaced && typeof metadata["namespace"] !== "string") return "it has no metadata.namespace";
  const { status: _, ...rest } = object;
  const labels = { ...(isObject(metadata["labels"]) ? metadata["labels"] : {}), ...DEFAULTS_LABEL };
  return {
    kind: known.kind,
    object: {
      ...rest,
      apiVersion,
      metadata: { ...metadata, labels },
    } as unknown as DefaultResource["object"],
  };
}

/** Reads the data of a ConfigMap. */
export function readDefaults(data: { readonly [key: string]: string }): Defaults {
  const resources: DefaultResource[] = [];
  const problems: string[] = [];
  for (const [key, text] of Object.entries(data)) {
    let entry: DefaultResource | string;
    try {
      entry = readEntry(text);
    } catch (error) {
      entry = `it cannot be read: ${yamlFaultText(error as Error)}`;
    }
    if (typeof entry === "string") problems.push(`${key}: ${entry}`);
    else resources.push(entry);
  }
  const rank = ({ kind }: DefaultResource) => kind === "PolicyServer" ? 0 : 1;
  return { resources: resources.sort((a, b) => rank(a) - rank(b)), problems };
}
