/** Exchanges between policies and their host, as sessions record them (`spec/cli.md §8`). */
import { isObject, type JsonObject } from "../../program/types/json_object.ts";
import { own } from "../../program/types/own.ts";
import { isMap, parseDocument, stringifyYaml } from "../../deps.ts";
import { CliError } from "../types/command.ts";
import type { Exchange, ExchangeRequest, ExchangeResponse } from "../types/exchange.ts";
import { yamlFaultAt } from "../../program/types/yaml_fault.ts";

const LIST_FIELDS = ["api_version", "kind", "label_selector", "field_selector", "field_masks"];

const pick = (value: unknown, names: readonly string[], presets: JsonObject = {}): JsonObject =>
  Object.fromEntries(
    names.map((
      name,
    ) => [name, (isObject(value) ? own(value, name) : undefined) ?? own(presets, name) ?? null]),
  );

function sigstore(value: unknown): ExchangeRequest {
  if (!isObject(value)) return { variant: "SigstorePubKeyVerify", fields: {} };
  // v2 names its kind inside, v1 outside.
  const { type, ...inside } = value;
  const [variant, fields] = typeof type === "string" ? [type, inside] : Object.entries(value)[0] ?? ["", {}];
  return { variant, fields: isObject(fields) ? fields : {} };
}

const image = (variant: string) => (value: unknown): ExchangeRequest => ({
  variant,
  fields: { image: value },
});

const READERS: Readonly<Record<string, (value: unknown) => ExchangeRequest>> = {
  "oci/v1/manifest_digest": image("OciManifestDigest"),
  "oci/v1/oci_manifest": image("OciManifest"),
  "oci/v1/oci_manifest_config": image("OciManifestAndConfig"),
  "oci/v1/verify": sigstore,
  "oci/v2/verify": sigstore,
  "net/v1/dns_lookup_host": (value) => ({ variant: "DNSLookupHost", fields: { host: value } }),
  "crypto/v1/is_certificate_trusted": (value) => ({
    variant: "CryptoIsCertificateTrusted",
    fields: { request: pick(value, ["cert", "cert_chain", "not_after"]) },
  }),
  "kubernetes/list_resources_by_namespace": (value) => ({
    variant: "KubernetesListResourceNamespace",
    fields: pick(value, ["api_version", "kind", "namespace", ...LIST_FIELDS.slice(2)]),
  }),
  "kubernetes/list_resources_all": (value) => ({
    variant: "KubernetesListResourceAll",
    fields: pick(value, LIST_FIELDS),
  }),
  "kubernetes/get_resource": (value) => ({
    variant: "KubernetesGetResource",
    fields: pick(value, ["api_version", "kind", "name", "namespace", "disable_cache", "field_masks"], {
      disable_cache: false,
    }),
  }),
  "kubernetes/can_i": (value) => {
    const review = isObject(value) ? value["subject_access_review"] : undefined;
    const attributes = isObject(review)
      ? review["resource_attributes"] ?? review["resourceAttributes"]
      : undefined;
    return {
      variant: "KubernetesCanI",
      fields: {
        request: {
          ...pick(review, ["groups"]),
          resource_attributes: attributes ?? null,
          ...pick(review, ["user"]),
        },
        ...pick(value, ["disable_cache"], { disable_cache: false }),
      },
    };
  },
};

/** The capabilities whose calls can be recorded. */
export const RECORDED_CAPABILITIES: readonly string[] = Object.keys(READERS);

/** A host call as an exchange's request. Throws Error for a payload that is no JSON. */
export function exchangeRequest(path: string, payload: Uint8Array): ExchangeRequest {
  return own(READERS, path)!(JSON.parse(new TextDecoder().decode(payload)));
}

/** What Rego policies get listed for their inventory. */
export const listAllRequest = (
  resource: { readonly apiVersion: string; readonly kind: string },
): ExchangeRequest => ({
  variant: "KubernetesListResourceAll",
  fields: {
    api_version: resource.apiVersion,
    kind: resource.kind,
    label_selector: null,
    field_selector: null,
    field_masks: null,
  },
});

