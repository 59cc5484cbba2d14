/** The parts of Kubernetes' own objects that the controller reads and writes. */
import type { Affinity, LabelSelector, MatchCondition, Rule } from "../../crd/types.ts";
import type { KubeObject } from "../../kubernetes/types/object.ts";

export type ConfigMap = KubeObject & { readonly data?: { readonly [key: string]: string } };
/** `data` is in base64. */
export type Secret = KubeObject & {
  readonly type?: string;
  readonly data?: { readonly [key: string]: string };
};
export type Service = KubeObject & { readonly spec?: { readonly [key: string]: unknown } };
export type PodDisruptionBudget = KubeObject & { readonly spec?: { readonly [key: string]: unknown } };

export type Deployment = KubeObject & {
  readonly spec?: {
    readonly replicas?: number;
    readonly strategy?: { readonly rollingUpdate?: { readonly maxUnavailable?: number | string } };
    readonly template?: {
      readonly metadata?: { readonly annotations?: { readonly [key: string]: string } };
      readonly spec?: {
        readonly hostNetwork?: boolean;
        readonly affinity?: Affinity;
        readonly containers?: readonly {
          readonly env?: readonly { readonly name: string; readonly value?: string }[];
        }[];
      };
    };
  };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly replicas?: number;
    readonly updatedReplicas?: number;
    readonly availableReplicas?: number;
    readonly conditions?: readonly Condition[];
  };
};

export type ReplicaSet = KubeObject;

type Condition = {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
};

export type ContainerState = {
  readonly waiting?: { readonly reason?: string; readonly message?: string };
  readonly terminated?: {
    readonly message?: string;
    readonly exitCode?: number;
    readonly finishedAt?: string;
  };
};

export type Pod = KubeObject & {
  readonly status?: {
    readonly phase?: string;
    readonly conditions?: readonly Condition[];
    readonly containerStatuses?: readonly {
      readonly name: string;
      readonly state?: ContainerState;
      readonly lastState?: ContainerState;
    }[];
  };
};

export type Webhook = {
  readonly name: string;
  readonly clientConfig: {
    readonly caBundle?: string;
    readonly url?: string;
    readonly service?: {
      readonly name: string;
      readonly namespace: string;
      readonly path?: string;
      readonly port?: number;
    };
  };
  readonly rules?: readonly Rule[];
  readonly failurePolicy?: string;
  readonly matchPolicy?: string;
  readonly objectSelector?: LabelSelector;
  readonly namespaceSelector?: LabelSelector;
  readonly sideEffects?: string;
  readonly timeoutSeconds?: number;
  readonly admissionReviewVersions?: readonly string[];
  readonly matchConditions?: readonly MatchCondition[];
  readonly reinvocationPolicy?: string;
};

export type WebhookKind = "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration";
export type WebhookConfiguration = KubeObject & { readonly webhooks?: readonly Webhook[] };
