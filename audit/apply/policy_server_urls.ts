/** Where the policy servers of a cluster are asked (spec/audit.md §10.1). */
import { API_GROUP, DEFAULT_POLICY_SERVER, type Policy } from "../../crd/types.ts";
import type { KubeClient } from "../../kubernetes/apply/kube_client.ts";
import type { KubeObject } from "../../kubernetes/types/object.ts";
import type { Resource } from "../../kubernetes/types/resource.ts";
import { errorText } from "../render/log_line.ts";
import type { AuditSettings } from "../types/settings.ts";

const POLICY_SERVERS: Resource = {
  kind: "PolicyServer",
  apiVersion: `${API_GROUP}/v1`,
  plural: "policyservers",
  namespaced: false,
};
const SERVICES: Resource = { kind: "Service", apiVersion: "v1", plural: "services", namespaced: true };

type Service = KubeObject & { readonly spec?: { readonly ports?: readonly { readonly port: number }[] } };

const NO_SERVICE = "could not find a single service for the given policy server instance label";
const NO_PORT = "policy server service does not have a port";

/** Finds the base URL of a policy's server, each once in a run. */
export function policyServerUrls(
  client: KubeClient,
  { kubewardenNamespace: namespace, policyServerUrl }: AuditSettings,
): (policy: Policy) => Promise<string> {
  async function find(name: string): Promise<string> {
    try {
      await client.get(POLICY_SERVERS, undefined, name);
    } catch (error) {
      throw new Error(`failed to get PolicyServer ${JSON.stringify(name)}: ${errorText(error)}`);
    }
    const labelSelector = `app.kubernetes.io/instance=policy-server-${name}`;
    const { items } = await client.list<Service>(SERVICES, namespace, { labelSelector });
    const [service] = items;
    if (items.length !== 1 || service === undefined) throw new Error(`${NO_SERVICE} (${labelSelector})`);
    const port = service.spec?.ports?.[0]?.port;
    if (port === undefined) throw new Error(NO_PORT);
    return policyServerUrl ?? `https://${service.metadata.name}.${namespace}.svc:${port}`;
  }

  const found = new Map<string, Promise<string>>();
  return ({ spec }) => {
    const name = spec.policyServer ?? DEFAULT_POLICY_SERVER;
    let url = found.get(name);
    if (url === undefined) found.set(name, url = find(name));
    return url;
  };
}
