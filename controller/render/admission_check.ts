/** What `helm test` puts into the cluster: a policy for Pods of one label, and two such Pods, of which it must reject one. */
import { API_GROUP, type ClusterAdmissionPolicy } from "../../crd/types.ts";
import type { KubeObject } from "../../kubernetes/types/object.ts";

const LABEL = "portreeve.helm-test";

/** A policy that looks at nothing but the Pods of this check. `id` is a DNS label. */
export function checkPolicy(id: string, module: string): ClusterAdmissionPolicy {
  return {
    apiVersion: `${API_GROUP}/v1`,
    kind: "ClusterAdmissionPolicy",
    metadata: { name: id },
    spec: {
      module,
      mode: "protect",
      mutating: false,
      // Holds for nothing but the Pods that the selector below lets through.
      failurePolicy: "Fail",
      backgroundAudit: false,
      settings: {},
      objectSelector: { matchLabels: { [LABEL]: id } },
      rules: [{ apiGroups: [""], apiVersions: ["v1"], resources: ["pods"], operations: ["CREATE"] }],
    },
  } as ClusterAdmissionPolicy;
}

/** A Pod that never runs: it is created as a dry run. But for `privileged` it is as restricted as Pods can be. */
export function checkPod(id: string, namespace: string, privileged: boolean): KubeObject {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: id, namespace, labels: { [LABEL]: id } },
    spec: {
      automountServiceAccountToken: false,
      securityContext: { runAsNonRoot: true, runAsUser: 65533, seccompProfile: { type: "RuntimeDefault" } },
      containers: [{
        name: "check",
        image: "registry.invalid/none",
        resources: { limits: { cpu: "1m", memory: "1Mi" } },
        securityContext: privileged ? { privileged: true } : {
          allowPrivilegeEscalation: false,
          capabilities: { drop: ["ALL"] },
          readOnlyRootFilesystem: true,
        },
      }],
    },
  } as KubeObject;
}
