/**
 * What cannot work together on the host's network, where every pod binds its ports on the node (spec/controller.md §10). The
 * scheduler does not see these ports, so two pods that want the same one on one node fail at run time; here it is said before.
 */
import type { Affinity, LabelSelector, PodAffinityTerm, PolicyServer } from "../../crd/types.ts";
import type { ControllerSettings } from "../types/settings.ts";
import { commonLabels, POLICY_SERVER_LABEL } from "./names.ts";
import { readinessPort, webhookPort } from "./ports.ts";

const HOSTNAME = "kubernetes.io/hostname";
/** Labels that the charts give to the controller's pods. */
const CONTROLLER_LABELS = {
  "app.kubernetes.io/component": "controller",
  "app.kubernetes.io/part-of": "kubewarden",
} as const;

type Labels = { readonly [key: string]: string };

function podLabels(server: PolicyServer): Labels {
  const { name } = server.metadata;
  return {
    ...server.spec.labels,
    app: `kubewarden-policy-server-${name}`,
    [POLICY_SERVER_LABEL]: name,
    ...commonLabels(name),
  };
}

function selects(selector: LabelSelector | undefined, labels: Labels): boolean {
  // A term without a selector matches no pod.
  if (selector === undefined) return false;
  const labelOf = (key: string) => Object.hasOwn(labels, key) ? labels[key] : undefined;
  const exact = Object.entries(selector.matchLabels ?? {}).every(([key, value]) => labelOf(key) === value);
  return exact && (selector.matchExpressions ?? []).every(({ key, operator, values = [] }) => {
    const value = labelOf(key);
    switch (operator) {
      case "In":
        return value !== undefined && values.includes(value);
      case "NotIn":
        return value === undefined || !values.includes(value);
      case "Exists":
        return value !== undefined;
      case "DoesNotExist":
        return value === undefined;
      default:
        return false;
    }
  });
}

/** Whether the affinity keeps its pod off the nodes of pods with these labels. */
function keepsOff(affinity: Affinity | undefined, labels: Labels): boolean {
  const terms: readonly PodAffinityTerm[] =
    affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
  return terms.some((term) => term.topologyKey === HOSTNAME && selects(term.labelSelector, labels));
}

/** Whether a server's pods need a node each, by this affinity. */
export const needsNodeEach = (server: PolicyServer, affinity: Affinity | undefined): boolean =>
  keepsOff(affinity, podLabels(server));

const separate = (a: PolicyServer, b: PolicyServer) =>
  keepsOff(a.spec.affinity, podLabels(b)) || keepsOff(b.spec.affinity, podLabels(a));

function ports(server: PolicyServer): readonly { readonly field: string; readonly port: number }[] {
  return [
    { field: "webhookPort", port: webhookPort(server) },
    { field: "readinessProbePort", port: readinessPort(server) },
  ];
}

/**
 * Problems of a PolicyServer among `others` on the host's network; empty when there are none or the pods have a network of
 * their own.
 */
export function hostPortProblems(
  server: PolicyServer,
  others: readonly PolicyServer[],
  settings: ControllerSettings,
): readonly string[] {
  if (!settings.hostNetwork) return [];
  const problems: string[] = [];
  const own = ports(server);
  const rivals = others
    .filter(({ metadata }) =>
      metadata.name !== server.metadata.name && metadata.deletionTimestamp === undefined
    )
    .sort((a, b) => a.metadata.name < b.metadata.name ? -1 : 1);
  for (const other of rivals) {
    if (separate(server, other)) continue;
    for (const { field, port } of own) {
      const clash = ports(other).find((theirs) => theirs.port === port);
      if (clash === undefined) continue;
      problems.push(
        `${field} ${port} is also ${clash.field} of PolicyServer "${other.metadata.name}": on one node only one of them ` +
          "can bind it; give them different ports, or a required podAntiAffinity on kubernetes.io/hostname",
      );
    }
  }
  if (!keepsOff(server.spec.affinity, CONTROLLER_LABELS)) {
    for (const { field, port } of own) {
      const clash = settings.ownPorts.find((theirs) => theirs.port === port);
      if (clash === undefined) continue;
      problems.push(
        `${field} ${port} is also the controller's ${clash.name} port: on the controller's node only one of them can bind ` +
          "it; set another port, or a required podAntiAffinity against app.kubernetes.io/component: controller",
      );
    }
  }
  if ((server.spec.replicas ?? 0) > 1 && !needsNodeEach(server, server.spec.affinity)) {
    problems.push(
      `${server.spec.replicas} replicas bind the same ports: two of them on one node cannot run; add a required ` +
        `podAntiAffinity on kubernetes.io/hostname that selects ${POLICY_SERVER_LABEL}: ${server.metadata.name}`,
    );
  }
  return problems;
}
