/** What a policy is asked. */
import type {
  GroupVersionKind,
  GroupVersionResource,
  UserInfo,
} from "../../evaluator/types/admission_request.ts";
import type { KubernetesObject } from "./workloads.ts";

export type {
  GroupVersionKind,
  GroupVersionResource,
  UserInfo,
} from "../../evaluator/types/admission_request.ts";

/** An admission request. `Object` is what `object` and `oldObject` hold. */
export interface AdmissionRequest<Object = KubernetesObject> {
  /** Of this request. */
  readonly uid: string;
  /** The kind of the object. */
  readonly kind: GroupVersionKind;
  /** The resource that is asked for. */
  readonly resource: GroupVersionResource;
  /** For example `status` or `scale`. */
  readonly subResource?: string;
  /** The kind as the user asked for it, before the API server converted it. */
  readonly requestKind?: GroupVersionKind;
  /** The resource as the user asked for it. */
  readonly requestResource?: GroupVersionResource;
  /** The subresource as the user asked for it. */
  readonly requestSubResource?: string;
  /** The object's name, when there is one already. */
  readonly name?: string;
  /** The namespace, unless the object belongs to the whole cluster. */
  readonly namespace?: string;
  /** What is done with the object. */
  readonly operation: "CREATE" | "UPDATE" | "DELETE" | "CONNECT";
  /** Who asks. */
  readonly userInfo: UserInfo;
  /** The object as it is to be; absent when it is deleted. May be changed, and given to `mutate`. */
  readonly object?: Object;
  /** The object as it is; absent when it is created. */
  readonly oldObject?: Object;
  /** Whether nothing is going to be stored. */
  readonly dryRun?: boolean;
  /** Options of the operation. */
  readonly options?: unknown;
}
