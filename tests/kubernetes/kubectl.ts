/**
 * A real API server, with the real kubectl beside us: the same file and the same environment give the same identity, reached the same
 * way, or both refuse. What kubectl takes and we don't is a row of its own, with the reason.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { suite, type Test } from "uvu";
import * as assert from "uvu/assert";
import {
  binariesFolder,
  cacheFolder,
  HOW_TO_GET_BINARIES,
  HOW_TO_GET_NODE,
} from "../cluster/binaries/locate.ts";
import { type ControlPlane, startControlPlane, until } from "../cluster/control_plane.ts";
import { put } from "./kubeconfig_file.ts";
import { type Proxy, startHttpProxy, startSocksProxy } from "./proxies.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
export const KUBECTL = join(cacheFolder(), "kubectl");

export type Context = {
  folder: string;
  plane: ControlPlane;
  port: string;
  /** `kubectl proxy` as the administrator. */
  gateway: { readonly child: ChildProcess; readonly port: string };
  proxies: Record<"http" | "login" | "https" | "socks" | "socksLogin", Proxy>;
  tokens: Record<"a" | "b", string>;
  jane: { readonly cert: string; readonly key: string };
};

export const A = "system:serviceaccount:default:a";
export const base64 = (text: string) => Buffer.from(text).toString("base64");

export type Fields = Readonly<Record<string, unknown>>;
export type Environment = Readonly<Record<string, string>>;

/** The cluster as it is; by another host than this machine's own when proxies of the environment are to be asked. */
export const cluster = ({ plane, port }: Context, more: Fields = {}, host = "127.0.0.1") => ({
  server: `https://${host}:${port}`,
  "certificate-authority-data": base64(plane.authority.cert),
  ...more,
});

type Ran = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

export function run(
  context: Context,
  command: string,
  args: readonly string[],
  env: Environment,
): Promise<Ran> {
  const child = spawn(command, args, {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env["PATH"], HOME: context.folder, ...env },
  });
  let stdout = "", stderr = "";
  child.stdout.setEncoding("utf8").on("data", (part) => stdout += part);
  child.stderr.setEncoding("utf8").on("data", (part) => stderr += part);
  return new Promise((resolve) => child.once("close", (code) => resolve({ code, stdout, stderr })));
}

type Answer = {
  readonly user?: { readonly username: string };
  readonly error?: string;
  readonly name?: string;
};

export async function kubectl(context: Context, file: string, env: Environment): Promise<Answer> {
  const named = file === "" ? [] : ["--kubeconfig", file];
  const args = [...named, "--request-timeout=10s", "auth", "whoami", "-o", "json"];
  const { code, stdout, stderr } = await run(context, KUBECTL, args, env);
  return code === 0 ? { user: JSON.parse(stdout).status.userInfo } : { error: stderr };
}

export async function ours(context: Context, file: string, env: Environment): Promise<Answer> {
  const { stdout, stderr } = await run(context, process.execPath, [
    join(root, "tests/kubernetes/whoami.ts"),
    file,
  ], env);
  assert.ok(stdout !== "", stderr);
  return JSON.parse(stdout) as Answer;
}

/** What each proxy was asked, without repetitions. */
export function seen({ proxies }: Context): string {
  const all = Object.entries(proxies).flatMap(([name, { seen }]) =>
    seen.map((line) => `${name}: ${line.split("?")[0]}`)
  );
  for (const { seen } of Object.values(proxies)) seen.length = 0;
  return [...new Set(all)].join("\n");
}

export type Row = {
  readonly what: string;
  readonly file: unknown;
  readonly env?: Environment;
  /** The name that the API server knows us by, or what our error says. */
  readonly says: string | RegExp;
  /** What one proxy was asked, if any. */
  readonly through?: string;
  /** Why ours is an error where kubectl's is none, or the other way round. */
  readonly differs?: string;
};

