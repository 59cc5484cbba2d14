// What a policy in TypeScript asks of its host: the words of `spec/evaluator.md §5`, and what it makes of the answers.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadPolicy } from "../../mod.ts";
import { openFolder } from "../cli/folder.ts";
import { build, REQUEST, ROOT, validating } from "./building.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

const PEM = "-----BEGIN CERTIFICATE-----\n";
const ints = (text: string) => [...encoder.encode(text)];

/** A call of the SDK, what the host is asked, what it answers, and what the policy gets. */
const CALLS:
  readonly (readonly [call: string, path: string, payload: unknown, answer: unknown, got: unknown])[] = [
    [
      'getResource(host, { apiVersion: "v1", kind: "Namespace", name: "a" })',
      "kubernetes/get_resource",
      { api_version: "v1", kind: "Namespace", name: "a", disable_cache: false },
      { metadata: { name: "a" } },
      { metadata: { name: "a" } },
    ],
    [
      'getResource(host, { apiVersion: "v1", kind: "Pod", name: "a", namespace: "b", disableCache: true })',
      "kubernetes/get_resource",
      { api_version: "v1", kind: "Pod", name: "a", namespace: "b", disable_cache: true },
      {},
      {},
    ],
    [
      'listResources(host, { apiVersion: "v1", kind: "Pod" })',
      "kubernetes/list_resources_all",
      { api_version: "v1", kind: "Pod" },
      { apiVersion: "v1", kind: "PodList", metadata: {}, items: [1, 2] },
      [1, 2],
    ],
    [
      'listResources(host, { apiVersion: "v1", kind: "Pod", namespace: "a", labelSelector: "b=c", fieldSelector: "d=e" })',
      "kubernetes/list_resources_by_namespace",
      { api_version: "v1", kind: "Pod", namespace: "a", label_selector: "b=c", field_selector: "d=e" },
      { items: [] },
      [],
    ],
    [
      'canI(host, { user: "u", groups: ["g"], resource: "pods", verb: "get", namespace: "n" })',
      "kubernetes/can_i",
      {
        subject_access_review: {
          user: "u",
          groups: ["g"],
          resource_attributes: { resource: "pods", verb: "get", namespace: "n" },
        },
        disable_cache: false,
      },
      { allowed: true },
      true,
    ],
    ['manifestDigest(host, "a:1")', "oci/v1/manifest_digest", "a:1", { digest: "sha256:1" }, "sha256:1"],
    ['imageManifest(host, "a:1")', "oci/v1/oci_manifest", "a:1", { layers: [] }, { layers: [] }],
    [
      'imageConfig(host, "a:1")',
      "oci/v1/oci_manifest_config",
      "a:1",
      { manifest: {}, digest: "d", config: {} },
      { manifest: {}, digest: "d", config: {} },
    ],
    [
      'verifyImage(host, "a", { publicKeys: ["k"] }, { b: "c" })',
      "oci/v2/verify",
      { type: "SigstorePubKeyVerify", pub_keys: ["k"], image: "a", annotations: { b: "c" } },
      { is_trusted: true, digest: "d" },
      "d",
    ],
    [
      'verifyImage(host, "a", { keyless: [{ issuer: "i", subject: "s" }] })',
      "oci/v2/verify",
      { type: "SigstoreKeylessVerify", keyless: [{ issuer: "i", subject: "s" }], image: "a" },
      { is_trusted: true, digest: "d" },
      "d",
    ],
    [
      'verifyImage(host, "a", { keylessPrefix: [{ issuer: "i", urlPrefix: "u" }] })',
      "oci/v2/verify",
      { type: "SigstoreKeylessPrefixVerify", keyless_prefix: [{ issuer: "i", url_prefix: "u" }], image: "a" },
      { is_trusted: true, digest: "d" },
      "d",
    ],
    [
      'verifyImage(host, "a", { githubActions: { owner: "o", repository: "r" } })',
      "oci/v2/verify",
      { type: "SigstoreGithubActionsVerify", owner: "o", repo: "r", image: "a" },
      { is_trusted: true, digest: "d" },
      "d",
    ],
    ['lookupHost(host, "a")', "net/v1/dns_lookup_host", "a", { ips: ["192.0.2.1"] }, ["192.0.2.1"]],
    [
      `isCertificateTrusted(host, ${
        JSON.stringify(PEM)
      }, [new Uint8Array([1, 255])], "2026-01-01T00:00:00Z")`,
      "crypto/v1/is_certificate_trusted",
      {
        cert: { encoding: "Pem", data: ints(PEM) },
        cert_chain: [{ encoding: "Der", data: [1, 255] }],
        not_after: "2026-01-01T00:00:00Z",
      },
      { trusted: false, reason: "r" },
      { trusted: false, reason: "r" },
    ],
    [
      `isCertificateTrusted(host, "a")`,
      "crypto/v1/is_certificate_trusted",
      { cert: { encoding: "Pem", data: ints("a") }, cert_chain: null, not_after: null },
      { trusted: true, reason: "" },
      { trusted: true, reason: "" },
    ],
    ['host.call("a", "b/c", { d: "ü😀" })', "a/b/c", { d: "ü😀" }, "ö\u2028", "ö\u2028"],
  ];

