/** What the end-to-end scenarios install and apply, as manifests. */
import process from "node:process";
import { RUNTIMES } from "../../deploy/images/components.ts";
import { BUSYBOX_IMAGE } from "../cluster/node/node.ts";

// deno-lint-ignore no-explicit-any
export type Any = any;
export const NAMESPACE = "kubewarden";
/** Images of this runtime are what is installed. */
export const RUNTIME = "bun" in process.versions ? RUNTIMES[1]! : RUNTIMES[0]!;
export const serverImage = `ghcr.io/portreeve/policy-server:v0.1.0${RUNTIME === "node" ? "" : "-bun"}`;

export type PodOptions = {
  readonly name?: string;
  readonly privileged?: boolean;
  readonly namespace?: string;
  readonly labels?: { readonly [name: string]: string };
  readonly annotations?: { readonly [name: string]: string };
  /** Further members of the Pod's spec. */
  readonly spec?: Any;
};

/** A Pod that may run in a namespace with restricted Pod Security, unless it is told to be privileged. */
export function podManifest(
  name: string,
  { privileged = false, namespace = "default", labels = {}, annotations = {}, spec = {} }: PodOptions,
): Any {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace, labels, annotations },
    spec: {
      terminationGracePeriodSeconds: 0,
      containers: [{
        name: "main",
        image: BUSYBOX_IMAGE,
        command: ["sleep", "2147483647"],
        securityContext: privileged ? { privileged: true } : {
          allowPrivilegeEscalation: false,
          runAsNonRoot: true,
          runAsUser: 1000,
          capabilities: { drop: ["ALL"] },
        },
      }],
      ...spec,
    },
  };
}

/** The runtime as values of a chart that has the controller. */
export const imageValues = (): Any => ({
  image: { runtime: RUNTIME },
  auditScanner: { image: { runtime: RUNTIME } },
});

const RULES = [{
  apiGroups: [""],
  apiVersions: ["v1"],
  resources: ["pods"],
  operations: ["CREATE", "UPDATE"],
}];
const OUTSIDE = {
  matchExpressions: [{
    key: "kubernetes.io/metadata.name",
    operator: "NotIn",
    values: [NAMESPACE, "kube-system"],
  }],
};

/** The policy that nearly all scenarios use: no privileged Pods outside of the system's namespaces. */
export const privilegedPods = (spec: Any = {}, name = "privileged-pods"): Any => ({
  apiVersion: "policies.kubewarden.io/v1",
  kind: "ClusterAdmissionPolicy",
  metadata: { name },
  spec: {
    module: "registry://ghcr.io/kubewarden/tests/pod-privileged:v0.2.5",
    rules: RULES,
    mutating: false,
    namespaceSelector: OUTSIDE,
    ...spec,
  },
});

/** Another policy by name, module and the rest. */
export const policy = (kind: string, name: string, spec: Any, namespace?: string): Any => ({
  apiVersion: "policies.kubewarden.io/v1",
  kind,
  metadata: { name, ...(namespace === undefined ? {} : { namespace }) },
  spec: { rules: RULES, mutating: false, ...spec },
});

/** The same for a kind that reaches the whole cluster: it leaves the system's namespaces alone. */
export const clusterPolicy = (name: string, spec: Any): Any =>
  policy("ClusterAdmissionPolicy", name, { namespaceSelector: OUTSIDE, ...spec });

/** A PolicyServer of one pod. */
export const policyServer = (name: string, spec: Any = {}): Any => ({
  apiVersion: "policies.kubewarden.io/v1",
  kind: "PolicyServer",
  metadata: { name },
  spec: { image: serverImage, replicas: 1, ...spec },
});

export const configMap = (name: string, data: { readonly [key: string]: string }): Any => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace: NAMESPACE },
  data,
});
