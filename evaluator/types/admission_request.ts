/** Parts of an admission request that the library's users and authors of policies see alike. */

/** A kind of objects by its group and version; `group` is empty for the core API. */
export interface GroupVersionKind {
  /** The API group, as in `apps`. */
  readonly group: string;
  /** The version, as in `v1`. */
  readonly version: string;
  /** The kind, as in `Deployment`. */
  readonly kind: string;
}

/** A resource by its group and version; `group` is empty for the core API. */
export interface GroupVersionResource {
  /** The API group, as in `apps`. */
  readonly group: string;
  /** The version, as in `v1`. */
  readonly version: string;
  /** The resource as paths name it, as in `deployments`. */
  readonly resource: string;
}

/** Who makes the request. */
export interface UserInfo {
  /** The name, as in `alice` or `system:serviceaccount:kube-system:default`. */
  readonly username?: string;
  /** A unique id, if there is one. */
  readonly uid?: string;
  /** The groups that the user is in. */
  readonly groups?: readonly string[];
  /** What the authenticator says besides. */
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}
