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

export const OPERATIONS = ["CREATE", "UPDATE", "DELETE"] as const;
export type Operation = typeof OPERATIONS[number];

/** What is admitted: what comes, what goes, or both. */
export interface Subjects {
  readonly object?: AdmittedObject;
  readonly oldObject?: AdmittedObject;
}

/** Why these objects don't go with the operation; undefined when they do. */
export function operationFault(
  operation: Operation,
  object: boolean,
  oldObject: boolean,
): string | undefined {
  const [wantsObject, wantsOld] = [operation !== "DELETE", operation !== "CREATE"];
  if (object !== wantsObject) {
    return `${operation} operation ${wantsObject ? "requires" : "does not require"} an object`;
  }
  if (oldObject !== wantsOld) {
    return `${operation} operation ${wantsOld ? "requires" : "does not require"} an old_object`;
  }
  return undefined;
}

/** The group, version and kind of an object. */
export function groupVersionKind({ apiVersion, kind }: AdmittedObject) {
  const slash = apiVersion.indexOf("/");
  const [group, version] = slash < 0
    ? ["", apiVersion]
    : [apiVersion.slice(0, slash), apiVersion.slice(slash + 1)];
  return { group, version, kind };
}

/** The request about `subjects`, which go with the operation; `resource` is what is known of their kind. */
export function admissionRequest(
  operation: Operation,
  { object, oldObject }: Subjects,
  resource: { readonly name: string; readonly namespaced: boolean } | undefined,
): object {
  const subject = (object ?? oldObject)!;
  const kindOf = groupVersionKind(subject);
  const { group, version } = kindOf;
  const resourceOf = { group, version, resource: resource?.name ?? UNKNOWN_PLURAL };
  const { name, namespace: own } = subject.metadata ?? {};
  const namespace = own ?? (resource?.namespaced ? "default" : undefined);
  return {
    uid: UID,
    kind: kindOf,
    resource: resourceOf,
    requestKind: kindOf,
    requestResource: resourceOf,
    ...(name !== undefined && { name }),
    ...(namespace !== undefined && { namespace }),
    operation,
    userInfo: { groups: ["system:masters"], username: "test-user" },
    ...(object !== undefined && { object }),
    ...(oldObject !== undefined && { oldObject }),
  };
}
