/** A policy server without a cluster: it serves, says so once, and tells policies that ask (spec/decisions.md §5). */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseOptions } from "../../../policy_server/render/parse_options.ts";
import { type PolicyServer, startServer } from "../../../policy_server/serve/server.ts";
import { quietLog } from "./host_caller.ts";

const WASM = pathToFileURL(fileURLToPath(new URL("../../policies/host-caller/policy.wasm", import.meta.url)));
const folder = mkdtempSync(join(tmpdir(), "portreeve-capabilities-"));
const { log, warnings } = quietLog();
let server: PolicyServer;

test.before(async () => {
  // Whatever cluster the machine knows is none of this test's.
  process.env["HOME"] = folder;
  delete process.env["KUBECONFIG"];
  delete process.env["KUBERNETES_SERVICE_HOST"];
  const policies = join(folder, "policies.yml");
  const policy = {
    module: WASM.href,
    hostCapabilities: ["*"],
    contextAwareResources: [{ apiVersion: "v1", kind: "Pod" }],
  };
  const group = {
    policies: { member: { ...policy, hostCapabilities: ["net/*"] } },
    expression: "member()",
    message: "no",
  };
  writeFileSync(policies, JSON.stringify({ caller: policy, group }));
  const outcome = parseOptions(
    [
      "--addr",
      "127.0.0.1",
      "--port",
      "0",
      "--readiness-probe-port",
      "0",
      "--policies",
      policies,
      "--workers",
      "1",
    ],
    {},
    { cpus: 1 },
  );
  if (outcome.kind !== "run") throw new Error(JSON.stringify(outcome));
  server = await startServer(outcome.options, log);
});
test.after(async () => {
  await server.stop(1_000);
  rmSync(folder, { recursive: true, force: true });
});

/** The message that a policy answers a call with. */
async function call(policy: string, namespace: string, operation: string, payload: unknown): Promise<string> {
  const annotation = JSON.stringify({ namespace, operation, payload });
  const answer = await fetch(`http://127.0.0.1:${server.port}/validate/${policy}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      apiVersion: "admission.k8s.io/v1",
      kind: "AdmissionReview",
      request: {
        uid: "u",
        kind: { group: "", version: "v1", kind: "Pod" },
        resource: { group: "", version: "v1", resource: "pods" },
        operation: "CREATE",
        userInfo: {},
        object: { apiVersion: "v1", kind: "Pod", metadata: { annotations: { "host-call": annotation } } },
      },
    }),
  });
  const { response } = await answer.json() as {
    response: {
      status: { message: string; details?: { causes?: readonly { message: string }[] } };
    };
  };
  return response.status.details?.causes?.[0]?.message ?? response.status.message;
}

test("what asks for nothing from the cluster is served, the rest is told that there is none", async () => {
  const pods = { api_version: "v1", kind: "Pod" };
  const missing = "Callback evaluation failure: kube::Client was not initialized properly";
  assert.is(await call("caller", "kubernetes", "list_resources_all", pods), missing);
  assert.is(await call("caller", "kubernetes", "list_resources_all", pods), missing);
  assert.match(
    await call("caller", "kubernetes", "list_resources_all", { ...pods, kind: "Secret" }),
    /v1\/Secret/,
  );
  assert.is(await call("caller", "net", "v1/dns_lookup_host", "127.0.0.1"), '{"ips":["127.0.0.1"]}');
  assert.is(warnings.filter((warning) => warning.includes("no Kubernetes cluster is known")).length, 1);
});

test("a group's member has its own grants", async () => {
  assert.match(
    await call("group", "kubernetes", "can_i", {}),
    /^Policy has not been granted access to the 'kubernetes\/can_i' host capability/,
  );
});

test.run();
