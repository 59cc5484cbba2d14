/**
 * A thread that serves: it listens on the port that it shares with others, reads requests, evaluates in place what is quick, and
 * answers. What is not quick the main thread's pool evaluates. It is told everything else: policies, certificates, when to end.
 */
import type { MessagePort as NodePort } from "node:worker_threads";
import { confineThread } from "../../evaluator/apply/confine.ts";
import { PlacedEvaluator, type PooledOutcome } from "../../evaluator/apply/placed.ts";
import type { EvaluationOptions, PiecedRequest } from "../../evaluator/apply/pool.ts";
import { joinRequest } from "../../evaluator/apply/inline.ts";
import { OverloadedError } from "../../evaluator/types/overloaded_error.ts";
import { type HttpListener, LIMITS, listen, sharedLimits } from "../../http/mod.ts";
import { CurrentPolicies } from "../apply/current_policies.ts";
import { createLog } from "../apply/log.ts";
import { logClosed, logPolicyEntry } from "../apply/log_events.ts";
import { metricsRelay } from "../apply/metrics_relay.ts";
import { type FromServing, type ServingStart, SHARED, type ToServing } from "../apply/serving_messages.ts";
import { policyHandler } from "./handler.ts";

/**
 * What an evaluation may take here. Policies in Rust take a tenth of a millisecond, those in Rego less than one; with more, what
 * other connections of this thread wait for a slow one would be felt.
 */
const BUDGET_MS = 3;

type SetMessage = Extract<ToServing, { kind: "set" }>;

/** Serves until told to end. Called once, at the beginning of the thread (`serving_entry.ts`). */
export default async function serve({ port: given, settings, shared }: ServingStart): Promise<void> {
  const port = given as unknown as NodePort;
  const tell = (message: FromServing) => port.postMessage(message);
  const log = createLog({
    level: settings.logLevel,
    format: settings.logFormat,
    output: (lines) => {
      if (lines !== "") tell({ kind: "log", lines });
      return 0;
    },
  });
  const metrics = metricsRelay((counted) => tell({ kind: "counted", counted }));
  const pooled = poolOf(tell);
  const evaluator = new PlacedEvaluator({
    budgetMs: BUDGET_MS,
    memory: settings.memory,
    pooled: pooled.validate,
    onLog: (policy, entry) => logPolicyEntry(log, policy, entry),
    onRunning: () => void Atomics.add(shared, SHARED.running, 1),
  });
  const policies = new CurrentPolicies<Pick<SetMessage, "set" | "policies">>({ set: 0, policies: new Map() });
  const handler = policyHandler({
    pool: evaluator,
    metrics,
    log,
    alwaysAcceptNamespace: settings.alwaysAcceptNamespace,
    policies,
    memoryIsShort: () => Atomics.load(shared, SHARED.memoryIsShort) === 1,
  });
  let listener: HttpListener | undefined;
  let ended = () => {};
  const end = new Promise<void>((resolve) => ended = resolve);

  const open = async ({ port, tls }: Extract<ToServing, { kind: "listen" }>) => {
    try {
      listener = await listen({
        host: settings.host,
        port,
        sharePort: true,
        tls,
        handler,
        maxBodyBytes: settings.maxBodyBytes,
        limits: sharedLimits(LIMITS, settings.threads),
        onClosed: logClosed(log, "policies"),
      });
      // Not earlier: Bun's own code listens by a global that is then gone. And not later: no request has been read yet.
      confineThread({ serves: true });
      tell({ kind: "listening" });
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      tell({ kind: "refused", code, message });
    }
  };
  port.on("message", (message: ToServing) => {
    switch (message.kind) {
      case "module":
        return evaluator.addModule(message.id, message.module);
      case "policy":
        return evaluator.addPolicy(message.id, message.policy);
      case "remove":
        return evaluator.remove(message.policies, message.modules);
      case "shrink":
        return evaluator.shrink();
      case "set":
        return policies.replace(message, ({ set }) => tell({ kind: "unused", set }));
      case "listen":
        return void open(message);
      case "tls":
        return listener?.setTls(message.tls);
      case "outcome":
      case "overloaded":
        return pooled.settle(message);
      case "relay":
        metrics.relay();
        log.flush();
        return tell({ kind: "relayed", id: message.id });
      case "end":
        return void (listener?.end(message.ending) ?? Promise.resolve()).then(ended);
    }
  });
  tell({ kind: "loaded" });
  await end;
  metrics.relay();
  log.flush();
  tell({ kind: "ended" });
  port.close();
}

/** The main thread's pool, seen from here. */
function poolOf(tell: (message: FromServing) => void) {
  type Waiting = {
    readonly resolve: (pooled: PooledOutcome) => void;
    readonly reject: (why: unknown) => void;
  };
  const waiting = new Map<number, Waiting>();
  let ids = 0;
  return {
    validate: (
      policy: number,
      request: PiecedRequest,
      { signal }: EvaluationOptions,
    ): Promise<PooledOutcome> => {
      if (signal?.aborted) return Promise.reject(signal.reason);
      return new Promise((resolve, reject) => {
        const id = ++ids;
        const cancel = () => {
          if (!waiting.delete(id)) return;
          tell({ kind: "cancel", id });
          reject(signal!.reason);
        };
        signal?.addEventListener("abort", cancel, { once: true });
        waiting.set(id, {
          resolve: (pooled) => {
            signal?.removeEventListener("abort", cancel);
            resolve(pooled);
          },
          reject,
        });
        const { json, object } = joinRequest(request);
        tell({ kind: "evaluate", id, policy, json, object });
      });
    },
    settle(message: Extract<ToServing, { kind: "outcome" | "overloaded" }>): void {
      const asked = waiting.get(message.id);
      if (asked === undefined || !waiting.delete(message.id)) return;
      if (message.kind === "outcome") asked.resolve(message);
      else asked.reject(new OverloadedError(message.message));
    },
  };
}
