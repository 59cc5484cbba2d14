/** Work for which the process is started instead of running the controller. */
import { connect } from "../../kubernetes/apply/api_transport.ts";
import { type KubeClient, kubeClient } from "../../kubernetes/apply/kube_client.ts";
import { fatalFields } from "../render/error_fields.ts";
import type { Values } from "../render/flags.ts";
import { FIELD_MANAGER } from "../render/names.ts";
import type { World } from "./world.ts";

/** Does the work with a client of its own, and logs why it failed; resolves to the exit code. */
export async function withClient(
  values: Values,
  log: World["log"],
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
