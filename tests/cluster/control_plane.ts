/**
 * A real Kubernetes API server for a test: etcd and kube-apiserver on loopback ports of their own, in a temporary folder,
 * stopped and removed by `stop()`. Nothing runs in it besides: no controllers, no nodes; tests play those parts.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { type ApiTransport, openTransport } from "../../kubernetes/apply/api_transport.ts";
import { binariesFolder, HOW_TO_GET_BINARIES } from "./binaries/locate.ts";
import { type Authority, createAuthority } from "./certificates.ts";

export type ControlPlane = {
  readonly url: string;
  readonly authority: Authority;
  /** A kubeconfig file of a cluster administrator. */
  readonly kubeconfig: string;
  /** A transport as a cluster administrator. */
  readonly admin: ApiTransport;
  /** A folder that lives as long as the control plane. */
  readonly folder: string;
  /** Stops the API server and starts it again on the same port and data. */
  restartApiServer(): Promise<void>;
  stop(): Promise<void>;
};

const READY_LIMIT_MS = 60_000;

/** `count` loopback ports that were free a moment ago. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map((server) =>
      new Promise<number>((resolve) =>
        server.listen(0, "127.0.0.1", () => resolve((server.address() as { port: number }).port))
      )
    ),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** Waits for a condition, asking again after short pauses. Throws with `what` when it does not come true in time. */
export async function until<T>(
  what: string,
  probe: () => T | undefined | false | Promise<T | undefined | false>,
  { limitMs = 30_000, pauseMs = 25 } = {},
): Promise<T> {
  const limit = performance.now() + limitMs;
  const late = () => new Error(`waited ${limitMs / 1000} s in vain: ${what}`);
  for (;;) {
    // A probe that never answers must not wait for ever either.
    let timer: ReturnType<typeof setTimeout> | undefined;
    const expired = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(late()), Math.max(limit - performance.now(), 1000));
    });
    // A probe that throws at once must not leave its timer behind, whose rejection nobody would see.
    const asked = (async () => await probe())();
    const found = await Promise.race([asked, expired]).finally(() => clearTimeout(timer));
    if (found !== undefined && found !== false) return found;
    if (performance.now() > limit) throw late();
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

function run(
  command: string,
  args: readonly string[],
  folder: string,
): { child: ChildProcess; log(): string } {
  let output = "";
  const child = spawn(command, args, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  const keep = (chunk: Uint8Array) => output = (output + new TextDecoder().decode(chunk)).slice(-20_000);
  child.stdout.on("data", keep);
  child.stderr.on("data", keep);
  return { child, log: () => output };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await ended;
}

/** Starts a control plane; takes two to four seconds. `apiServer` is the path of another kube-apiserver than the usual one. */
export async function startControlPlane(apiServer?: string): Promise<ControlPlane> {
  const binaries = binariesFolder();
  if (binaries === undefined) throw new Error(HOW_TO_GET_BINARIES);
  const apiServerProgram = apiServer ?? join(binaries, "kube-apiserver");
  const folder = mkdtempSync(join(tmpdir(), "portreeve-cluster-"));
  const [clientPort, peerPort, apiPort] = await freePorts(3) as [number, number, number];
  const authority = await createAuthority("test-cluster-ca");
  const [serving, admin, tokens] = await Promise.all([
    authority.issue({
      commonName: "kube-apiserver",
      dns: ["127.0.0.1", "localhost", "kubernetes.default.svc"],
    }),
    authority.issue({ commonName: "admin", organization: "system:masters" }),
    authority.issue({ commonName: "service-accounts" }),
  ]);
  const write = (name: string, content: string): string => {
    const path = join(folder, name);
    writeFileSync(path, content, { mode: 0o600 });
    return path;
  };
  const url = `https://127.0.0.1:${apiPort}`;
  const ca = write("ca.crt", authority.cert);
  const encoded = (text: string) => btoa(text);
  const kubeconfig = write(
    "kubeconfig",
    JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      "current-context": "test",
      contexts: [{ name: "test", context: { cluster: "test", user: "admin" } }],
      clusters: [{
        name: "test",
        cluster: { server: url, "certificate-authority-data": encoded(authority.cert) },
      }],
      users: [{
        name: "admin",
        user: { "client-certificate-data": encoded(admin.cert), "client-key-data": encoded(admin.key) },
      }],
    }),
  );
  const etcdUrl = `http://127.0.0.1:${clientPort}`;
  const peerUrl = `http://127.0.0.1:${peerPort}`;
  const etcd = run(join(binaries, "etcd"), [
    `--data-dir=${join(folder, "etcd")}`,
    `--listen-client-urls=${etcdUrl}`,
    `--advertise-client-urls=${etcdUrl}`,
    `--listen-peer-urls=${peerUrl}`,
    `--initial-advertise-peer-urls=${peerUrl}`,
    `--initial-cluster=default=${peerUrl}`,
    "--unsafe-no-fsync",
    "--log-level=error",
  ], folder);
  const apiArguments = [
    `--etcd-servers=${etcdUrl}`,
    "--bind-address=127.0.0.1",
    "--advertise-address=127.0.0.1",
    `--secure-port=${apiPort}`,
    `--cert-dir=${folder}`,
    `--tls-cert-file=${write("api.crt", serving.cert)}`,
    `--tls-private-key-file=${write("api.key", serving.key)}`,
    `--client-ca-file=${ca}`,
    "--service-account-issuer=https://kubernetes.default.svc",
    `--service-account-key-file=${write("sa.pub", tokens.cert)}`,
    `--service-account-signing-key-file=${write("sa.key", tokens.key)}`,
    "--service-cluster-ip-range=10.0.0.0/16",
    "--authorization-mode=RBAC",
    "--disable-admission-plugins=ServiceAccount",
    "--allow-privileged=true",
    "--watch-cache=true",
    "--v=0",
  ];
  const transport = openTransport(url, () =>
    Promise.resolve({
      headers: {},
      tls: { ca: authority.cert, cert: admin.cert, key: admin.key, rejectUnauthorized: true },
    }));
  let api = run(apiServerProgram, apiArguments, folder);
  const ready = () =>
    until("the API server becomes ready", async () => {
      if (api.child.exitCode !== null) throw new Error(`kube-apiserver ended:\n${api.log()}\n${etcd.log()}`);
      if (etcd.child.exitCode !== null) throw new Error(`etcd ended:\n${etcd.log()}`);
      // Somebody else's server may have taken the port and say nothing.
      const signal = AbortSignal.timeout(5_000);
      return await transport.request({ method: "GET", path: "/readyz", signal }).then(async (answer) => {
        await answer.text();
        return answer.status === 200;
      }, () => false);
    }, { limitMs: READY_LIMIT_MS, pauseMs: 100 });
  // A test file that dies must not leave servers behind.
  const lastResort = () => {
    api.child.kill("SIGKILL");
    etcd.child.kill("SIGKILL");
  };
  process.once("exit", lastResort);
  const stop = async () => {
    transport.close();
    await end(api.child);
    await end(etcd.child);
    process.removeListener("exit", lastResort);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await ready();
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    url,
    authority,
    kubeconfig,
    admin: transport,
    folder,
    async restartApiServer() {
      await end(api.child);
      api = run(apiServerProgram, apiArguments, folder);
      await ready();
    },
    stop,
  };
}
