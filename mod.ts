/**
 * Portreeve's evaluator as a library: load a Kubewarden policy, ask it for a verdict, read its metadata.
 *
 * ```ts
 * import { loadPolicy } from "portreeve";
 *
 * await using policy = await loadPolicy("policies/required-labels/policy.wasm", {
 *   settings: { required: ["owner"] },
 * });
 * const verdict = await policy.validate({
 *   uid: "1",
 *   kind: { group: "", version: "v1", kind: "Pod" },
 *   resource: { group: "", version: "v1", resource: "pods" },
 *   operation: "CREATE",
 *   userInfo: { username: "alice" },
 *   object: { apiVersion: "v1", kind: "Pod", metadata: { name: "web", labels: {} } },
 * });
 * console.log(verdict.allowed, verdict.status?.message);
 * ```
 *
 * Policies run in worker threads, or with `threads: 0` in the calling thread. Either way they see no file, no network and no
 * environment, are stopped when their time is up, and know nothing of earlier requests.
 *
 * @module
 */
import "./program/check_runtime.ts";
import { loadPart } from "./admission/apply/load_part.ts";
import { type Host, PolicyError } from "./admission/mod.ts";
import type { HostOptions, OpenHost } from "./policy_server/apply/host.ts";
import { osErrorText } from "./program/render/os_error.ts";
import { boundedText } from "./program/types/bounded_text.ts";

export * from "./admission/mod.ts";
export type { HostOptions, OpenHost };

export {
  ArtifactError,
  fetchPolicy,
  loadTrustRoot,
  parseVerificationConfig,
  verifyPolicy,
} from "./artifact/mod.ts";
export type {
  Annotations,
  ArtifactErrorCode,
  ArtifactEvent,
  ArtifactOptions,
  Destination,
  Environment,
  FetchedPolicy,
  Limits,
  LogLevel,
  OnEvent,
  Proxies,
  Signature,
  Sources,
  Subject,
  TrustRoot,
  TrustRootSource,
  VerificationConfig,
  VerifiedImage,
} from "./artifact/mod.ts";

/**
 * Opens the world that policies ask: a cluster, registries, signatures, names and certificates. What a policy may ask of it, its own
 * `hostCapabilities` say. It needs worker threads (`threads` of 1 or more).
 *
 * ```ts
 * using host = await hostCapabilities({ kubeconfig: true });
 * await using policy = await loadPolicy("policy.wasm", { host, hostCapabilities: ["kubernetes/get_resource"] });
 * ```
 */
export async function hostCapabilities(options: HostOptions = {}): Promise<OpenHost> {
  const { openHost } = await loadPart(import("./policy_server/apply/host.ts"));
  return openHost(options);
}

/**
 * A world that answers what a session recorded (`reeve run --record-host-capabilities-interactions`), in its order, and nothing
 * else: for tests of policies that ask. It needs no threads.
 *
 * @throws {PolicyError} `unreadable_session`, when it can't be read
 */
export async function replaySession(file: string | URL): Promise<Host> {
  const [{ readFile }, { readSession }, { replayedHost }] = await loadPart(Promise.all([
    import("node:fs/promises"),
    import("./cli/render/exchange.ts"),
    import("./cli/apply/recording.ts"),
  ]));
  const text = await readFile(file, "utf8").catch((error) => {
    const reason = `cannot read the session ${boundedText(String(file), 500)}: ${osErrorText(error)}`;
    throw new PolicyError("unreadable_session", reason, { cause: error });
  });
  try {
    return replayedHost(readSession(text, String(file)));
  } catch (error) {
    throw new PolicyError("unreadable_session", (error as Error).message, { cause: error });
  }
}
