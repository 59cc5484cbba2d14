// Issue 4: for each mode and each capability a guest that no host-side code was written for, against real counterparts: a
// kube-apiserver, an OCI registry, the system's resolver, certificates. The guests: Go's compiler with WASI, the official waPC
// kit (Rust), the official Extism kits (Rust and AssemblyScript), `opa build`.
import { readFileSync } from "node:fs";
import { lookup } from "node:dns/promises";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Capabilities, hostCallHandler } from "../../../evaluator/apply/host_calls.ts";
import { EvaluatorPool, wholeRequest } from "../../../evaluator/apply/pool.ts";
import { prepareModule } from "../../../evaluator/apply/prepare.ts";
import { WORKER_URL } from "../../../evaluator/apply/worker_url.ts";
import type { Verdict } from "../../../evaluator/types/evaluation.ts";
import { parseCapabilities } from "../../../evaluator/types/host_capabilities.ts";
import { allCapabilities } from "../../../policy_server/apply/capabilities/all.ts";
import { type Cluster, openCluster } from "../../../policy_server/apply/kubernetes/cluster.ts";
import { descriptor, OCI_MANIFEST, putBlob, putImage, putManifest } from "../../artifact/_image.ts";
import {
  REGISTRY_BINARY,
  REGISTRY_MISSING,
  startRegistry,
  type TestRegistry,
} from "../../artifact/_registry.ts";
import { insecure, trustRootOf } from "../../artifact/_setting.ts";
import { createSigstore, keyPair, pem } from "../../artifact/_sigstore.ts";
import { binariesFolder, HOW_TO_GET_BINARIES } from "../../cluster/binaries/locate.ts";
import { type ControlPlane, startControlPlane } from "../../cluster/control_plane.ts";
import { closeCallers, hostCaller, quietLog, success } from "./host_caller.ts";

const missing = [
  ...(binariesFolder() === undefined ? [HOW_TO_GET_BINARIES] : []),
  ...(REGISTRY_BINARY === undefined ? [REGISTRY_MISSING] : []),
];
const real: typeof test = (missing.length === 0 ? test : test.skip) as typeof test;
if (missing.length > 0) test.skip(`every mode and capability: ${missing.join("; ")}`, () => {});

const GRANTED = [{ apiVersion: "v1", kind: "ConfigMap" }, { apiVersion: "v1", kind: "Namespace" }];
const encoder = new TextEncoder();
const keys = keyPair();

let plane: ControlPlane;
let registry: TestRegistry;
let cluster: Cluster;
let pool: EvaluatorPool;
let capabilities: Capabilities;
let image: string;
let digest: string;
/** The payload of a successful call of each capability. */
let calls: Readonly<Record<string, unknown>>;

