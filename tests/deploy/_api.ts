/** Requests to a real API server, for the tests of the charts. */
import type { ControlPlane } from "../cluster/control_plane.ts";
import type { Any } from "./_helm.ts";

/** What an API server answered. */
export type Answer = { readonly status: number; readonly body: Any; readonly warnings: readonly string[] };

/** A request: method, path, body and its type. */
export type Call = (method: string, path: string, body?: Any, contentType?: string) => Promise<Answer>;

/** Requests of an administrator of a cluster. */
export const caller =
  ({ admin }: ControlPlane): Call => async (method, path, body, contentType = "application/json") => {
    const answer = await admin.request({
      method,
      path,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": contentType } }),
      signal: AbortSignal.timeout(30_000),
    });
    const text = await answer.text();
    const warning = answer.headers["warning"];
    return {
      status: answer.status,
      body: text.startsWith("{") ? JSON.parse(text) : text,
      warnings: warning === null || warning === undefined ? [] : [String(warning)],
    };
  };

const PLURALS: { readonly [kind: string]: string } = {
  MutatingWebhookConfiguration: "mutatingwebhookconfigurations",
  ClusterAdmissionPolicy: "clusteradmissionpolicies",
};
const NAMESPACED = [
  "ConfigMap",
  "CronJob",
  "Deployment",
  "Job",
  "Pod",
  "Role",
  "RoleBinding",
  "Secret",
  "Service",
]
  .concat("ServiceAccount");

/** Where the API server has an object. */
export function pathOf({ apiVersion, kind, metadata }: Any): string {
  const root = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const plural = PLURALS[kind] ?? `${kind.toLowerCase()}s`;
  const place = NAMESPACED.includes(kind) ? `/namespaces/${metadata.namespace}` : "";
  return `${root}${place}/${plural}/${metadata.name}`;
}
