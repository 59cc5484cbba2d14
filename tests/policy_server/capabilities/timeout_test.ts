// Issue 4, "Bad input": registries, name servers and API servers that never answer stop nobody but who asked.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { TEXT } from "../../../evaluator/types/evaluation.ts";
import { openTransport } from "../../../kubernetes/apply/api_transport.ts";
import { allCapabilities } from "../../../policy_server/apply/capabilities/all.ts";
import { regoInventory } from "../../../policy_server/apply/capabilities/rego_inventory.ts";
import { type Cluster, openCluster } from "../../../policy_server/apply/kubernetes/cluster.ts";
import { insecure } from "../../artifact/_setting.ts";
import { closeCallers, failure, hostCaller, quietLog, regoVerdict, success } from "./host_caller.ts";

const LOOKUP = "net/v1/dns_lookup_host";
const NAMESPACES = [{ apiVersion: "v1", kind: "Namespace" }, { apiVersion: "v1", kind: "Service" }];

const sockets = new Set<Socket>();
let silent: Server;
let host: string;
let cluster: Cluster;

test.before(async () => {
  silent = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  host = `127.0.0.1:${(silent.address() as { port: number }).port}`;
  cluster = openCluster(
    openTransport(
      `http://${host}`,
      () => Promise.resolve({ headers: {}, tls: { rejectUnauthorized: true } }),
    ),
    () => {},
  );
});
test.after(async () => {
  await closeCallers();
  cluster.close();
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => silent.close(resolve));
});

function capabilities() {
  return allCapabilities({
    artifact: { sources: insecure(host), env: { HOME: "/nonexistent" } },
    trustRoot: () => Promise.resolve(undefined),
    cluster: () => Promise.resolve(cluster),
    log: quietLog().log,
  });
}

test("who asks a registry or an API server that never answers is stopped at its own limit, others go on", async () => {
  const all = capabilities();
  const hasty = await hostCaller(all, { limitMs: 200, contextAwareResources: NAMESPACES });
  const other = await hostCaller(all);
  success(await hasty.call(LOOKUP, "127.0.0.1"));
  const image = `${host}/app:v1`;
  const review = { user: "jane", resource_attributes: { resource: "pods", verb: "get" } };
  const calls: readonly (readonly [string, unknown])[] = [
    ["oci/v1/manifest_digest", image],
    ["oci/v1/oci_manifest", image],
    ["oci/v1/oci_manifest_config", image],
    ["oci/v1/verify", { SigstorePubKeyVerify: { image, pub_keys: ["k"], annotations: null } }],
    ["oci/v2/verify", { type: "SigstorePubKeyVerify", image, pub_keys: ["k"] }],
    ["kubernetes/list_resources_all", { api_version: "v1", kind: "Service" }],
    ["kubernetes/list_resources_by_namespace", { api_version: "v1", kind: "Service", namespace: "a" }],
    ["kubernetes/get_resource", { api_version: "v1", kind: "Service", namespace: "a", name: "b" }],
    ["kubernetes/can_i", { subject_access_review: review, disable_cache: true }],
  ];
  for (const [path, payload] of calls) {
    const asked = hasty.call(path, payload);
    assert.equal(success(await other.call(LOOKUP, "::1")), { ips: ["::1"] }, path);
    const text = failure(await asked);
    // A key that is none is told at once.
    if (path.endsWith("verify")) {
      assert.ok(text === TEXT.interrupted || /^Callback evaluation failure: /.test(text));
    } else assert.is(text, TEXT.interrupted, path);
  }
});

test("the inventory of a Rego policy is waited for no longer than the policy may take", async () => {
  const inventory = regoInventory(() => Promise.resolve(cluster));
  for (const policy of ["opa-context", "gatekeeper-context"]) {
    const { allowed, message } = await regoVerdict(
      policy,
      NAMESPACES,
      inventory,
      { uid: "u" },
      ["*"],
      {},
      300,
    );
    assert.is(allowed, false);
    assert.is(message, TEXT.regoInterrupted, policy);
  }
});

const namespaces = ["--net", "--mount", "sh", "-c"];
const hasNamespaces = spawnSync("unshare", [...namespaces, "ip link set lo up"]).status === 0;
const title = "a name server that never answers";
if (!hasNamespaces) test.skip(`${title} (needs root, unshare and ip for a network of its own)`, () => {});
else {
  test(title, () => {
    const folder = mkdtempSync(join(tmpdir(), "resolver-"));
    const configuration = join(folder, "resolv.conf");
    writeFileSync(configuration, "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n");
    const program = fileURLToPath(new URL("silent_resolver.ts", import.meta.url));
    const script = 'ip link set lo up && mount --bind "$1" /etc/resolv.conf && exec "$2" "$3"';
    const ran = spawnSync(
      "unshare",
      [...namespaces, script, "sh", configuration, process.execPath, program],
      {
        encoding: "utf8",
        timeout: 50_000,
      },
    );
    rmSync(folder, { recursive: true });
    assert.is(ran.status, 0, ran.stderr);
    const { hasty, literal, slow, asked } = JSON.parse(ran.stdout);
    for (const answer of hasty) assert.equal(answer, { ok: false, text: TEXT.interrupted });
    assert.equal(literal, { ok: true, text: '{"ips":["127.0.0.1"]}' });
    assert.is(slow.ok, false);
    assert.match(slow.text, /^Callback evaluation failure: failed to lookup address information: /);
    assert.ok(asked, "the name server was asked");
  });
}

test.run();
