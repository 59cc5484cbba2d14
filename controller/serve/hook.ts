/** What a chart's hooks have the controller's image do instead of running the controller. Each resolves to the exit code. */
import { cleanUp, restartController } from "../apply/cleanup.ts";
import { withClient } from "../apply/one_off.ts";
import type { Values } from "../render/flags.ts";
import type { Log } from "./controller.ts";

/** `--cleanup` and `--restart`. */
export async function runDeploymentHook(
  values: Values,
  ownNamespace: string | undefined,
  log: Log,
): Promise<number> {
  const namespace = values["deployments-namespace"] || ownNamespace;
  const deployment = values["controller-deployment-name"];
  if (namespace === undefined || !deployment) {
    const missing = namespace === undefined ? "deployments namespace" : "controller deployment name";
    log("error", "invalid flags", { error: `the ${missing} must be provided` });
    return 1;
  }
  if (values["restart"] === "true") {
    return await withClient(
      values,
      log,
      "the restart",
      (client) => restartController(client, namespace, deployment, Date.now()),
    );
  }
  const policyServers = values["cleanup-policy-servers"] === "true";
  return await withClient(
    values,
    log,
    "the cleanup",
    (client) => cleanUp({ client, namespace, deployment, policyServers, log }),
  );
}
