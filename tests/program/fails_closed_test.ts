// The policy server, the scanner and the controller never end with code 0 without having done their work, whatever is broken,
// missing or closed. `reeve` has a table of its own (`tests/cli/fails_closed_test.ts`).
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { bundleFile } from "../programs.ts";

type Program = "policy_server" | "audit" | "controller";
type Call = readonly [program: Program, ...words: string[]];

/** A server that serves instead of ending is stopped after this time, and has failed. */
const LIMIT_MS = 60_000;

const KUBECONFIG = (server: string) =>
  JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "c", cluster: { server } }],
    users: [{ name: "u", user: { token: "t" } }],
    contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
    "current-context": "x",
  });
const SIGNERS = "allOf:\n- kind: githubAction\n  owner: somebody\n";

let folder: string;
test.before(() => {
  folder = mkdtempSync(join(tmpdir(), "fails-closed-"));
  const files: Readonly<Record<string, string | Uint8Array>> = {
    empty: "",
    garbage: new Uint8Array([0, 255, 1, 254, 27, 91, 10, 58, 123]),
    "object.yml": "{}",
    "nulls.yml": "apiVersion: v1\nallOf: null\nanyOf: null\n",
    "v2.yml": `apiVersion: v2\n${SIGNERS}`,
    "unknown.yml": `apiVersion: v1\nanyone: true\n${SIGNERS}`,
    "good.yml": `apiVersion: v1\n${SIGNERS}`,
    "none.yml": "{}",
    "policies.yml": JSON.stringify({ p: { module: "registry://localhost:1/policy:v1" } }),
    unreachable: KUBECONFIG("https://127.0.0.1:1"),
    nonsense: KUBECONFIG("not a URL"),
  };
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
});
test.after(() => rmSync(folder, { recursive: true, force: true }));

interface Ended {
  readonly exit: number | null;
  readonly text: string;
}

function call([program, ...words]: Call, kubeconfig: string | undefined, closed = false): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [bundleFile(program), ...words], {
      cwd: folder,
      env: {
        PATH: process.env["PATH"],
        HOME: folder,
        HTTPS_PROXY: "http://localhost:1",
        PORTREEVE_TERMINATION_LOG: join(folder, "absent"),
        ...(kubeconfig === undefined ? {} : { KUBECONFIG: join(folder, kubeconfig) }),
      },
      stdio: ["pipe", "pipe", "pipe"],
      timeout: LIMIT_MS,
      killSignal: "SIGKILL",
    });
    if (closed) { for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy(); }
    let text = "";
    for (const output of [child.stdout, child.stderr]) output.on("data", (piece) => text += piece);
    child.on("error", reject);
    child.on("close", (exit) => resolve({ exit, text }));
  });
}

/** Tries each call with its outputs open and with them closed. */
async function allFail(calls: readonly (readonly [call: Call, kubeconfig?: string])[]): Promise<void> {
  for (const [words, kubeconfig] of calls) {
    for (const closed of [false, true]) {
      const { exit, text } = await call(words, kubeconfig, closed);
      const what = `${words.join(" ")}${closed ? ", outputs closed" : ""}`;
      assert.ok(exit === 1 || exit === 2, `${what}: ended with ${exit}: ${text}`);
    }
  }
}

const SERVER = [
  "policy_server",
  "--addr",
  "127.0.0.1",
  "--port",
  "0",
  "--readiness-probe-port",
  "0",
] as const;
const serving = (...words: string[]): Call => [...SERVER, "--sigstore-cache-dir", "tuf", ...words];

test("policy server: a verification that can't work stops it", () =>
  allFail(
    ["absent", "empty", "garbage", ".", "object.yml", "nulls.yml", "v2.yml", "unknown.yml", "good.yml"].map((
      config,
    ) => [serving("--policies", "policies.yml", "--verification-path", config)]),
  ));

test("policy server: not even without policies is a broken configuration passed over", () =>
  allFail(["absent", "empty", "garbage", "v2.yml", "unknown.yml"].map((
    config,
  ) => [serving("--policies", "none.yml", "--verification-path", config)])));

test("policy server: nor is anything else", () =>
  allFail([
    [serving("--policies", "policies.yml")],
    [serving("--policies", "absent.yml")],
    [serving("--policies", "garbage")],
    [serving("--policies", "policies.yml", "--verification-path=")],
    [serving("--policies", "none.yml", "--verification-path")],
    [serving("--policies", "none.yml", "--verify-not")],
    [serving("--policies", "none.yml", "--sources-path", "absent")],
    [serving(
      "--policies",
      "policies.yml",
      "--sigstore-trust-config",
      "garbage",
      "--verification-path",
      "good.yml",
    )],
    [serving(
      "--policies",
      "policies.yml",
      "--sigstore-trust-config",
      "absent",
      "--verification-path",
      "good.yml",
    )],
    [serving("--policies", "none.yml", "superfluous")],
  ]));

test("audit: without a cluster, or with flags that it does not know", () =>
  allFail([
    [["audit"]],
    [["audit"], "absent"],
    [["audit"], "empty"],
    [["audit"], "garbage"],
    [["audit"], "object.yml"],
    [["audit"], "nonsense"],
    [["audit"], "unreachable"],
    [["audit", "--disable-store"], "unreachable"],
    [["audit", "--namespace"], "unreachable"],
    [["audit", "--namespace", "a", "--cluster"], "unreachable"],
    [["audit", "--report-kind", "none"], "unreachable"],
    [["audit", "--verify-not"], "unreachable"],
    [["audit", "--extra-ca", "absent"], "unreachable"],
    [["audit", "--extra-ca", "garbage"], "unreachable"],
    [["audit", "--client-cert", "absent"], "unreachable"],
    [["audit", "--page-size", "x"], "unreachable"],
  ]));

test("controller: the same", () =>
  allFail([
    [["controller"]],
    [["controller", "--deployments-namespace", "kubewarden"]],
    [["controller", "--deployments-namespace", "kubewarden"], "absent"],
    [["controller", "--deployments-namespace", "kubewarden"], "garbage"],
    [["controller", "--deployments-namespace", "kubewarden"], "object.yml"],
    [["controller", "--deployments-namespace", "kubewarden"], "nonsense"],
    [["controller", "--deployments-namespace", "kubewarden", "--kubeconfig", "absent"]],
    [["controller", "--verify-not"]],
    [["controller", "--zap-log-level", "loud"]],
  ]));

test.run();
