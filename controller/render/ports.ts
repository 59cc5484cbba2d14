/** Ports of a policy server (spec/controller.md §10). */
import type { PolicyServer } from "../../crd/types.ts";
import { DEFAULT_READINESS_PORT, DEFAULT_WEBHOOK_PORT } from "../../crd/render/validate_policy_server.ts";

/** Port on which the pod serves admission requests. */
export function webhookPort({ spec }: PolicyServer): number {
  return spec.webhookPort ?? DEFAULT_WEBHOOK_PORT;
}

/** Port on which the pod answers its readiness probe. */
export function readinessPort({ spec }: PolicyServer): number {
  return spec.readinessProbePort ?? DEFAULT_READINESS_PORT;
}
