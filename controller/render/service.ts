/** The Service of a PolicyServer (spec/controller.md §5.8). */
import type { PolicyServer } from "../../crd/types.ts";
import type { Service } from "../types/objects.ts";
import type { ControllerSettings } from "../types/settings.ts";
import { commonLabels, ownedMetadata, PART_OF, POLICY_SERVER_LABEL, serverObjectName } from "./names.ts";
import { webhookPort } from "./ports.ts";

/** The Service `policy-server-<name>`; `spec.metricsPort` moves its metrics port only, never the pod's. */
export function renderService(server: PolicyServer, settings: ControllerSettings): Service {
  const { name } = server.metadata;
  const metrics = {
    name: "metrics",
    port: server.spec.metricsPort ?? settings.metricsPort,
    targetPort: settings.metricsPort,
    protocol: "TCP",
  };
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: {
      ...ownedMetadata(server, settings.namespace),
      labels: { [POLICY_SERVER_LABEL]: name, ...commonLabels(name) },
    },
    spec: {
      selector: { "app.kubernetes.io/instance": serverObjectName(name), ...PART_OF },
      ports: [
        { name: "policy-server", port: 443, targetPort: webhookPort(server), protocol: "TCP" },
        ...(settings.metrics ? [metrics] : []),
      ],
    },
  };
}