async function api(path: string, body: unknown): Promise<void> {
  const answer = await plane.admin.request({
    method: "POST",
    path,
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (answer.status >= 300) throw new Error(await answer.text());
}

/** An image with a configuration, signed by a key, by a person, and by one of GitHub's workflows. */
async function putSigned(base: string): Promise<string> {
  const config = {
    mediaType: "application/vnd.oci.image.config.v1+json",
    bytes: Buffer.from('{"architecture":"amd64","os":"linux","config":{"User":"65533"}}'),
  };
  const layer = { mediaType: "application/vnd.oci.image.layer.v1.tar", bytes: Buffer.from("layer") };
  for (const { bytes } of [config, layer]) await putBlob(base, "app", bytes);
  return await putManifest(base, "app", "v1", {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: descriptor(config),
    layers: [descriptor(layer)],
  });
}

if (missing.length === 0) {
  test.before(async () => {
    const sigstore = await createSigstore();
    [plane, registry] = await Promise.all([startControlPlane(), startRegistry()]);
    const base = `http://${registry.host}`;
    image = `${registry.host}/app:v1`;
    digest = await putSigned(base);
    const github = "https://token.actions.githubusercontent.com";
    const uri = "https://github.com/org/repo/.github/workflows/x.yml@refs/heads/main";
    const person = await sigstore.certificate({ email: "user@provider.test" });
    const page = await sigstore.certificate({ uri: "https://provider.test/team/page" });
    const workflow = await sigstore.certificate({ issuer: github, uri, repository: "org/repo" });
    await putImage(base, "app", `${digest.replace(":", "-")}.sig`, [
      sigstore.simpleSigning(digest, { keys }),
      ...[person, page, workflow].map((certificate) => sigstore.simpleSigning(digest, { certificate })),
    ]);
    await api("/api/v1/namespaces", { apiVersion: "v1", kind: "Namespace", metadata: { name: "one" } });
    await api("/api/v1/namespaces/one/configmaps", {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "a", labels: { app: "x" } },
      data: { k: "1" },
    });
    cluster = openCluster(plane.admin, () => {});
    const trustRoot = await trustRootOf(sigstore.trustedRoot());
    capabilities = allCapabilities({
      artifact: { sources: insecure(registry.host), env: { HOME: "/nonexistent" } },
      trustRoot: () => Promise.resolve(trustRoot),
      cluster: () => Promise.resolve(cluster),
      log: quietLog().log,
    });
    pool = new EvaluatorPool({ worker: WORKER_URL, threads: 1 });
    const issuer = "https://accounts.test";
    const leaf = await plane.authority.issue({ commonName: "leaf" });
    const kind = { api_version: "v1", kind: "ConfigMap" };
    const certificate = (text: string) => ({ encoding: "Pem", data: [...Buffer.from(text)] });
    calls = {
      "net/v1/dns_lookup_host": "localhost",
      "crypto/v1/is_certificate_trusted": {
        cert: certificate(leaf.cert),
        cert_chain: [certificate(plane.authority.cert)],
        not_after: "",
      },
      "oci/v1/manifest_digest": image,
      "oci/v1/oci_manifest": image,
      "oci/v1/oci_manifest_config": image,
      "oci/v1/verify": {
        SigstorePubKeyVerify: { image, pub_keys: [pem(keys.publicKey)], annotations: null },
      },
      "oci/v2/verify": { type: "SigstorePubKeyVerify", image, pub_keys: [pem(keys.publicKey)] },
      "oci/v1/verify keyless": {
        SigstoreKeylessVerify: {
          image,
          keyless: [{ issuer, subject: "user@provider.test" }],
          annotations: null,
        },
      },
      "oci/v2/verify keyless": {
        type: "SigstoreKeylessVerify",
        image,
        keyless: [{ issuer, subject: "user@provider.test" }],
      },
      "oci/v2/verify prefix": {
        type: "SigstoreKeylessPrefixVerify",
        image,
        keyless_prefix: [{ issuer, url_prefix: "https://provider.test/team" }],
      },
      "oci/v2/verify github": { type: "SigstoreGithubActionsVerify", image, owner: "org", repo: "repo" },
      "oci/v2/verify certificate": {
        type: "SigstoreCertificateVerify",
        image,
        certificate: [...Buffer.from(person.pem)],
        require_rekor_bundle: true,
      },
      "kubernetes/list_resources_all": { ...kind, label_selector: "app=x", field_masks: ["data.k"] },
      "kubernetes/list_resources_by_namespace": { ...kind, namespace: "one", label_selector: "app=x" },
      "kubernetes/get_resource": { ...kind, namespace: "one", name: "a", disable_cache: true },
      "kubernetes/can_i": {
        subject_access_review: { user: "jane", resource_attributes: { resource: "pods", verb: "get" } },
        disable_cache: true,
      },
    };
  });
  test.after(async () => {
    await pool.close();
    await closeCallers();
    cluster.close();
    await Promise.all([plane.stop(), registry.stop()]);
  });
}

const modules = new Map<string, number>();

/** The verdict of a committed policy on a request, with these settings. */
async function judge(policy: string, settings: unknown, request: unknown): Promise<Verdict> {
  const path = fileURLToPath(new URL(`../../policies/${policy}/policy.wasm`, import.meta.url));
  const module = modules.get(policy) ??
    pool.addModule(await prepareModule(new Uint8Array(readFileSync(path)), { memoryMib: 256 }));
  modules.set(policy, module);
  const allowed = parseCapabilities(["*"]);
  if (typeof allowed === "string") throw new Error(allowed);
  const handler = hostCallHandler({ policy, contextAwareResources: GRANTED }, allowed, capabilities);
  const number = pool.addPolicy(
    { id: policy, module, settings: encoder.encode(JSON.stringify(settings)), limitMs: 60_000 },
    handler,
  );
  const json = encoder.encode(JSON.stringify(request));
  const outcome = await pool.validate(number, wholeRequest({ json, object: undefined }));
  pool.remove([number], []);
  if (outcome.kind !== "verdict") throw new Error(JSON.stringify(outcome));
  return outcome.verdict;
}

/** What must be in the answer of each capability. */
const EXPECTED: Readonly<Record<string, RegExp>> = {
  "net/v1/dns_lookup_host": /^\{"ips":\[.*"(127\.0\.0\.1|::1)"/,
  "crypto/v1/is_certificate_trusted": /^\{"trusted":true,"reason":""\}$/,
  "oci/v1/manifest_digest": /^\{"digest":"sha256:[0-9a-f]{64}"\}$/,
  "oci/v1/oci_manifest": /"layers":\[\{/,
  "oci/v1/oci_manifest_config": /"config":\{"architecture":"amd64".*"User":"65533"/,
  "oci/v1/verify": /"is_trusted":true/,
  "oci/v2/verify": /"is_trusted":true/,
  "kubernetes/list_resources_all": /"kind":"ConfigMapList".*"name":"a"/,
  "kubernetes/list_resources_by_namespace": /"kind":"ConfigMapList".*"name":"a"/,
  "kubernetes/get_resource": /"kind":"ConfigMap".*"name":"a"/,
  "kubernetes/can_i": /^\{"allowed":false/,
};

real("every capability answers a guest of waPC and one of WASI alike", async () => {
  const wapc = await hostCaller(capabilities, { contextAwareResources: GRANTED });
  const seen = new Set<string>();
  for (const [call, payload] of Object.entries(calls)) {
    const [path = ""] = call.split(" ");
    seen.add(path);
    const answer = await wapc.call(path, payload);
    success(answer);
    assert.match(answer.text, EXPECTED[path]!, call);
    const [namespace, ...operation] = path.split("/");
    const hostCall = { namespace, operation: operation.join("/"), payload };
    const { allowed, status } = await judge("wasi-go", { hostCall }, { object: {} });
    assert.ok(allowed, `${call}: ${status?.message}`);
    assert.equal(JSON.parse(status!.message!), JSON.parse(answer.text), call);
  }
  assert.equal([...seen].sort(), Object.keys(capabilities).sort(), "these are all");
});

real("Extism's Rust kit: a digest of the registry's", async () => {
  const pod = { object: { spec: { containers: [{ image }] } } };
  const settings = { allowedRegistries: [registry.host], pinDigests: true };
  const pinned = { spec: { containers: [{ image: `${image}@${digest}` }] } };
  const module = "extism-rust";
  const json = encoder.encode(JSON.stringify(pod));
  const start = JSON.stringify(pod).indexOf('{"spec"');
  await judge(module, settings, pod);
  const allowed = parseCapabilities(["oci/*"]);
  if (typeof allowed === "string") throw new Error(allowed);
  const number = pool.addPolicy(
    {
      id: module,
      module: modules.get(module)!,
      settings: encoder.encode(JSON.stringify(settings)),
      limitMs: 60_000,
    },
    hostCallHandler({ policy: module, contextAwareResources: [] }, allowed, capabilities),
  );
  const outcome = await pool.validate(number, wholeRequest({ json, object: [start, json.length - 1] }));
  if (outcome.kind !== "verdict") throw new Error(JSON.stringify(outcome));
  assert.ok(outcome.verdict.allowed, JSON.stringify(outcome.verdict));
  assert.equal(JSON.parse(outcome.verdict.patch!), [{
    op: "replace",
    path: "/spec/containers/0/image",
    value: pinned.spec.containers[0]!.image,
  }]);
});

real("Extism's AssemblyScript kit: addresses of the system's resolver", async () => {
  const ingress = (host: string) => ({ object: { spec: { ingressClassName: "a", rules: [{ host }] } } });
  const settings = { domains: ["localhost", "invalid"], mustResolve: true, defaultClass: "a" };
  assert.ok((await judge("extism-assemblyscript", settings, ingress("localhost"))).allowed);
  const { allowed, status } = await judge("extism-assemblyscript", settings, ingress("no-such-host.invalid"));
  assert.is(allowed, false);
  assert.match(status?.message ?? "", /can't be looked up: Callback evaluation failure: failed to lookup/);
});

real("Rego: addresses of the system's resolver", async () => {
  const request = { calls: [{ name: "net.lookup_ip_addr", operands: ["localhost"] }] };
  const { warnings } = await judge("rego-builtins", {}, request);
  const addresses = (await lookup("localhost", { all: true })).map(({ address }) => address);
  assert.equal(JSON.parse(warnings![0]!), [[0, "set", [...new Set(addresses)].sort()]]);
});

test.run();
