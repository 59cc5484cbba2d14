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
import { type HttpHandler, type HttpListener, listen, sharedLimits } from "../../http/mod.ts";
import { CurrentPolicies } from "../apply/current_policies.ts";
import { createLog, type Log } from "../apply/log.ts";
import { logClosed, logPolicyEntry } from "../apply/log_events.ts";
import { type MetricsRelay, metricsRelay } from "../apply/metrics_relay.ts";
import {
  type FromServing,
  type ServingSettings,
  type ServingStart,
  SHARED,
  type ToServing,
} from "../apply/serving_messages.ts";
import { policyHandler } from "./handler.ts";

/**
 * What an evaluation may take here. Policies in Rust take a tenth of a millisecond, those in Rego less than one; with more, what
 * other connections of this thread wait for a slow one would be felt.
 */
const BUDGET_MS = 3;

type SetMessage = Extract<ToServing, { kind: "set" }>;

/** Serves until told to end. Called once, at the beginning of the thread (`serving_entry.ts`). */
export default async function serve(start: ServingStart): Promise<void> {
  await new ServingThread(start).run();
}

class ServingThread {
  readonly #port: NodePort;
  readonly #settings: ServingSettings;
  readonly #log: Log;
  readonly #metrics: MetricsRelay;
  readonly #pooled: ReturnType<typeof poolOf>;
  readonly #evaluator: PlacedEvaluator;
  readonly #policies = new CurrentPolicies<Pick<SetMessage, "set" | "policies">>({
    set: 0,
    policies: new Map(),
  });
  readonly #handler: HttpHandler;
  #listener: HttpListener | undefined;

  constructor({ port, settings, shared }: ServingStart) {
    this.#port = port as unknown as NodePort;
    this.#settings = settings;
    const log = this.#log = createLog({
      level: settings.logLevel,
      format: settings.logFormat,
      output: (lines) => {
        if (lines !== "") this.#tell({ kind: "log", lines });
        return 0;
      },
    });
    this.#metrics = metricsRelay((counted) => this.#tell({ kind: "counted", counted }));
    this.#pooled = poolOf((message) => this.#tell(message));
    this.#evaluator = new PlacedEvaluator({
      budgetMs: BUDGET_MS,
      memory: settings.memory,
      pooled: this.#pooled.validate,
      onLog: (policy, entry) => logPolicyEntry(log, policy, entry),
      onRunning: () => void Atomics.add(shared, SHARED.running, 1),
    });
    this.#handler = policyHandler({
      pool: this.#evaluator,
      metrics: this.#metrics,
      log,
      alwaysAcceptNamespace: settings.alwaysAcceptNamespace,
      policies: this.#policies,
      memoryIsShort: () => Atomics.load(shared, SHARED.memoryIsShort) === 1,
    });
  }

  /** Resolves when all connections are closed and the main thread knows it. */
  async run(): Promise<void> {
    await new Promise<void>((ended) => {
      this.#port.on("message", (message: ToServing) => this.#receive(message, ended));
      this.#tell({ kind: "loaded" });
    });
    this.#handOn();
    this.#tell({ kind: "ended" });
    this.#port.close();
  }

  #tell(message: FromServing): void {
    this.#port.postMessage(message);
  }

  #receive(message: ToServing, ended: () => void): void {
    switch (message.kind) {
      case "module":
        return this.#evaluator.addModule(message.id, message.module);
      case "policy":
        return this.#evaluator.addPolicy(message.id, message.policy);
      case "remove":
        return this.#evaluator.remove(message.policies, message.modules);
      case "shrink":
        return this.#evaluator.shrink();
      case "set":
        return this.#policies.replace(message, ({ set }) => this.#tell({ kind: "unused", set }));
      case "listen":
        return void this.#listen(message);
      case "tls":
        return this.#listener?.setTls(message.tls);
      case "outcome":
      case "overloaded":
        return this.#pooled.settle(message);
      case "relay":
        this.#handOn();
        return this.#tell({ kind: "relayed", id: message.id });
      case "end":
        return void (this.#listener?.end(message.ending) ?? Promise.resolve()).then(ended);
    }
  }

  async #listen({ port, tls }: Extract<ToServing, { kind: "listen" }>): Promise<void> {
    try {
      this.#listener = await listen({
        host: this.#settings.host,
        port,
        sharePort: true,
        tls,
        handler: this.#handler,
        maxBodyBytes: this.#settings.maxBodyBytes,
        limits: sharedLimits(this.#settings.limits, this.#settings.threads),
        onClosed: logClosed(this.#log, "policies"),
      });
      // Not earlier: Bun's own code listens by a global that is then gone. And not later: no request has been read yet.
      confineThread({ serves: true });
      this.#tell({ kind: "listening" });
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      this.#tell({ kind: "refused", code, message });
    }
  }

  /** Gives the main thread what was counted and logged so far. */
  #handOn(): void {
    this.#metrics.relay();
    this.#log.flush();
  }
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
