/** Evaluates with a real pool: threads, deadlines, snapshots and all. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Capabilities, hostCallHandler } from "../../evaluator/apply/host_calls.ts";
import {
  type EvaluationOptions,
  EvaluatorPool,
  type PoolOptions,
  wholeRequest,
} from "../../evaluator/apply/pool.ts";
import { prepareModule } from "../../evaluator/apply/prepare.ts";
import { WORKER_URL } from "../../evaluator/apply/worker_url.ts";
import type { PolicyLogEntry, SettingsVerdict, Verdict } from "../../evaluator/types/evaluation.ts";
import { type CapabilityAllowList, parseCapabilities } from "../../evaluator/types/host_capabilities.ts";
import type { Outcome } from "../../evaluator/types/protocol.ts";

const encoder = new TextEncoder();

/** The committed Wasm file `path`, below the folder of the test policies. */
export function testPolicy(path: string): Uint8Array {
  return new Uint8Array(readFileSync(fileURLToPath(new URL(`../policies/${path}`, import.meta.url))));
}

/** A policy to be evaluated. */
export interface PolicyUnderTest {
  readonly wasm: Uint8Array;
  /** JSON text; `{}` unless given. */
  readonly settings?: string;
  readonly limitMs?: number;
  readonly capabilities?: readonly string[];
  /** What answers the capabilities. */
  readonly answers?: Capabilities;
  readonly memoryMib?: number;
  /** Whether its requests are raw ones, whose object is all of them; true unless given. */
  readonly raw?: boolean;
}

/** One policy in a pool. */
export interface LoadedPolicy {
  /** The outcome for a request, given as JSON text. */
  outcome(request: string, options?: EvaluationOptions): Promise<Outcome>;
  /** The verdict for a request. Throws for any other outcome. */
  judge(request: string): Promise<Verdict>;
  settings(): Promise<SettingsVerdict>;
}

/** A pool with what its policies logged. */
export interface Evaluation {
  readonly pool: EvaluatorPool;
  readonly logged: { readonly policy: string; readonly entry: PolicyLogEntry }[];
  readonly threadErrors: string[];
  readonly violations: string[];
  load(id: string, policy: PolicyUnderTest): Promise<LoadedPolicy>;
}

/** Gives `use` a pool and closes it afterwards. */
export async function evaluation<T>(
  use: (evaluation: Evaluation) => Promise<T>,
  { threads = 1, worker = WORKER_URL, ...limits }: Partial<
    Pick<PoolOptions, "threads" | "maxTasks" | "maxBytes" | "worker">
  > = {},
): Promise<T> {
  const logged: Evaluation["logged"] = [];
  const threadErrors: string[] = [];
  const violations: string[] = [];
  const pool = new EvaluatorPool({
    worker,
    threads,
    ...limits,
    onLog: (policy, entry) => logged.push({ policy, entry }),
    onThreadError: (message) => threadErrors.push(message),
  });
  const load = async (id: string, policy: PolicyUnderTest): Promise<LoadedPolicy> => {
    const module = pool.addModule(await prepareModule(policy.wasm, { memoryMib: policy.memoryMib ?? 64 }));
    const allowed = parseCapabilities(policy.capabilities ?? []) as CapabilityAllowList;
    const handler = hostCallHandler(
      { policy: id, contextAwareResources: [] },
      allowed,
      policy.answers ?? {},
      (...violation) => violations.push(violation.join(" ")),
    );
    const settings = encoder.encode(policy.settings ?? "{}");
    const number = pool.addPolicy({ id, module, settings, limitMs: policy.limitMs ?? 10_000 }, handler);
    const outcome = (request: string, options?: EvaluationOptions) => {
      const json = encoder.encode(request);
      return pool.validate(
        number,
        wholeRequest({ json, object: policy.raw === false ? undefined : [0, json.length] }),
        options,
      );
    };
    return {
      outcome,
      judge: async (request) => {
        const found = await outcome(request);
        if (found.kind !== "verdict") throw new Error(`no verdict: ${JSON.stringify(found)}`);
        return found.verdict;
      },
      settings: async () => {
        const found = await pool.validateSettings(number);
        if (found.kind !== "settings") throw new Error(`no settings verdict: ${JSON.stringify(found)}`);
        return found.settings;
      },
    };
  };
  try {
    return await use({ pool, logged, threadErrors, violations, load });
  } finally {
    await pool.close();
  }
}

/** A raw request that tells a test policy what to do (`tests/policies/instructions`). */
export function told(annotations: Readonly<Record<string, string>>, uid = "u"): string {
  return JSON.stringify({ uid, annotations });
}
