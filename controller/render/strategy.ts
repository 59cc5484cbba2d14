/** How a policy server's pods are replaced (spec/controller.md §10, sharp edge 23). */
import type { PolicyServer } from "../../crd/types.ts";
import type { Deployment } from "../types/objects.ts";
import type { ControllerSettings } from "../types/settings.ts";
import { covers } from "./differences.ts";
import { needsNodeEach } from "./host_network.ts";
import { readinessPort, webhookPort } from "./ports.ts";

type Strategy = { readonly [key: string]: unknown };

const OLD_POD_FIRST: Strategy = { type: "RollingUpdate", rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } };
const NEW_POD_FIRST: Strategy = { type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } };

/** The ports that pods of a Deployment bind on their node; none where they have a network of their own. */
function portsOnNode({ spec }: Deployment): readonly number[] {
  const pod = spec?.template?.spec;
  if (pod?.hostNetwork !== true) return [];
  const names = ["KUBEWARDEN_PORT", "KUBEWARDEN_READINESS_PROBE_PORT"];
  return (pod.containers?.[0]?.env ?? []).filter(({ name }) => names.includes(name)).map(({ value }) =>
    Number(value)
  );
}

/** Whether all pods there are run the current template and are available. */
function isComplete({ metadata, spec, status = {} }: Deployment): boolean {
  const { observedGeneration = 0, replicas = 0, updatedReplicas = 0, availableReplicas = 0 } = status;
  return observedGeneration >= (metadata.generation ?? 0) && replicas === updatedReplicas &&
    updatedReplicas === availableReplicas && availableReplicas === (spec?.replicas ?? 1);
}

/**
 * On the host's network the old pod holds its ports while the new one starts, so the old pod goes first, and for a moment nobody
 * answers. Where they don't want the same ports (host network is turned on, or the ports change) the new pod comes first; this
 * holds until that rollout is complete. Not where each pod needs a node of its own: there may be none for one pod more.
 */
export function rolloutStrategy(
  server: PolicyServer,
  settings: ControllerSettings,
  template: unknown,
  live: Deployment | undefined,
): Strategy {
  if (!settings.hostNetwork) return { type: "RollingUpdate" };
  if (live === undefined) return OLD_POD_FIRST;
  const complete = isComplete(live);
  if (covers(live.spec?.template, template)) {
    return !complete && live.spec?.strategy?.rollingUpdate?.maxUnavailable === 0
      ? NEW_POD_FIRST
      : OLD_POD_FIRST;
  }
  const wanted = [webhookPort(server), readinessPort(server)];
  const free = !portsOnNode(live).some((port) => wanted.includes(port)) &&
    ![server.spec.affinity, live.spec?.template?.spec?.affinity].some((rules) =>
      needsNodeEach(server, rules)
    );
  return complete && free ? NEW_POD_FIRST : OLD_POD_FIRST;
}
