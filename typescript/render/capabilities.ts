/** What a host can do, in the words of `spec/evaluator.md §5`. All of it throws `HostError` when the host can't, or may not. */
import type {
  AccessQuery,
  CertificateText,
  Host,
  ImageSigners,
  ResourceQuery,
  ResourcesQuery,
} from "../types/host.ts";

/** One object of the cluster. The policy's metadata names the kinds that it reads under `contextAwareResources`. */
export function getResource<Object>(host: Host, query: ResourceQuery): Object {
  const { apiVersion, disableCache = false, ...rest } = query;
  return host.call("kubernetes", "get_resource", {
    api_version: apiVersion,
    ...rest,
    disable_cache: disableCache,
  }) as Object;
}

/** All objects of a kind, in no particular order. */
export function listResources<Object>(host: Host, query: ResourcesQuery): readonly Object[] {
  const { apiVersion, kind, namespace, labelSelector, fieldSelector } = query;
  const operation = namespace === undefined ? "list_resources_all" : "list_resources_by_namespace";
  const list = host.call("kubernetes", operation, {
    api_version: apiVersion,
    kind,
    namespace,
    label_selector: labelSelector,
    field_selector: fieldSelector,
  });
  return (list as { readonly items: readonly Object[] }).items;
}

/** Whether the API server would let somebody do something. */
export function canI(host: Host, { user, groups, ...attributes }: AccessQuery): boolean {
  const status = host.call("kubernetes", "can_i", {
    subject_access_review: { user, groups, resource_attributes: attributes },
    disable_cache: false,
  });
  return (status as { readonly allowed: boolean }).allowed;
}

/** The digest that an image's reference has now, for example `sha256:…`. */
export function manifestDigest(host: Host, image: string): string {
  return (host.call("oci", "v1/manifest_digest", image) as { readonly digest: string }).digest;
}

/** The manifest of an image, or the index of several. */
export function imageManifest(host: Host, image: string): unknown {
  return host.call("oci", "v1/oci_manifest", image);
}

/** The manifest of an image with its digest and its configuration. */
export function imageConfig(
  host: Host,
  image: string,
): { readonly manifest: unknown; readonly digest: string; readonly config: unknown } {
  return host.call("oci", "v1/oci_manifest_config", image) as ReturnType<typeof imageConfig>;
}

/** The digest of an image that all of `signers` signed, each with these annotations. */
export function verifyImage(
  host: Host,
  image: string,
  signers: ImageSigners,
  annotations?: Readonly<Record<string, string>>,
): string {
  const answer = host.call("oci", "v2/verify", { ...verification(signers), image, annotations });
  return (answer as { readonly digest: string }).digest;
}

function verification(signers: ImageSigners): Readonly<Record<string, unknown>> {
  if ("publicKeys" in signers) return { type: "SigstorePubKeyVerify", pub_keys: signers.publicKeys };
  if ("keyless" in signers) return { type: "SigstoreKeylessVerify", keyless: signers.keyless };
  if ("keylessPrefix" in signers) {
    const prefixes = signers.keylessPrefix.map(({ issuer, urlPrefix }) => ({
      issuer,
      url_prefix: urlPrefix,
    }));
    return { type: "SigstoreKeylessPrefixVerify", keyless_prefix: prefixes };
  }
  const { owner, repository } = signers.githubActions;
  return { type: "SigstoreGithubActionsVerify", owner, repo: repository };
}

/** The addresses of a host. */
export function lookupHost(host: Host, name: string): readonly string[] {
  return (host.call("net", "v1/dns_lookup_host", name) as { readonly ips: readonly string[] }).ips;
}

/**
 * Whether a certificate can be trusted. `chain` ends with the root; without one the well-known roots count. `notAfter` is the moment
 * at which it has to be valid, as RFC 3339; now if it is left out.
 */
export function isCertificateTrusted(
  host: Host,
  text: CertificateText,
  chain?: readonly CertificateText[],
  notAfter?: string,
): { readonly trusted: boolean; readonly reason: string } {
  return host.call("crypto", "v1/is_certificate_trusted", {
    cert: certificate(text),
    cert_chain: chain?.map(certificate) ?? null,
    not_after: notAfter ?? null,
  }) as ReturnType<typeof isCertificateTrusted>;
}

/** PEM is ASCII; other letters become bytes that the host refuses. */
const certificate = (text: CertificateText) =>
  typeof text === "string"
    ? { encoding: "Pem", data: Array.from(text, (letter) => letter.charCodeAt(0) & 0xff) }
    : { encoding: "Der", data: [...text] };
