/** Calls the host's capabilities as a policy does: from the guest `host-caller`, through threads and gates. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Capabilities, hostCallHandler } from "../../../evaluator/apply/host_calls.ts";
import { EvaluatorPool, wholeRequest } from "../../../evaluator/apply/pool.ts";
import { prepareModule } from "../../../evaluator/apply/prepare.ts";
import { WORKER_URL } from "../../../evaluator/apply/worker_url.ts";
import type { InventoryHandler } from "../../../evaluator/types/evaluation.ts";
import { parseCapabilities } from "../../../evaluator/types/host_capabilities.ts";
import type { ContextAwareResource } from "../../../evaluator/types/metadata.ts";

/** What the guest got back: the response, or the error's text. */
export type Answer = { readonly ok: boolean; readonly text: string };

/** A policy that calls. */
export type HostCaller = {
  /** Calls `namespace/operation` with a payload: text is sent as it is, anything else as JSON. */
  call(path: string, payload: unknown): Promise<Answer>;
};

/** What the policy is granted. */
export type Grants = {
  readonly hostCapabilities?: readonly string[];
  readonly contextAwareResources?: readonly ContextAwareResource[];
  readonly limitMs?: number;
};

/** Sends `payload` as it is, be it JSON or not. */
export class RawPayload {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

const WASM = fileURLToPath(new URL("../../policies/host-caller/policy.wasm", import.meta.url));

/** What a Rego policy answered. */
export type RegoVerdict = {
  readonly allowed: boolean;
  readonly message: string | undefined;
  readonly warnings?: readonly string[];
};

/**
 * The verdict of one of the test policies on a request, with this inventory and these host capabilities: whether it allows, and
 * what it says.
 */
export async function regoVerdict(
  policy: string,
  contextAwareResources: readonly ContextAwareResource[],
  inventory: InventoryHandler,
  request: unknown,
  hostCapabilities: readonly string[] = ["kubernetes/list_resources_all"],
  capabilities: Capabilities = {},
  limitMs = 60_000,
): Promise<RegoVerdict> {
  const { pool } = await (opened ??= open());
  const wasm = readFileSync(fileURLToPath(new URL(`../../policies/${policy}/policy.wasm`, import.meta.url)));
  const module = pool.addModule(await prepareModule(new Uint8Array(wasm), { memoryMib: 256 }));
  const caller = { policy, contextAwareResources };
  const allowed = parseCapabilities(hostCapabilities);
  if (typeof allowed === "string") throw new Error(allowed);
  const handler = hostCallHandler(
    caller,
    allowed,
    capabilities,
    () => {},
    inventory,
  );
  const definition = {
    id: policy,
    module,
    settings: new TextEncoder().encode("{}"),
    limitMs,
    contextAwareResources,
  };
  const json = new TextEncoder().encode(JSON.stringify(request));
  const outcome = await pool.validate(
    pool.addPolicy(definition, handler),
    wholeRequest({ json, object: undefined }),
  );
  if (outcome.kind !== "verdict") throw new Error(JSON.stringify(outcome));
  const { allowed: accepted, status, warnings } = outcome.verdict;
  return { allowed: accepted, message: status?.message, ...(warnings && { warnings }) };
}

let opened: Promise<{ readonly pool: EvaluatorPool; readonly module: number }> | undefined;

async function open() {
  const pool = new EvaluatorPool({ worker: WORKER_URL, threads: 2 });
  const prepared = await prepareModule(new Uint8Array(readFileSync(WASM)), { memoryMib: 512 });
  return { pool, module: pool.addModule(prepared) };
}

/** Ends what all callers of a test file share; to be called after its last test. */
export async function closeCallers(): Promise<void> {
  await (await opened)?.pool.close();
}

/** A policy with these grants. */
export async function hostCaller(capabilities: Capabilities, grants: Grants = {}): Promise<HostCaller> {
  const { pool, module } = await (opened ??= open());
  const allowed = parseCapabilities(grants.hostCapabilities ?? ["*"]);
  if (typeof allowed === "string") throw new Error(allowed);
  const handler = hostCallHandler(
    { policy: "host-caller", contextAwareResources: grants.contextAwareResources ?? [] },
    allowed,
    capabilities,
  );
  const policy = pool.addPolicy(
    {
      id: "host-caller",
      module,
      settings: new TextEncoder().encode("{}"),
      limitMs: grants.limitMs ?? 60_000,
    },
    handler,
  );
  return {
    async call(path, payload) {
      const [namespace, ...operation] = path.split("/");
      const sent = payload instanceof RawPayload ? { payloadText: payload.text } : { payload };
      const json = new TextEncoder().encode(JSON.stringify({
        hostCall: { namespace, operation: operation.join("/"), ...sent },
      }));
      const outcome = await pool.validate(policy, wholeRequest({ json, object: undefined }));
      if (outcome.kind !== "verdict") throw new Error(JSON.stringify(outcome));
      return { ok: outcome.verdict.allowed, text: outcome.verdict.status?.message ?? "" };
    },
  };
}

/** The payload of a successful answer. Throws for an error. */
// deno-lint-ignore no-explicit-any
export function success({ ok, text }: Answer): any {
  if (!ok) throw new Error(`the call failed: ${text}`);
  return JSON.parse(text);
}

/** The text of an error. Throws for a success. */
export function failure({ ok, text }: Answer): string {
  if (ok) throw new Error(`the call succeeded: ${text.slice(0, 500)}`);
  return text;
}

/** A log that keeps nothing but warnings. */
export function quietLog() {
  const warnings: string[] = [];
  const ignore = () => {};
  return {
    warnings,
    log: {
      trace: ignore,
      debug: ignore,
      info: ignore,
      warn: (message: string) => void warnings.push(message),
      error: (message: string) => void warnings.push(message),
      enabled: () => false,
      flush: ignore,
      pass: ignore,
    },
  };
}
