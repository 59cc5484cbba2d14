/** Registries and a proxy of the scenarios' own, beside the node's: they run in its network until the cluster ends. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { type Authority, createAuthority } from "../../cluster/certificates.ts";
import { NODE_ADDRESS } from "../../cluster/node/network.ts";
import { type ClusterNode, NODE_FOLDER } from "../../cluster/node/node.ts";
import { until } from "../_stack.ts";

export interface PrivateRegistry {
  /** `host:port`. */
  readonly host: string;
  /** The authority of its certificate, PEM; only where it has TLS. */
  readonly authority: string | undefined;
}

export const USER = "user", PASSWORD = "secret";
const HTPASSWD = "user:$2b$04$FZCXf7PoyCf0qlOJ.7ZwzOYPqCvpEDT79/57S1puzoMiAJYMb2PV.\n";

const answers = (node: ClusterNode, url: string) => () => {
  try {
    node.run("curl", "--silent", "--insecure", "--output", "/dev/null", url);
    return true;
  } catch {
    return false;
  }
};

/** Starts Debian's registry; with TLS by an authority that nobody knows, and a password, unless it is to have neither. */
export async function startRegistry(
  node: ClusterNode,
  name: string,
  port: number,
  options: { readonly open?: boolean } = {},
): Promise<PrivateRegistry> {
  const folder = join(NODE_FOLDER, name);
  mkdirSync(folder, { recursive: true });
  const file = (of: string, content: string) => {
    writeFileSync(join(folder, of), content);
    return join(folder, of);
  };
  let authority: Authority | undefined;
  let tls = {};
  if (options.open !== true) {
    authority = await createAuthority(`${name}-ca`);
    const { cert, key } = await authority.issue({ commonName: name, dns: [NODE_ADDRESS] });
    tls = {
      tls: { certificate: file("cert.pem", cert), key: file("key.pem", key) },
    };
  }
  const config = {
    version: "0.1",
    log: { level: "warn" },
    storage: { filesystem: { rootdirectory: join(folder, "data") } },
    http: { addr: `${NODE_ADDRESS}:${port}`, secret: "tests", ...tls },
    ...(options.open === true
      ? {}
      : { auth: { htpasswd: { realm: "tests", path: file("htpasswd", HTPASSWD) } } }),
  };
  await node.stop(name);
  node.start(name, "docker-registry", "serve", file("config.json", JSON.stringify(config)));
  const scheme = options.open === true ? "http" : "https";
  await until(`${name} answers`, answers(node, `${scheme}://${NODE_ADDRESS}:${port}/v2/`));
  return { host: `${NODE_ADDRESS}:${port}`, authority: authority?.cert };
}

/** Starts a forward proxy; the connections that it was asked for are in its log, one line each. */
export async function startProxy(node: ClusterNode, name: string, port: number): Promise<string> {
  const file = fileURLToPath(new URL("_proxy.ts", import.meta.url));
  await node.stop(name);
  node.start(name, process.execPath, file, NODE_ADDRESS, String(port));
  const url = `http://${NODE_ADDRESS}:${port}`;
  await until(`${name} answers`, answers(node, url));
  return url;
}
