/** What a chart's hooks have the controller's image do instead of running the controller. Each resolves to the exit code. */
import { connect } from "../../kubernetes/apply/api_transport.ts";
import { type KubeClient, kubeClient } from "../../kubernetes/apply/kube_client.ts";
import { cleanUp, restartController } from "../apply/cleanup.ts";
import { fatalFields } from "../render/error_fields.ts";
import type { Values } from "../render/flags.ts";
import { FIELD_MANAGER } from "../render/names.ts";
import type { Log } from "./controller.ts";

async function withClient(
  values: Values,
  log: Log,
  what: string,
  work: (client: KubeClient) => Promise<void>,
): Promise<number> {
  try {
    const transport = await connect({ kubeconfig: values["kubeconfig"] });
    try {
      await work(kubeClient(transport, FIELD_MANAGER));
    } finally {
      transport.close();
    }
    return 0;
  } catch (error) {
    log("error", `${what} failed`, fatalFields(error));
    return 1;
  }
}

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
