/**
 * The worker threads that evaluate, seen from the main thread. Each runs one long task, `serve`, that takes its work from a port
 * (`thread.ts`).
 *
 * Tasks of one turn of the event loop travel as one message. A thread whose guest runs long gives back what it has not begun
 * (`worker.ts`), and policies that did so of late are *slow*: they never get the last free thread, so that a policy that loops
 * for ever leaves room for all others (`render/schedule.ts`).
 */
import { Turn, type WorkerLimits } from "../render/schedule.ts";
import type {
  EvaluationRequest,
  HostCallAnswer,
  HostCallHandler,
  PolicyLogEntry,
  Verdict,
} from "../types/evaluation.ts";
import type { PreparedModule } from "../types/module.ts";
import { OverloadedError } from "../types/overloaded_error.ts";
import type { EvaluablePolicy } from "../types/policy.ts";
import {
  ACCEPTED,
  type FromWorker,
  NOT_BEGUN,
  type Operation,
  type Outcome,
  type PackedOutcome,
  type ToWorker,
} from "../types/protocol.ts";
import { firstEstimate, isSlow, type LatencyEstimate, recordCall } from "./latency_estimate.ts";
import type { PoolWorker } from "./pool_worker.ts";
import { type PiecedRequest, type Task, TaskQueue } from "./task_queue.ts";
import { DEEP_THREADS } from "./thread_powers.ts";
import { type EndedWorker, type ThreadOptions, WorkerSupervisor } from "./worker_supervisor.ts";

export { DEEP_THREADS };
export type { PiecedRequest } from "./task_queue.ts";
export { OverloadedError };

/** How a pool is set up. */
export interface PoolOptions extends ThreadOptions {
  /**
   * How many evaluations of one policy may run at once. There is one thread more, for what would wait behind them; and up to as
   * many again for a while, when evaluations that take long hold up other policies all the same.
   */
  readonly threads: number;
  /** False: without that one thread more. A single slow policy then has the threads to itself. */
  readonly spare?: boolean;
  /** Tasks that may wait or run; one more is refused with {@link OverloadedError}. */
  readonly maxTasks?: number;
  /** Bytes of requests that may wait. */
  readonly maxBytes?: number;
  /** Gets what policies log, and the request that they evaluate, the very object that was given to {@link EvaluatorPool.validate}. */
  readonly onLog?: (policy: string, entry: PolicyLogEntry, request: PiecedRequest | undefined) => void;
}

/** How one evaluation is asked for. */
export interface EvaluationOptions {
  /** Cancels it: what waits is dropped, what runs is stopped as by its time limit. */
  readonly signal?: AbortSignal | undefined;
}

/** A policy of a pool. */
interface RegisteredPolicy {
  readonly policy: EvaluablePolicy;
  readonly handler: HostCallHandler;
  readonly latency: LatencyEstimate;
}

const NO_REQUEST: PiecedRequest = { pieces: [], length: 0, object: undefined };
const ALLOWED: Verdict = { allowed: true, auditAnnotations: null, warnings: null };
const ACCEPTED_OUTCOME: Outcome = { kind: "verdict", verdict: ALLOWED };
/** What is not a request comes at start-up, once for each policy, and makes its guest first: the threads share that. */
const PREPARATION_MS = 20;

/** A pool of evaluating threads. */
export class EvaluatorPool {
  readonly #onLog: PoolOptions["onLog"];
  readonly #limits: WorkerLimits;
  readonly #modules = new Map<number, PreparedModule>();
  readonly #policies = new Map<number, RegisteredPolicy>();
  readonly #tasks: TaskQueue;
  readonly #workers: WorkerSupervisor;
  #ids = 0;
  #dispatching = false;
  #closed = false;

