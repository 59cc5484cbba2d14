/** What a policy may ask of its host. All calls wait for their answer; one that fails, or is not granted, throws `HostError`. */

/** One object of the cluster. */
export interface ResourceQuery {
  /** `v1`, or the group and the version. */
  readonly apiVersion: string;
  /** The kind, for example `Namespace`. */
  readonly kind: string;
  /** The object's name. */
  readonly name: string;
  /** The namespace, unless the object belongs to the whole cluster. */
  readonly namespace?: string;
  /** Whether the API server is asked each time; otherwise the host may remember the answer for some seconds. */
  readonly disableCache?: boolean;
}

/** Objects of the cluster. */
export interface ResourcesQuery {
  /** `v1`, or the group and the version. */
  readonly apiVersion: string;
  /** The kind, for example `Ingress`. */
  readonly kind: string;
  /** Only of this namespace. */
  readonly namespace?: string;
  /** For example `app=web`. */
  readonly labelSelector?: string;
  /** For example `metadata.name=web`. */
  readonly fieldSelector?: string;
}

/** A question to the API server's authorizer. */
export interface AccessQuery {
  /** Whose rights. */
  readonly user: string;
  /** The user's groups. */
  readonly groups?: readonly string[];
  /** The plural, for example `pods`. */
  readonly resource: string;
  /** For example `create`. */
  readonly verb: string;
  /** Empty for the core group. */
  readonly group?: string;
  /** Of one object. */
  readonly name?: string;
  /** In one namespace. */
  readonly namespace?: string;
  /** For example `exec`. */
  readonly subresource?: string;
  /** For example `v1`. */
  readonly version?: string;
}

/** A certificate: PEM as text, or DER as bytes. */
export type CertificateText = string | Uint8Array;

/** Who has to have signed an image. All that is named has to. */
export type ImageSigners =
  | { readonly publicKeys: readonly string[] }
  | { readonly keyless: readonly { readonly issuer: string; readonly subject: string }[] }
  | { readonly keylessPrefix: readonly { readonly issuer: string; readonly urlPrefix: string }[] }
  | { readonly githubActions: { readonly owner: string; readonly repository?: string } };

/**
 * The host. What it can do has a function each (`getResource(host, …)`), so that a policy's module holds only those that it uses.
 */
export interface Host {
  /** Any capability, by its names (`oci`, `v1/manifest_digest`); gives what the host answers, read as JSON. */
  call(namespace: string, operation: string, payload: unknown): unknown;
}

/** What carries a call: names and the payload as JSON, to the answer as JSON. Throws `HostError`. */
export type HostTransport = (namespace: string, operation: string, payload: string) => string;