export const pluralNameRequest = (
  resource: { readonly apiVersion: string; readonly kind: string },
): ExchangeRequest => ({
  variant: "KubernetesGetResourcePluralName",
  fields: { api_version: resource.apiVersion, kind: resource.kind },
});

/** A request as session files hold it. */
export const requestYaml = ({ variant, fields }: ExchangeRequest): string =>
  `!${variant}\n${stringifyYaml(fields, { indentSeq: false, lineWidth: 0 })}`;

/** A session file's text. */
export function sessionText(exchanges: readonly Exchange[]): string {
  if (exchanges.length === 0) return "[]\n";
  return stringifyYaml(
    exchanges.map(({ request, response }) => ({
      type: "Exchange",
      request: requestYaml(request),
      response,
    })),
    { indentSeq: false, singleQuote: true, lineWidth: 0 },
  );
}

function readRequest(text: string): ExchangeRequest {
  const document = parseDocument(text, { logLevel: "error", prettyErrors: false });
  // What was recorded may be a Secret.
  if (document.errors.length > 0) throw new Error(yamlFaultAt(text, document.errors[0]!));
  const value: unknown = document.toJS();
  const tag = document.contents?.tag;
  if (isMap(document.contents) && tag?.startsWith("!") && !tag.startsWith("!!")) {
    return { variant: tag.slice(1), fields: value as JsonObject };
  }
  if (isObject(value) && Object.keys(value).length === 1) {
    const [variant, fields] = Object.entries(value)[0]!;
    if (isObject(fields)) return { variant, fields };
  }
  throw new Error("a request is a YAML tag that names it, with its fields");
}

function readResponse(value: unknown): ExchangeResponse {
  const { type, payload, message } = isObject(value) ? value : {};
  if (type === "Success" && typeof payload === "string") return { type, payload };
  if (type === "Error" && typeof message === "string") return { type, message };
  throw new Error("a response is `type: Success` with a `payload`, or `type: Error` with a `message`");
}

/** Reads a session file's text; `path` names it in errors. Throws {@link CliError}. */
export function readSession(text: string, path: string): readonly Exchange[] {
  let entries: unknown;
  try {
    const document = parseDocument(text, { logLevel: "error", prettyErrors: false });
    for (const fault of document.errors) throw fault;
    entries = document.toJS() ?? [];
  } catch (error) {
    throw new CliError(`Cannot parse the session file ${path}: ${yamlFaultAt(text, error as Error)}`);
  }
  if (!Array.isArray(entries)) {
    throw new CliError(`Cannot parse the session file ${path}: it is no list of exchanges`);
  }
  return entries.map((entry: unknown, index) => {
    try {
      const { type, request, response } = isObject(entry) ? entry : {};
      if (type !== "Exchange" || typeof request !== "string") {
        throw new Error("`type: Exchange` and a `request` are missing");
      }
      return { request: readRequest(request), source: request, response: readResponse(response) };
    } catch (error) {
      throw new CliError(
        `Cannot parse the session file ${path}: exchange ${index + 1}: ${(error as Error).message}`,
      );
    }
  });
}

/** A value with sorted members, absent and null ones left out: two requests that ask the same are the same. */
function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (!isObject(value)) return value;
  const members = Object.entries(value).filter(([, member]) => member !== null && member !== undefined);
  return Object.fromEntries(
    members.sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, member]) => [name, canonical(member)]),
  );
}

/** Whether two requests ask the same. Instants are never the same again, so they don't count. */
export function sameRequest(a: ExchangeRequest, b: ExchangeRequest): boolean {
  const text = ({ variant, fields }: ExchangeRequest) =>
    JSON.stringify([variant, canonical({ ...fields, since: undefined, field_masks: masksOf(fields) })]);
  return text(a) === text(b);
}

/** Field masks are a set. */
function masksOf({ field_masks: masks }: JsonObject): unknown {
  return Array.isArray(masks) ? [...masks as readonly string[]].sort() : masks;
}

/** A request in one line, for messages. */
export const requestText = ({ variant, fields }: ExchangeRequest): string =>
  `${variant} ${JSON.stringify(canonical(fields))}`;
