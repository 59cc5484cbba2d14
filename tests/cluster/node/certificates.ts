/** Who is who in the cluster: one authority, and a kubeconfig for each component. */
import { generateKeyPairSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Authority, createAuthority } from "../certificates.ts";
import { API_SERVICE, NODE_ADDRESS, type NodeSpec } from "./network.ts";

/** Files of the cluster's certificates and kubeconfigs. */
export interface Credentials {
  readonly authority: Authority;
  /** The path of a file by its name, such as `ca.crt`. */
  path(name: string): string;
}

const SERVER = `https://${NODE_ADDRESS}:6443`;

/** Names under which a registry is asked in the tests; the node's registry answers for all of them. */
export const REGISTRY_NAMES = ["ghcr.io", "registry.example.test", "docker.io", "quay.io"] as const;

/** Writes everything below `folder`. */
export async function createCredentials(folder: string, nodes: readonly NodeSpec[]): Promise<Credentials> {
  const authority = await createAuthority("node-ca");
  const path = (name: string) => join(folder, name);
  const write = (name: string, content: string) => writeFileSync(path(name), content, { mode: 0o600 });
  write("ca.crt", authority.cert);
  write("ca.key", authority.key);
  const keys = generateKeyPairSync("rsa", { modulusLength: 2048 });
  write("sa.key", keys.privateKey.export({ format: "pem", type: "pkcs8" }) as string);
  write("sa.pub", keys.publicKey.export({ format: "pem", type: "spki" }) as string);
  const serving = async (name: string, dns: readonly string[]) => {
    const pair = await authority.issue({ commonName: name, dns });
    write(`${name}.crt`, pair.cert);
    write(`${name}.key`, pair.key);
  };
  await serving("apiserver", [
    "127.0.0.1",
    NODE_ADDRESS,
    API_SERVICE,
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
  ]);
  for (const { name, address } of nodes) await serving(`kubelet-${name}`, [name, address]);
  await serving("registry", [...REGISTRY_NAMES, NODE_ADDRESS]);
  const kubeconfig = async (name: string, commonName: string, organization?: string) => {
    const { cert, key } = await authority.issue({
      commonName,
      ...(organization === undefined ? {} : { organization }),
    });
    write(`${name}.client.crt`, cert);
    write(`${name}.client.key`, key);
    write(
      `${name}.kubeconfig`,
      JSON.stringify({
        apiVersion: "v1",
        kind: "Config",
        "current-context": "node",
        contexts: [{ name: "node", context: { cluster: "node", user: name } }],
        clusters: [{
          name: "node",
          cluster: { server: SERVER, "certificate-authority-data": btoa(authority.cert) },
        }],
        users: [{ name, user: { "client-certificate-data": btoa(cert), "client-key-data": btoa(key) } }],
      }),
    );
  };
  await kubeconfig("admin", "admin", "system:masters");
  await kubeconfig("controller-manager", "system:kube-controller-manager");
  await kubeconfig("scheduler", "system:kube-scheduler");
  for (const { name } of nodes) await kubeconfig(`kubelet-${name}`, `system:node:${name}`, "system:nodes");
  await kubeconfig("proxy", "system:kube-proxy");
  await kubeconfig("dns", "system:dns", "system:masters");
  // Who the API server is to webhooks: of an authority that signs nothing else.
  const webhookClients = await createAuthority("webhook-client-ca");
  write("webhook-client-ca.crt", webhookClients.cert);
  const client = await webhookClients.issue({ commonName: "kube-apiserver" });
  write("webhook-client.crt", client.cert);
  write("webhook-client.key", client.key);
  return { authority, path };
}
