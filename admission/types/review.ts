/** The requests and answers of Kubernetes' admission webhooks (`admission.k8s.io/v1`), as this library takes and gives them. */
import type {
  GroupVersionKind,
  GroupVersionResource,
  UserInfo,
} from "../../evaluator/types/admission_request.ts";
import type { AdmissionStatus } from "../../evaluator/types/evaluation.ts";

export type {
  GroupVersionKind,
  GroupVersionResource,
  UserInfo,
} from "../../evaluator/types/admission_request.ts";

/** The `request` of an AdmissionReview. Members that the API does not know are not passed on to policies. */
export interface AdmissionRequest {
  /** Comes back in the answer. */
  readonly uid: string;
  /** The kind of the object as the webhook gets it. */
  readonly kind: GroupVersionKind;
  /** The resource as the webhook gets it. */
  readonly resource: GroupVersionResource;
  /** What is to be done. */
  readonly operation: "CREATE" | "UPDATE" | "DELETE" | "CONNECT";
  /** Who wants it. */
  readonly userInfo: UserInfo;
  /** The subresource, as in `scale`. */
  readonly subResource?: string | null;
  /** The kind of the object as it was sent, before a conversion. */
  readonly requestKind?: GroupVersionKind | null;
  /** The resource as it was asked for. */
  readonly requestResource?: GroupVersionResource | null;
  /** The subresource as it was asked for. */
  readonly requestSubResource?: string | null;
  /** The object's name; absent where the server is to make one. */
  readonly name?: string | null;
  /** The object's namespace, if it has one. */
  readonly namespace?: string | null;
  /** The object; `null` for DELETE. */
  readonly object?: unknown;
  /** The object as it is now, for UPDATE and DELETE. */
  readonly oldObject?: unknown;
  /** Whether nothing will be stored. */
  readonly dryRun?: boolean | null;
  /** The options of the operation, as in `CreateOptions`. */
  readonly options?: unknown;
}

/** What an API server sends to a webhook. */
export interface AdmissionReview {
  /** `admission.k8s.io/v1`. */
  readonly apiVersion?: string;
  /** `AdmissionReview`. */
  readonly kind?: string;
  /** What is to be decided. */
  readonly request: AdmissionRequest;
}

/** The `response` of an answer. */
export interface AdmissionReviewResponse {
  /** The request's. */
  readonly uid: string;
  /** Whether the request may pass. */
  readonly allowed: boolean;
  /** `JSONPatch` where there is a patch. */
  readonly patchType?: "JSONPatch";
  /** A JSON Patch (RFC 6902) in base64. */
  readonly patch?: string;
  /** Why, and with which code. */
  readonly status?: AdmissionStatus;
  /** For the API server's audit log. */
  readonly auditAnnotations: Readonly<Record<string, string>> | null;
  /** For the client. */
  readonly warnings: readonly string[] | null;
}

/** What the webhook answers; of raw policies, `apiVersion` and `kind` are absent. */
export interface AdmissionReviewAnswer {
  /** `admission.k8s.io/v1`. */
  readonly apiVersion?: "admission.k8s.io/v1";
  /** `AdmissionReview`. */
  readonly kind?: "AdmissionReview";
  /** The decision. */
  readonly response: AdmissionReviewResponse;
}