  constructor(options: PoolOptions) {
    const { threads, spare = true, maxTasks = 10_000, maxBytes = 256 * 1024 * 1024, onLog } = options;
    this.#onLog = onLog;
    this.#limits = { most: threads, spares: spare ? 1 : 0 };
    this.#tasks = new TaskQueue({
      maxTasks,
      maxBytes,
      onChange: () => this.#dispatchSoon(),
      onWaitedFor: (waitedFor) => this.#workers.keepAlive(waitedFor),
    });
    this.#workers = new WorkerSupervisor(options, threads + this.#limits.spares, {
      introduction: () => this.#introduction(),
      limitMs: (policy) => this.#policies.get(policy)?.policy.limitMs ?? 0,
      onMessage: (worker, message) => this.#receive(worker, message),
      onEnd: (ended) => this.#workerEnded(ended),
      onRoom: () => this.#dispatchSoon(),
    });
  }

  /** Makes a module known to all threads. Returns its number. */
  addModule(module: PreparedModule): number {
    const id = ++this.#ids;
    this.#modules.set(id, module);
    this.#workers.tell({ kind: "module", id, module });
    return id;
  }

  /** Makes a policy known to all threads. Returns its number, by which {@link validate} knows it. */
  addPolicy(policy: EvaluablePolicy, handler: HostCallHandler): number {
    const id = ++this.#ids;
    this.#policies.set(id, { policy, handler, latency: firstEstimate() });
    this.#workers.tell({ kind: "policy", id, policy });
    return id;
  }

  /** What {@link addModule} and {@link addPolicy} have told the threads so far. */
  *#introduction(): Generator<ToWorker> {
    for (const [id, module] of this.#modules) yield { kind: "module", id, module };
    for (const [id, { policy }] of this.#policies) yield { kind: "policy", id, policy };
  }

  /** Forgets policies and modules as soon as no task needs them. */
  remove(policies: readonly number[], modules: readonly number[]): void {
    this.#tasks.whenDone(policies, () => {
      for (const id of policies) this.#policies.delete(id);
      for (const id of modules) this.#modules.delete(id);
      this.#workers.tell({ kind: "remove", policies, modules });
    });
  }

  /** Evaluates one request. Throws {@link OverloadedError} when too much waits, and the signal's reason when it is cancelled. */
  validate(policy: number, request: PiecedRequest, { signal }: EvaluationOptions = {}): Promise<Outcome> {
    return this.#submit(policy, "validate", request, signal);
  }

  validateSettings(policy: number): Promise<Outcome> {
    return this.#submit(policy, "validate_settings", NO_REQUEST);
  }

  protocolVersion(policy: number): Promise<Outcome> {
    return this.#submit(policy, "protocol_version", NO_REQUEST);
  }

  /** What an evaluation of a policy takes of late, in milliseconds; `Infinity` for one that is not known. */
  costMs(policy: number): number {
    return this.#policies.get(policy)?.latency.costMs ?? Infinity;
  }

  /** Has all threads give back the memory that no request needs just now. */
  shrink(): void {
    this.#workers.tell({ kind: "shrink" });
  }

  /** Ends all threads. What still runs is not waited for; tasks that are not done end with an error. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const closed = this.#workers.close();
    const left = [...this.#tasks.takeWaiting(), ...this.#workers.workers.flatMap(({ tasks }) => tasks)];
    for (const task of left) this.#tasks.settle(task, { kind: "error", message: "the evaluator was closed" });
    await closed;
  }

  #submit(
    policy: number,
    operation: Operation,
    request: PiecedRequest,
    signal?: AbortSignal,
  ): Promise<Outcome> {
    if (this.#closed) return Promise.reject(new Error("the evaluator was closed"));
    return this.#tasks.submit(policy, operation, request, signal);
  }

  /** Hands out what waits, all that comes in this turn of the event loop at once. */
  #dispatchSoon(): void {
    if (this.#dispatching || !this.#tasks.hasWaiting) return;
    this.#dispatching = true;
    setImmediate(() => {
      this.#dispatching = false;
      this.#dispatch();
    });
  }

  /** Gives waiting tasks to workers, and sends each worker what it got. */
  #dispatch(): void {
    const now = performance.now();
    const { workers } = this.#workers;
    const turn = new Turn(workers, this.#limits, now);
    const waiting: Task[] = [];
    for (const task of turn.inOrder(this.#tasks.takeWaiting())) {
      if (task.settled) continue;
      const latency = this.#policies.get(task.policy)?.latency;
      const slow = latency !== undefined && isSlow(latency, now) || turn.isBusyWith(task.policy);
      const worker = turn.workerFor(task.policy, slow);
      const costMs = task.operation === "validate" ? latency?.costMs ?? 0 : PREPARATION_MS;
      if (worker) worker.assign(task, slow, costMs);
      else waiting.push(task);
    }
    this.#tasks.putBack(waiting);
    for (const worker of workers) worker.sendPending();
    if (turn.relief !== "none") this.#workers.relieve(turn.relief);
  }

  #receive(worker: PoolWorker, message: Exclude<FromWorker, { kind: "ready" }>): void {
    switch (message.kind) {
      case "done":
        for (let index = 0; index < message.outcomes.length; index += 3) {
          const [id, outcome, tookMs] = message.outcomes.slice(index, index + 3) as [
            number,
            PackedOutcome,
            number,
          ];
          if (outcome === NOT_BEGUN) worker.takeBack(id);
          else this.#finish(worker, id, outcome === ACCEPTED ? ACCEPTED_OUTCOME : outcome, tookMs);
        }
        worker.becomeFree();
        this.#dispatchSoon();
        return;
      case "busy": {
        const returned = worker.becomeBusy(message.returned);
        this.#tasks.putBack(returned);
        if (returned.length > 0) this.#dispatchSoon();
        return;
      }
      case "call":
        void this.#answer(worker, message);
        return;
      case "log": {
        const policy = this.#policies.get(message.policy)?.policy.id ?? "";
        this.#onLog?.(policy, message.entry, worker.requestOf(message.task));
      }
    }
  }

  #finish(worker: PoolWorker, id: number, outcome: Outcome, tookMs: number): void {
    const task = worker.takeBack(id);
    if (!task) return;
    const latency = this.#policies.get(task.policy)?.latency;
    if (latency) recordCall(latency, task.operation === "validate", tookMs);
    this.#tasks.settle(task, outcome);
  }

  async #answer(worker: PoolWorker, { call, policy, request }: FromWorker & { kind: "call" }): Promise<void> {
    let answer: HostCallAnswer;
    try {
      const handler = this.#policies.get(policy)?.handler;
      answer = handler ? await handler(request) : { ok: false, error: "the policy was removed" };
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      answer = { ok: false, error: `Callback evaluation failure: ${text}` };
    }
    worker.reply({ call, answer });
  }

  /** A thread is gone: the task that it had in hand failed, all others go to another thread. */
  #workerEnded({ reason, running, others, hopeless }: EndedWorker): void {
    if (running) {
      this.#tasks.settle(running, { kind: "error", message: `the evaluating thread ended: ${reason}` });
    }
    this.#tasks.putBack(others);
    if (hopeless) {
      const message = `no evaluating thread can be started: ${reason}`;
      for (const task of this.#tasks.takeWaiting()) this.#tasks.settle(task, { kind: "error", message });
    }
    this.#dispatchSoon();
  }
}

/** A request that is in one piece already. */
export function wholeRequest(request: EvaluationRequest): PiecedRequest {
  return { pieces: [request.json], length: request.json.length, object: request.object };
}
