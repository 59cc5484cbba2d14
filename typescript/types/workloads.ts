/**
 * Objects of Kubernetes, as far as most policies look at them. The interfaces of the package `kubernetes-types` go in their place:
 * `validate(request: AdmissionRequest<Deployment>)`.
 */

/** What every object has to say of itself. */
export interface ObjectMeta {
  /** The object's name; absent while the API server still has to make one up. */
  name?: string;
  /** The prefix of a name that the API server makes up. */
  generateName?: string;
  /** Absent for what belongs to the whole cluster. */
  namespace?: string;
  /** Labels by their names. */
  labels?: Record<string, string>;
  /** Annotations by their names. */
  annotations?: Record<string, string>;
  /** Whatever else there is. */
  [field: string]: unknown;
}

/** Any object. */
export interface KubernetesObject {
  /** `v1`, or the group and the version: `apps/v1`. */
  apiVersion?: string;
  /** The kind, for example `Pod`. */
  kind?: string;
  /** Name, labels and so on. */
  metadata?: ObjectMeta;
  /** Whatever else there is. */
  [field: string]: unknown;
}

/** A container, be it an ordinary, an init or an ephemeral one. */
export interface Container {
  /** Unique in its pod. */
  name: string;
  /** The image's reference. */
  image?: string;
  /** What it may use of processor time and memory. */
  resources?: {
    requests?: Record<string, string>;
    limits?: Record<string, string>;
    [field: string]: unknown;
  };
  /** What it may do on its node. */
  securityContext?: {
    privileged?: boolean;
    runAsNonRoot?: boolean;
    runAsUser?: number;
    readOnlyRootFilesystem?: boolean;
    allowPrivilegeEscalation?: boolean;
    capabilities?: { add?: string[]; drop?: string[] };
    [field: string]: unknown;
  };
  /** Whether it lives. */
  livenessProbe?: Record<string, unknown>;
  /** Whether it can be sent requests. */
  readinessProbe?: Record<string, unknown>;
  /** Whatever else there is. */
  [field: string]: unknown;
}

/** What a pod is made of. */
export interface PodSpec {
  /** The containers that do the work. */
  containers?: Container[];
  /** The containers that run before. */
  initContainers?: Container[];
  /** The containers that were added for looking into a running pod. */
  ephemeralContainers?: Container[];
  /** Whose rights it has at the API server. */
  serviceAccountName?: string;
  /** Whether it shares its node's network. */
  hostNetwork?: boolean;
  /** Whether it sees its node's processes. */
  hostPID?: boolean;
  /** Whether it shares its node's IPC. */
  hostIPC?: boolean;
  /** Whatever else there is. */
  [field: string]: unknown;
}

/** A pod. */
export interface Pod extends KubernetesObject {
  /** What it is made of. */
  spec?: PodSpec;
}
