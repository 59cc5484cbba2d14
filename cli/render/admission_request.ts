/** A made-up AdmissionRequest (`spec/cli.md §16.3`). */
import type { Operation } from "../types/admission.ts";

/** An object as it is admitted. */
export interface AdmittedObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata?: { readonly name?: string; readonly namespace?: string };
}

/** What is known of the resource of a kind. */
export interface Resource {
  readonly name: string;
  readonly namespaced: boolean;
}

export interface RequestOptions {
  readonly operation: Operation;
  /** What is known of the kind. */
  readonly resource: Resource | undefined;
  readonly user?: string | undefined;
  readonly groups?: readonly string[] | undefined;
  /** Of an object that names none; without it, `default` where the kind is known to need one. */
  readonly namespace?: string | undefined;
  /** Which of several requests it is: each has a uid of its own. */
  readonly index?: number;
}

/** The uid of the Kubernetes documentation's example, its end counted up. */
const uid = (index: number): string => `705ab4f5-6393-11e8-b7cc-42010a8${String(2 + index).padStart(5, "0")}`;

const UNKNOWN_PLURAL =
  "this-is-the-plural-name-of-the-resource-this-information-is-not-used-by-policies-and-requires-a-connection-to-an-" +
  "api-server-to-be-obtained";

/** Group and version of an `apiVersion`. */
export function groupVersion(apiVersion: string): { readonly group: string; readonly version: string } {
  const slash = apiVersion.indexOf("/");
  return slash < 0
    ? { group: "", version: apiVersion }
    : { group: apiVersion.slice(0, slash), version: apiVersion.slice(slash + 1) };
}

/** The request of one operation. At least one of the two objects is there. */
export function admissionRequest(
  objects: { readonly object?: AdmittedObject | undefined; readonly oldObject?: AdmittedObject | undefined },
  options: RequestOptions,
): object {
  const { object, oldObject } = objects;
  const { apiVersion, kind, metadata } = (object ?? oldObject)!;
  const { group, version } = groupVersion(apiVersion);
  const { operation, resource, user, groups } = options;
  const kindOf = { group, version, kind };
  const resourceOf = { group, version, resource: resource?.name ?? UNKNOWN_PLURAL };
  const namespace = metadata?.namespace ??
    (resource?.namespaced === false
      ? undefined
      : options.namespace ?? (resource?.namespaced ? "default" : undefined));
  return {
    uid: uid(options.index ?? 0),
    kind: kindOf,
    resource: resourceOf,
    requestKind: kindOf,
    requestResource: resourceOf,
    ...(metadata?.name !== undefined && { name: metadata.name }),
    ...(namespace !== undefined && { namespace }),
    operation,
    userInfo: { groups: groups ?? ["system:masters"], username: user ?? "test-user" },
    ...(object !== undefined && { object }),
    ...(oldObject !== undefined && { oldObject }),
  };
}
