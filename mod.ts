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
import { readFile } from "node:fs/promises";
import { Policy, PolicyError, type PolicyOptions } from "./evaluator/apply/policy.ts";

export { Policy, PolicyError, type PolicyOptions };
export { ModuleError, readMetadata } from "./evaluator/apply/prepare.ts";
export type {
  AdmissionStatus,
  HostCall,
  HostCallAnswer,
  InventoryRequest,
  PolicyLogEntry,
  SettingsVerdict,
  StatusCause,
  StatusDetails,
  Verdict,
} from "./evaluator/types/evaluation.ts";
export type {
  ContextAwareResource,
  ExecutionMode,
  PolicyMetadata,
  PolicyRule,
} from "./evaluator/types/metadata.ts";

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

/** No policy comes near; a module is held in memory twice while it is prepared. */
const MAX_MODULE_BYTES = 256 * 1024 * 1024;

/**
 * Loads a policy from the bytes of its module, from a path, or from a `file:`, `http:` or `https:` URL.
 *
 * @throws {PolicyError} when the module can't be got
 * @throws {ModuleError} when it is no module that can be run
 */
export async function loadPolicy(
  source: Uint8Array | string | URL,
  options: PolicyOptions = {},
): Promise<Policy> {
  if (source instanceof Uint8Array) return await Policy.fromBytes(source, options);
  const name = options.name ?? String(source);
  return await Policy.fromBytes(await readModule(source), { ...options, name });
}

async function readModule(source: string | URL): Promise<Uint8Array> {
  try {
    const url = source instanceof URL
      ? source
      : /^(file|https?):\/\//.test(source)
      ? new URL(source)
      : undefined;
    if (url === undefined || url.protocol === "file:") return new Uint8Array(await readFile(url ?? source));
    return await download(url);
  } catch (error) {
    if (error instanceof PolicyError) throw error;
    throw new PolicyError(`cannot load the policy ${source}: ${(error as Error).message}`, { cause: error });
  }
}

async function download(url: URL): Promise<Uint8Array> {
  const response = await fetch(url, { signal: AbortSignal.timeout(60_000) });
  if (!response.ok || !response.body) {
    throw new PolicyError(`cannot load the policy ${url}: HTTP status ${response.status}`);
  }
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body) {
    length += chunk.length;
    if (length > MAX_MODULE_BYTES) {
      throw new PolicyError(`the policy ${url} has over ${MAX_MODULE_BYTES} bytes`);
    }
    chunks.push(chunk);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
