/** A made-up AdmissionRequest (`spec/cli.md §16.3`). */

/** An object as it is admitted. */
export interface AdmittedObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata?: { readonly name?: string; readonly namespace?: string };
}

/** The uid of the Kubernetes documentation's example. */
const UID = "705ab4f5-6393-11e8-b7cc-42010a800002";
const UNKNOWN_PLURAL =
  "this-is-the-plural-name-of-the-resource-this-information-is-not-used-by-policies-and-requires-a-connection-to-an-" +
  "api-server-to-be-obtained";

/** The request that creates `object`; `resource` is what is known of its kind. */
export function admissionRequest(
  object: AdmittedObject,
  resource: { readonly name: string; readonly namespaced: boolean } | undefined,
): object {
  const { apiVersion, kind, metadata } = object;
  const slash = apiVersion.indexOf("/");
  const group = slash < 0 ? "" : apiVersion.slice(0, slash);
  const version = slash < 0 ? apiVersion : apiVersion.slice(slash + 1);
  const kindOf = { group, version, kind };
  const resourceOf = { group, version, resource: resource?.name ?? UNKNOWN_PLURAL };
  const namespace = metadata?.namespace ?? (resource?.namespaced ? "default" : undefined);
  return {
    uid: UID,
    kind: kindOf,
    resource: resourceOf,
    requestKind: kindOf,
    requestResource: resourceOf,
    ...(metadata?.name !== undefined && { name: metadata.name }),
    ...(namespace !== undefined && { namespace }),
    operation: "CREATE",
    userInfo: { groups: ["system:masters"], username: "test-user" },
    object,
  };
}