export async function compare(context: Context, rows: readonly Row[]): Promise<void> {
  const wrong: string[] = [];
  for (const { what, file, env = {}, says, through = "", differs } of rows) {
    const path = file === undefined ? "" : put(context, file);
    const theirs = await kubectl(context, path, env);
    const theirWay = seen(context);
    const own = await ours(context, path, env);
    const ownWay = seen(context);
    const right = (typeof says === "string" ? own.user?.username === says : says.test(own.error ?? "")) &&
      ownWay === through &&
      (differs === undefined
        ? JSON.stringify(own.user) === JSON.stringify(theirs.user) && ownWay === theirWay
        : (theirs.user === undefined) !== (own.user === undefined));
    if (right) continue;
    wrong.push(
      `${what}\n  wanted ${says} through ${through || "no proxy"}\n  kubectl: ${
        JSON.stringify(theirs)
      } ${theirWay}\n` +
        `  ours: ${JSON.stringify(own)} ${ownWay}`,
    );
  }
  assert.is(wrong.join("\n"), "");
}

async function prepare(context: Context): Promise<void> {
  context.folder = mkdtempSync(join(tmpdir(), "portreeve-kubectl-"));
  const plane = context.plane = await startControlPlane();
  context.port = new URL(plane.url).port;
  const send = async (path: string, body: object) => {
    const answer = await plane.admin.request({
      method: "POST",
      path,
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const text = await answer.text();
    assert.ok(answer.status < 300, text);
    return JSON.parse(text);
  };
  await until("the namespace default is there", async () => {
    const { status } = await plane.admin.request({ method: "GET", path: "/api/v1/namespaces/default" });
    return status === 200;
  });
  const tokenOf = async (name: string) => {
    const accounts = "/api/v1/namespaces/default/serviceaccounts";
    await send(accounts, { apiVersion: "v1", kind: "ServiceAccount", metadata: { name } });
    const { status } = await send(`${accounts}/${name}/token`, {
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenRequest",
      spec: {},
    });
    return status.token as string;
  };
  context.tokens = { a: await tokenOf("a"), b: await tokenOf("b") };
  // Account a may act as anybody.
  await send("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "ClusterRoleBinding",
    metadata: { name: "a" },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
    subjects: [{ kind: "ServiceAccount", name: "a", namespace: "default" }],
  });
  // Nobody may ask who he is.
  await send("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "ClusterRoleBinding",
    metadata: { name: "nobody" },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "system:basic-user" },
    subjects: [{ kind: "Group", name: "system:unauthenticated", apiGroup: "rbac.authorization.k8s.io" }],
  });
  context.jane = await plane.authority.issue({ commonName: "jane", organization: "dev" });
  const tls = await plane.authority.issue({ commonName: "proxy", dns: ["localhost", "127.0.0.1"] });
  context.proxies = {
    http: await startHttpProxy(),
    login: await startHttpProxy({ login: "me:se@cret" }),
    https: await startHttpProxy({ tls }),
    socks: await startSocksProxy(),
    socksLogin: await startSocksProxy("me:se@cret"),
  };
  const child = spawn(KUBECTL, ["--kubeconfig", plane.kubeconfig, "proxy", "--port=0"], {
    stdio: ["ignore", "pipe", "ignore"],
    env: { HOME: context.folder },
  });
  const port = await new Promise<string>((resolve, reject) => {
    child.stdout.setEncoding("utf8").on("data", (line: string) => {
      const [, found] = /:(\d+)\s*$/.exec(line) ?? [];
      if (found !== undefined) resolve(found);
    });
    child.once("close", (code) => reject(new Error(`kubectl proxy ended with ${code}`)));
  });
  context.gateway = { child, port };
}

async function end({ folder, plane, proxies, gateway }: Context): Promise<void> {
  gateway?.child.kill();
  for (const proxy of Object.values(proxies ?? {})) await proxy.stop();
  await plane?.stop();
  rmSync(folder, { recursive: true, force: true });
}

/** Runs the tests that `define` adds, or counts one as skipped that says how to get what they need. */
export function besideKubectl(subject: string, define: (test: Test<Context>) => void): void {
  const test = suite<Context>(`${subject}, beside kubectl`, {} as Context);
  if (binariesFolder() === undefined) test.skip(`${subject} (${HOW_TO_GET_BINARIES})`, () => {});
  else if (!existsSync(KUBECTL)) test.skip(`${subject} (${HOW_TO_GET_NODE})`, () => {});
  else {
    test.before(prepare);
    test.after(end);
    define(test);
  }
  test.run();
}
