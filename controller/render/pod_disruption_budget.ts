/** The PodDisruptionBudget of a PolicyServer (spec/controller.md §5.3). */
import type { PolicyServer } from "../../crd/types.ts";
import type { PodDisruptionBudget } from "../types/objects.ts";
import { commonLabels, ownedMetadata, PART_OF, POLICY_SERVER_LABEL, serverObjectName } from "./names.ts";

/** The budget, or `undefined` when none is wanted. Zero counts as set; of both, `minAvailable` wins. */
export function renderPodDisruptionBudget(
  server: PolicyServer,
  namespace: string,
): PodDisruptionBudget | undefined {
  const { minAvailable, maxUnavailable } = server.spec;
  if (minAvailable === undefined && maxUnavailable === undefined) return undefined;
  const { name } = server.metadata;
  return {
    apiVersion: "policy/v1",
    kind: "PodDisruptionBudget",
    metadata: { ...ownedMetadata(server, namespace), labels: commonLabels(name) },
    spec: {
      selector: {
        matchLabels: {
          "app.kubernetes.io/instance": serverObjectName(name),
          ...PART_OF,
          [POLICY_SERVER_LABEL]: name,
        },
      },
      ...(minAvailable !== undefined ? { minAvailable } : { maxUnavailable }),
    },
  };
}
