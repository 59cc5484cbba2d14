/** What a suite's declared objects and answers have to say to a host call. */
import { own } from "../../program/types/own.ts";
import { type DocumentValue, jsonText } from "../../policy_server/types/document.ts";
import type { DeclaredAnswer } from "../types/suite.ts";
import type { ExchangeRequest } from "../types/exchange.ts";
import { requestText } from "./exchange.ts";

type Json = Readonly<Record<string, unknown>>;

interface ClusterObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata?: {
    readonly name?: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
}

/** Which capability an exchange's request is a call of. */
const CALLS: Readonly<Record<string, readonly string[]>> = {
  OciManifestDigest: ["oci/v1/manifest_digest"],
  OciManifest: ["oci/v1/oci_manifest"],
  OciManifestAndConfig: ["oci/v1/oci_manifest_config"],
  SigstorePubKeyVerify: ["oci/v1/verify", "oci/v2/verify"],
  SigstoreKeylessVerify: ["oci/v1/verify", "oci/v2/verify"],
  SigstoreKeylessPrefixVerify: ["oci/v2/verify"],
  SigstoreGithubActionsVerify: ["oci/v2/verify"],
  SigstoreCertificateVerify: ["oci/v2/verify"],
  DNSLookupHost: ["net/v1/dns_lookup_host"],
  CryptoIsCertificateTrusted: ["crypto/v1/is_certificate_trusted"],
  KubernetesListResourceNamespace: ["kubernetes/list_resources_by_namespace"],
  KubernetesListResourceAll: ["kubernetes/list_resources_all"],
  KubernetesGetResource: ["kubernetes/get_resource"],
  KubernetesCanI: ["kubernetes/can_i"],
};

/** Whether `given` has everything that `wanted` says. */
function contains(given: unknown, wanted: unknown): boolean {
  if (Array.isArray(wanted)) {
    return Array.isArray(given) && given.length === wanted.length &&
      wanted.every((one, index) => contains(given[index], one));
  }
  if (typeof wanted !== "object" || wanted === null) return (given ?? null) === wanted;
  return typeof given === "object" && given !== null &&
    Object.entries(wanted).every(([name, value]) => contains(own(given as Json, name), value));
}

const wantedOf = (value: DocumentValue | undefined): unknown =>
  value === undefined ? {} : JSON.parse(jsonText(value)) as unknown;

/** Labels as selectors of the API name them: `a=b`, `a==b`, `a!=b`, `a`, `!a`, `a in (b, c)`, `a notin (b, c)`. */
export function matchesLabels(selector: string, given: Readonly<Record<string, string>>): boolean {
  const labels = new Map(Object.entries(given));
  const requirements = selector.match(/[^,(]+(?:\([^)]*\))?/g) ?? [];
  return requirements.map((one) => one.trim()).filter((one) => one !== "").every((requirement) => {
    const set = /^(\S+)\s+(in|notin)\s*\(([^)]*)\)$/.exec(requirement);
    if (set) {
      const values = set[3]!.split(",").map((value) => value.trim());
      const inside = labels.has(set[1]!) && values.includes(labels.get(set[1]!)!);
      return set[2] === "in" ? inside : !inside;
    }
    const equal = /^([^!=\s]+)\s*(==?|!=)\s*(\S*)$/.exec(requirement);
    if (equal) return (labels.get(equal[1]!) === equal[3]) === (equal[2] !== "!=");
    return requirement.startsWith("!") ? !labels.has(requirement.slice(1).trim()) : labels.has(requirement);
  });
}

function fromObjects({ variant, fields }: ExchangeRequest, objects: readonly string[]): string | undefined {
  const wanted = objects.map((json) => ({ json, object: JSON.parse(json) as ClusterObject })).filter((
    { object },
  ) => object.apiVersion === fields["api_version"] && object.kind === fields["kind"]);
  const namespace = fields["namespace"] as string | null | undefined;
  if (variant === "KubernetesGetResource") {
    const found = wanted.find(({ object: { metadata } }) =>
      metadata?.name === fields["name"] && (metadata?.namespace ?? null) === (namespace ?? null)
    );
    if (found !== undefined) return found.json;
    const within = namespace == null ? "None" : `Some(${JSON.stringify(namespace)})`;
    throw new Error(
      `Cannot find ${String(fields["api_version"])}/${String(fields["kind"])} named '${
        String(fields["name"])
      }' inside of namespace '${within}'`,
    );
  }
  if (fields["field_selector"]) {
    throw new Error("declared objects can't be selected by field: declare an answer instead");
  }
  const selector = (fields["label_selector"] as string | null) ?? "";
  const items = wanted.filter(({ object: { metadata } }) =>
    (variant === "KubernetesListResourceAll" || metadata?.namespace === namespace) &&
    matchesLabels(selector, metadata?.labels ?? {})
  );
  return `{"apiVersion":${JSON.stringify(fields["api_version"])},"kind":${
    JSON.stringify(`${String(fields["kind"])}List`)
  },"metadata":{"resourceVersion":""},"items":[${items.map(({ json }) => json).join(",")}]}`;
}

const KUBERNETES = ["KubernetesGetResource", "KubernetesListResourceAll", "KubernetesListResourceNamespace"];

/** The payload that answers a call. Throws Error with what the policy is told instead. */
export function declaredAnswer(
  request: ExchangeRequest,
  objects: readonly string[],
  answers: readonly DeclaredAnswer[],
): string {
  const calls = own(CALLS, request.variant) ?? [];
  const found = answers.find((one) =>
    calls.includes(one.call) && contains(request.fields, wantedOf(one.with))
  );
  if (found !== undefined) {
    if ("error" in found.answer) throw new Error(found.answer.error);
    return found.answer.payload;
  }
  // Of the API only the plural is asked; objects of one kind share it, whatever it is.
  if (request.variant === "KubernetesGetResourcePluralName") {
    return JSON.stringify(`${String(request.fields["kind"]).toLowerCase()}s`);
  }
  const payload = KUBERNETES.includes(request.variant) ? fromObjects(request, objects) : undefined;
  if (payload === undefined) throw new Error(`the suite declares no answer to ${requestText(request)}`);
  return payload;
}
