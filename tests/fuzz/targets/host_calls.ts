/**
 * Host calls of guests: every capability, offline (no registry, no resolver, no cluster answers). The input's first line is
 * `namespace/operation`, the rest the payload. Always an answer; its error is bounded.
 */
import { Buffer } from "node:buffer";
import { hostCallHandler } from "../../../evaluator/apply/host_calls.ts";
import { readHostCall } from "../../../evaluator/render/extism_call.ts";
import { policyLogEntry } from "../../../evaluator/render/policy_log.ts";
import { type CapabilityAllowList, parseCapabilities } from "../../../evaluator/types/host_capabilities.ts";
import { allCapabilities } from "../../../policy_server/apply/capabilities/all.ts";
import { createLog } from "../../../policy_server/apply/log.ts";
import { HOSTILE_WORDS, mutateJson } from "../mutate.ts";
import { Finding, type Target } from "../target.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const MAX_ERROR = 4096;
const bytes = (text: string) => [...encoder.encode(text)];
const PEM =
  "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIBATAKBggqhkjOPQQDAjAAMB4XDTI2MDEwMTAwMDAwMFoX\n-----END CERTIFICATE-----\n";
const image = "127.0.0.1:9/a/b:v1";
const keyless = [{ issuer: "https://example.org", subject: "a@example.org" }];

const CALLS: readonly (readonly [string, unknown])[] = [
  ["oci/v1/verify", { SigstorePubKeyVerify: { image, pub_keys: ["k"], annotations: { a: "b" } } }],
  ["oci/v1/verify", { SigstoreKeylessVerify: { image, keyless, annotations: null } }],
  ["oci/v2/verify", {
    type: "SigstoreKeylessPrefixVerify",
    image,
    keyless: [{ issuer: "i", url_prefix: "https://a/b" }],
  }],
  ["oci/v2/verify", { type: "SigstoreGithubActionsVerify", image, owner: "o", repo: "r" }],
  ["oci/v2/verify", {
    type: "SigstoreCertificateVerify",
    image,
    certificate: bytes(PEM),
    certificate_chain: [bytes(PEM)],
  }],
  ["oci/v1/manifest_digest", image],
  ["oci/v1/oci_manifest", image],
  ["oci/v1/oci_manifest_config", "registry://127.0.0.1:9/a/b"],
  ["net/v1/dns_lookup_host", ["not", "a", "name"]],
  ["crypto/v1/is_certificate_trusted", {
    cert: { encoding: "Pem", data: bytes(PEM) },
    cert_chain: [{ encoding: "Der", data: [48, 130, 1, 2] }],
    not_after: "2026-01-01T00:00:00Z",
  }],
  ["kubernetes/list_resources_all", {
    api_version: "v1",
    kind: "Pod",
    label_selector: "a=b",
    field_masks: ["a.b"],
  }],
  ["kubernetes/list_resources_by_namespace", {
    api_version: "v1",
    kind: "Pod",
    namespace: "n",
    field_selector: "a",
  }],
  ["kubernetes/get_resource", {
    api_version: "v1",
    kind: "Pod",
    name: "p",
    namespace: "n",
    disable_cache: true,
  }],
  ["kubernetes/can_i", {
    subject_access_review: {
      resource_attributes: { verb: "get", resource: "pods" },
      user: "u",
      groups: ["g"],
    },
    disable_cache: false,
  }],
  ["tracing/log", { level: "INFO", message: "m", data: { a: 1 } }],
  ["extism/call", { binding: "kubewarden", ns: "net", op: "v1/dns_lookup_host", payload: "x" }],
];
const WORDS = [
  "image",
  "pub_keys",
  "keyless",
  "issuer",
  "subject",
  "annotations",
  "type",
  "owner",
  "repo",
  "certificate",
  "certificate_chain",
  "require_rekor_bundle",
  "cert",
  "cert_chain",
  "encoding",
  "Pem",
  "Der",
  "data",
  "not_after",
  "api_version",
  "kind",
  "name",
  "namespace",
  "label_selector",
  "field_selector",
  "field_masks",
  "disable_cache",
  "resource_attributes",
  "level",
  "message",
  "binding",
  "payload",
  "v1",
  "Pod",
];
const PATHS = [...new Set(CALLS.map(([path]) => path))];

const log = createLog({ level: "error", format: "text", output: () => 0 });
// Nothing listens on the discard port; requests go nowhere else.
const proxy = "http://127.0.0.1:9";
const capabilities = allCapabilities({
  artifact: {
    env: { HOME: "/nonexistent" },
    sources: {
      insecureSources: new Set(),
      authorities: new Map(),
      proxies: { httpProxy: proxy, httpsProxy: proxy, noProxy: undefined },
    } as never,
    limits: { retries: 0, connectMs: 500, responseMs: 500 },
  },
  trustRoot: () => Promise.resolve(undefined),
  log,
  cluster: () => Promise.resolve(undefined),
});
const handler = hostCallHandler(
  { policy: "p", contextAwareResources: [{ apiVersion: "v1", kind: "Pod" }] },
  parseCapabilities(["*"]) as CapabilityAllowList,
  capabilities,
);

const payloads = new Map<string, readonly Uint8Array[]>(
  PATHS.map((path) => [
    path,
    CALLS.filter(([name]) => name === path).map(([, payload]) => encoder.encode(JSON.stringify(payload))),
  ]),
);
const withPath = (path: string, payload: Uint8Array) => Buffer.concat([Buffer.from(`${path}\n`), payload]);

/** Whether a payload would make the resolver be asked. */
function isName(payload: Uint8Array): boolean {
  try {
    return typeof JSON.parse(decoder.decode(payload)) === "string";
  } catch {
    return false;
  }
}

/** A call that was answered with an error: what a guest does wrong. */
class Refused extends Error {}

export const target: Target = {
  name: "host-calls",
  seeds: () => CALLS.map(([path, payload]) => withPath(path, encoder.encode(JSON.stringify(payload)))),
  generate: (random) => {
    const path = random.pick(PATHS);
    const payload = mutateJson(random, payloads.get(path)!, random.oneIn(8) ? HOSTILE_WORDS : WORDS);
    const named = random.oneIn(20) ? `${random.pick(HOSTILE_WORDS)}/${random.pick(HOSTILE_WORDS)}` : path;
    return withPath(named.replaceAll("\n", " "), payload);
  },
  expected: [Refused],
  limitMs: 1_000,
  run: async (input) => {
    const newline = input.indexOf(0x0a);
    const path = decoder.decode(input.subarray(0, Math.max(0, newline)));
    const payload = input.subarray(newline + 1);
    const bounded = (error: string) => {
      if (Buffer.byteLength(error) > MAX_ERROR) {
        throw new Finding(
          "long error",
          `the error of ${PATHS.includes(path) ? path : "an unknown call"} is too long`,
        );
      }
      throw new Refused(error);
    };
    if (path === "tracing/log") return void policyLogEntry(payload);
    if (path === "extism/call") {
      try {
        return void readHostCall(payload);
      } catch (error) {
        if ((error as Error).name !== "HostCallError") throw error;
        return bounded((error as Error).message);
      }
    }
    if (path === "net/v1/dns_lookup_host" && isName(payload)) return;
    const slash = path.indexOf("/");
    const call = { namespace: path.slice(0, Math.max(0, slash)), operation: path.slice(slash + 1), payload };
    const answer = await handler(call);
    if (!answer.ok) return bounded(answer.error);
  },
};