const FUNCTIONS =
  "canI, getResource, HostError, imageConfig, imageManifest, isCertificateTrusted, listResources, lookupHost, " +
  "manifestDigest, verifyImage";

test("each capability asks what the host understands, and reads what it answers", async () => {
  const cases = CALLS.map(([call], index) => `case "${index}": return reject(JSON.stringify(${call}));`).join(
    "\n",
  );
  const wasm = await build(validating(
    `switch (request.uid) {
      ${cases}
      default: return accept();
    }`,
    `import { ${FUNCTIONS} } from "portreeve/policy";\nvoid HostError;`,
  ));
  const asked: (readonly [path: string, payload: unknown])[] = [];
  await using policy = await loadPolicy(wasm, {
    onHostCall: ({ namespace, operation, payload }) => {
      asked.push([`${namespace}/${operation}`, JSON.parse(decoder.decode(payload))]);
      return { ok: true, payload: encoder.encode(JSON.stringify(CALLS[asked.length - 1]![3])) };
    },
  });
  for (const [index, [call, path, payload, , got]] of CALLS.entries()) {
    const { status } = await policy.validate({ ...REQUEST, uid: String(index) });
    assert.equal(asked[index], [path, payload], call);
    assert.equal(JSON.parse(status!.message!), got, call);
  }
});

test("a call that fails is an error that a policy can catch", async () => {
  const wasm = await build(validating(
    `try {
      host.call("net", "v1/dns_lookup_host", "a");
    } catch (error) {
      return reject(String(error instanceof HostError) + (error as Error).message);
    }
    return accept();`,
    'import { HostError } from "portreeve/policy";',
  ));
  await using policy = await loadPolicy(wasm, {
    onHostCall: () => ({ ok: false, error: "no such host: ü" }),
  });
  assert.is((await policy.validate(REQUEST)).status?.message, "trueno such host: ü");
});

const TRUSTED = join(ROOT, "policies/trusted-registries");

test("trusted-registries pins the digests that its host names, and leaves the rest as it is", async () => {
  const asked: string[] = [];
  await using policy = await loadPolicy(new Uint8Array(readFileSync(join(TRUSTED, "policy.wasm"))), {
    settings: { registries: ["registry.example.org", "docker.io"], pinDigests: true },
    onHostCall: ({ payload }) => {
      asked.push(JSON.parse(decoder.decode(payload)));
      return { ok: true, payload: encoder.encode('{"digest":"sha256:abc"}') };
    },
  });
  const patchOf = async (name: string) => {
    const { request } = JSON.parse(readFileSync(join(TRUSTED, `requests/${name}.json`), "utf8"));
    const { patch, allowed } = await policy.validate(request);
    assert.is(allowed, true);
    return patch && JSON.parse(patch);
  };
  assert.equal(await patchOf("trusted"), [
    { op: "replace", path: "/spec/containers/0/image", value: "registry.example.org/team/web:1@sha256:abc" },
  ]);
  assert.equal(await patchOf("short-name"), [
    { op: "replace", path: "/spec/containers/0/image", value: "nginx:1.27@sha256:abc" },
    { op: "replace", path: "/spec/containers/1/image", value: "team/app@sha256:abc" },
  ]);
  assert.is(await patchOf("service"), undefined);
  assert.equal(asked, [
    "registry.example.org/team/web:1",
    "docker.io/library/nginx:1.27",
    "docker.io/team/app",
  ]);
});

test("policies that ask their host answer as their suites say", async () => {
  const folder = openFolder();
  try {
    for (const suite of ["trusted-registries/registry.yml", "unique-ingress-host/cluster.yml"]) {
      const { exit, stdout, stderr } = await folder.run(["test", join(ROOT, "policies", suite)]);
      assert.is(exit, 0, stdout + stderr);
    }
  } finally {
    folder.remove();
  }
});

test.run();
