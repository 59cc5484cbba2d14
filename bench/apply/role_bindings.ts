/**
 * An API server that knows RoleBindings and nothing else, as many as wanted: discovery, lists in pages, watches on which nothing
 * happens. Objects look as `kubectl get --output json` shows those of a real cluster.
 */
import { readFileSync, writeFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { createServer } from "node:https";
import { join } from "node:path";
import type { Bench } from "./servers.ts";

const GROUP = "rbac.authorization.k8s.io";
export const ROLE_BINDINGS = { apiVersion: `${GROUP}/v1`, kind: "RoleBinding" } as const;
const NAMESPACES = 100;

/** Where the `index`th RoleBinding lives, and whom it gives what. */
export function roleBinding(index: number) {
  const namespace = `team-${index % NAMESPACES}`;
  return {
    metadata: {
      name: `binding-${index}`,
      namespace,
      uid: `00000000-0000-4000-8000-${String(index).padStart(12, "0")}`,
      resourceVersion: String(1000 + index),
      creationTimestamp: "2026-01-01T00:00:00Z",
      labels: { "app.kubernetes.io/part-of": "shop", "app.kubernetes.io/managed-by": "Helm" },
      annotations: {
        "meta.helm.sh/release-name": namespace,
        "kubectl.kubernetes.io/last-applied-configuration":
          `{"kind":"RoleBinding","name":"binding-${index}"}`,
      },
      managedFields: [{
        manager: "helm",
        operation: "Update",
        apiVersion: `${GROUP}/v1`,
        time: "2026-01-01T00:00:00Z",
        fieldsType: "FieldsV1",
        fieldsV1: { "f:roleRef": {}, "f:subjects": {}, "f:metadata": { "f:labels": { ".": {} } } },
      }],
    },
    roleRef: { apiGroup: GROUP, kind: "Role", name: `role-${index % 20}` },
    subjects: [{ kind: "ServiceAccount", name: `account-${index}`, namespace }],
  };
}

/** The API server, and the kubeconfig file that leads to it. */
export type ApiServer = { readonly kubeconfig: string; readonly close: () => void };

function answer(response: ServerResponse, value: unknown, status = 200): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(value));
}

/** Starts one with `count` objects. */
export async function startApiServer(count: number, bench: Bench): Promise<ApiServer> {
  const kubeconfig = join(bench.folder, "kubeconfig");
  const material = { cert: readFileSync(bench.certFile), key: readFileSync(bench.keyFile) };
  const items = Array.from({ length: count }, (_, index) => roleBinding(index));
  const version = String(1000 + count);
  const server = createServer(material, (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://localhost");
    if (pathname === `/apis/${GROUP}/v1`) {
      return answer(response, {
        kind: "APIResourceList",
        resources: [{ name: "rolebindings", kind: "RoleBinding", namespaced: true }],
      });
    }
    if (pathname !== `/apis/${GROUP}/v1/rolebindings`) return answer(response, { code: 404 }, 404);
    if (searchParams.get("watch")) return void response.writeHead(200).flushHeaders();
    const from = Number(searchParams.get("continue") ?? 0);
    const until = from + Number(searchParams.get("limit") ?? count);
    answer(response, {
      kind: "RoleBindingList",
      apiVersion: `${GROUP}/v1`,
      metadata: { resourceVersion: version, ...(until < count && { continue: String(until) }) },
      items: items.slice(from, until),
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  writeFileSync(
    kubeconfig,
    JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      "current-context": "bench",
      contexts: [{ name: "bench", context: { cluster: "bench", user: "bench" } }],
      clusters: [{
        name: "bench",
        cluster: { server: `https://127.0.0.1:${port}`, "certificate-authority": bench.certFile },
      }],
      users: [{ name: "bench", user: {} }],
    }),
  );
  return {
    kubeconfig,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
