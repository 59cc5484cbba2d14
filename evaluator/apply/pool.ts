/**
 * The worker threads that evaluate, seen from the main thread. Each runs one long task, `serve`, that takes its work from a port
 * (`thread.ts`). They keep the process alive as long as an evaluation is waited for, and no longer.
 *
 * Tasks of one turn of the event loop travel as one message. A thread whose guest runs long gives back what it has not begun
 * (`worker.ts`), and policies that did so of late are *slow*: they never get the last free thread, so that a policy that loops
 * for ever leaves room for all others.
 */
import type { EvaluationRequest, HostCallHandler, PolicyLogEntry, Verdict } from "../types/evaluation.ts";
import type { PreparedModule } from "../types/module.ts";
import { OverloadedError } from "../types/overloaded_error.ts";
import type { EvaluablePolicy } from "../types/policy.ts";
import {
  ACCEPTED,
  type FromWorker,
  type HostCallReply,
  type Operation,
  type Outcome,
  type PackedOutcome,
  SIGNAL,
  type ToWorker,
} from "../types/protocol.ts";
import {
  closeLane,
  type Lane,
  openLane,
  type PiecedRequest,
  post,
  quickLane,
  runningTask,
  sendPending,
  slowLane,
  takeBack,
  type Task,
  unprovenLane,
} from "./lane.ts";
import { isSlow, noteCall, type RegisteredPolicy, registeredPolicy } from "./policy_pace.ts";
import { startThread, type Thread } from "./thread.ts";
import { refuseCodeFromStrings } from "./thread_powers.ts";

export type { PiecedRequest } from "./lane.ts";
export { OverloadedError };

/** How a pool is set up. */
export interface PoolOptions {
  /** The file that holds `worker_entry.ts`, or its bundle, or that code itself (`worker_url.ts`). */
  readonly worker: URL;
  /** How many slow evaluations may run at once. There is one thread more, for what would wait behind them. */
  readonly threads: number;
  /** False: without that one thread more. A single slow policy then has the threads to itself. */
  readonly spare?: boolean;
  /** Whether this process belongs to the program, so that V8 can be told to refuse code from strings in all later threads. */
  readonly ownProcess?: boolean;
  /** Tasks that may wait or run; one more is refused with {@link OverloadedError}. */
  readonly maxTasks?: number;
  /** Bytes of requests that may wait. */
  readonly maxBytes?: number;
  /** Gets what policies log, and the request that they judge, the very object that was given to {@link EvaluatorPool.validate}. */
  readonly onLog?: (policy: string, entry: PolicyLogEntry, request: PiecedRequest | undefined) => void;
  /** Gets what went wrong with a thread; it has been replaced already. */
  readonly onThreadError?: (message: string) => void;
}

const NO_REQUEST: PiecedRequest = { pieces: [], length: 0, object: undefined };
const ALLOWED: Verdict = { allowed: true, auditAnnotations: null, warnings: null };
const ACCEPTED_OUTCOME: Outcome = { kind: "verdict", verdict: ALLOWED };
/** What is not a request comes at start-up, once for each policy, and makes its guest first: the threads share that. */
const PREPARATION_MS = 20;
/** A thread that has not ended by then is left to itself. */
const CLOSE_MS = 1_000;
/** A thread that makes no progress for this much longer than its policy's limit is replaced … */
const STUCK_MS = 5_000;
/** … and one that has not even begun, after this time: on a busy machine, loading its code takes its time. */
const START_MS = 60_000;
/** So many threads in a row that end before they are ready: then their code can't be loaded, and what waits is told so. */
const MAX_FAILED_STARTS = 3;
/** Threads are started anew after this time then. */
const RESTART_MS = 1_000;

/** A pool of evaluating threads. */
export class EvaluatorPool {
  readonly #options: PoolOptions;
  /** All that have not ended, also those that another has taken the place of. */
  readonly #threads = new Set<Thread>();
  readonly #lanes: Lane[] = [];
  readonly #modules = new Map<number, PreparedModule>();
  readonly #policies = new Map<number, RegisteredPolicy>();
  readonly #waiting: Task[] = [];
  readonly #removals: {
    readonly policies: readonly number[];
    readonly modules: readonly number[];
    left: number;
  }[] = [];
  readonly #inFlight = new Map<number, number>();
  readonly #spares: number;
  readonly #maxTasks: number;
  readonly #maxBytes: number;
  readonly #watch: NodeJS.Timeout;
  #ids = 0;
  #failedStarts = 0;
  #tasks = 0;
  #bytes = 0;
  #flushing = false;
  #closed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#maxTasks = options.maxTasks ?? 10_000;
    this.#maxBytes = options.maxBytes ?? 256 * 1024 * 1024;
    this.#spares = options.spare === false ? 0 : 1;
    const lanes = options.threads + this.#spares;
    if (options.ownProcess === true) refuseCodeFromStrings();
    for (let lane = 0; lane < lanes; lane++) this.#lanes.push(this.#openLane());
    this.#watch = setInterval(() => this.#replaceStuckLanes(), 500);
    this.#watch.unref();
  }

  /** Makes a module known to all threads. Returns its number. */
  addModule(module: PreparedModule): number {
    const id = ++this.#ids;
    this.#modules.set(id, module);
    this.#tell({ kind: "module", id, module });
    return id;
  }

  /** Makes a policy known to all threads. Returns its number, by which {@link validate} knows it. */
  addPolicy(policy: EvaluablePolicy, handler: HostCallHandler): number {
    const id = ++this.#ids;
    this.#policies.set(id, registeredPolicy(policy, handler));
    this.#tell({ kind: "policy", id, policy });
    return id;
  }

  /** Forgets policies and modules as soon as no task needs them. */
  remove(policies: readonly number[], modules: readonly number[]): void {
    const left = policies.reduce((sum, policy) => sum + (this.#inFlight.get(policy) ?? 0), 0);
    this.#removals.push({ policies, modules, left });
    this.#settleRemovals(undefined);
  }

  /** Judges one request. Throws {@link OverloadedError} when too much waits. */
  validate(policy: number, request: PiecedRequest): Promise<Outcome> {
    return this.#submit(policy, "validate", request);
  }

  validateSettings(policy: number): Promise<Outcome> {
    return this.#submit(policy, "validate_settings", NO_REQUEST);
  }

  protocolVersion(policy: number): Promise<Outcome> {
    return this.#submit(policy, "protocol_version", NO_REQUEST);
  }

  /** Ends all threads. What still runs is not waited for; tasks that are not done end with an error. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#watch);
    for (const lane of this.#lanes) closeLane(lane);
    for (const thread of this.#threads) thread.end();
    const left = [
      ...this.#waiting,
      ...this.#lanes.flatMap((lane) => [...lane.tasks.values(), ...lane.pending]),
    ];
    for (const task of left) task.resolve({ kind: "error", message: "the evaluator was closed" });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => timer = setTimeout(resolve, CLOSE_MS));
    await Promise.race([Promise.allSettled([...this.#threads].map(({ ended }) => ended)), late]);
    clearTimeout(timer);
  }

  #submit(policy: number, operation: Operation, request: PiecedRequest): Promise<Outcome> {
    if (this.#closed) return Promise.reject(new Error("the evaluator was closed"));
    if (this.#tasks >= this.#maxTasks || this.#bytes + request.length > this.#maxBytes) {
      return Promise.reject(new OverloadedError(`${this.#tasks} evaluations wait already`));
    }
    // The threads and their ports don't keep the process alive, the timer does as long as somebody waits.
    if (this.#tasks++ === 0) this.#watch.ref();
    this.#bytes += request.length;
    this.#inFlight.set(policy, (this.#inFlight.get(policy) ?? 0) + 1);
    return new Promise((resolve) => {
      this.#waiting.push({ id: ++this.#ids, policy, operation, request, resolve, costMs: 0 });
      this.#scheduleFlush();
    });
  }

  #scheduleFlush(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      this.#dispatch();
    });
  }

  /** Gives waiting tasks to lanes, and sends each lane what it got. */
  #dispatch(): void {
    const now = performance.now();
    const held: Task[] = [];
    for (const task of this.#waiting.splice(0)) {
      const policy = this.#policies.get(task.policy);
      const slow = policy !== undefined && isSlow(policy, now) ||
        this.#lanes.some(({ busy, busyWith }) => busy && busyWith === task.policy);
      const lane = slow
        ? slowLane(this.#lanes, this.#spares, task.policy)
        : policy?.proven === false
        ? unprovenLane(this.#lanes, this.#spares, task.policy)
        : quickLane(this.#lanes);
      if (!lane) {
        held.push(task);
        continue;
      }
      if (slow) lane.slow++;
      task.costMs = task.operation === "validate"
        ? this.#policies.get(task.policy)?.costMs ?? 0
        : PREPARATION_MS;
      lane.backlogMs += task.costMs;
      lane.pending.push(task);
    }
    this.#waiting.unshift(...held);
    for (const lane of this.#lanes) if (lane.pending.length > 0) sendPending(lane);
  }

  #tell(message: ToWorker): void {
    for (const lane of this.#lanes) post(lane, message);
  }

  #openLane(): Lane {
    const lane = openLane(
      (start, transfer, signal) => {
        const thread = startThread(this.#options.worker, start, transfer);
        this.#threads.add(thread);
        signal.addEventListener("abort", thread.end, { once: true });
        thread.ended.finally(() => this.#threads.delete(thread)).then(
          () => this.#laneEnded(lane, "it ended by itself"),
          (error) => this.#laneEnded(lane, error instanceof Error ? error.message : String(error)),
        );
      },
      (lane, message) => this.#receive(lane, message),
    );
    for (const [id, module] of this.#modules) post(lane, { kind: "module", id, module });
    for (const [id, { policy }] of this.#policies) post(lane, { kind: "policy", id, policy });
    return lane;
  }

  #receive(lane: Lane, message: FromWorker): void {
    switch (message.kind) {
      case "ready":
        lane.ready = true;
        this.#failedStarts = 0;
        return;
      case "done":
        // Nothing else is progress: a guest that can't be stopped may well log and call without end.
        lane.progressAt = performance.now();
        for (let index = 0; index < message.outcomes.length; index += 3) {
          const [id, outcome, tookMs] = message.outcomes.slice(index, index + 3) as [
            number,
            PackedOutcome,
            number,
          ];
          this.#finish(lane, id, outcome === ACCEPTED ? ACCEPTED_OUTCOME : outcome, tookMs);
        }
        lane.busy = false;
        if (lane.tasks.size === 0) lane.slow = 0;
        if (this.#waiting.length > 0) this.#scheduleFlush();
        return;
      case "busy":
        return this.#laneBusy(lane, message.returned);
      case "call":
        this.#answer(lane, message.call, message.policy, message.request);
        return;
      case "log": {
        const policy = this.#policies.get(message.policy)?.policy.id ?? "";
        this.#options.onLog?.(policy, message.entry, lane.tasks.get(message.task)?.request);
      }
    }
  }

  #laneBusy(lane: Lane, returned: readonly number[]): void {
    lane.busy = true;
    const back: Task[] = [];
    for (const id of returned) {
      const task = takeBack(lane, id);
      if (task) back.push(task);
    }
    lane.busyWith = runningTask(lane)?.policy;
    lane.slow = Math.max(lane.slow, 1);
    if (back.length === 0) return;
    this.#waiting.unshift(...back);
    this.#scheduleFlush();
  }

  #finish(lane: Lane, id: number, outcome: Outcome, tookMs: number): void {
    const task = takeBack(lane, id);
    if (!task) return;
    const policy = this.#policies.get(task.policy);
    if (policy) noteCall(policy, task.operation === "validate", tookMs);
    this.#settle(task, outcome);
  }

  #settle(task: Task, outcome: Outcome): void {
    if (--this.#tasks === 0) this.#watch.unref();
    this.#bytes -= task.request.length;
    const left = this.#inFlight.get(task.policy)! - 1;
    if (left === 0) this.#inFlight.delete(task.policy);
    else this.#inFlight.set(task.policy, left);
    if (this.#removals.length > 0) this.#settleRemovals(task.policy);
    task.resolve(outcome);
  }

  #settleRemovals(policy: number | undefined): void {
    for (const removal of [...this.#removals]) {
      if (policy !== undefined && removal.policies.includes(policy)) removal.left--;
      if (removal.left > 0) continue;
      this.#removals.splice(this.#removals.indexOf(removal), 1);
      for (const id of removal.policies) this.#policies.delete(id);
      for (const id of removal.modules) this.#modules.delete(id);
      this.#tell({ kind: "remove", policies: removal.policies, modules: removal.modules });
    }
  }

  async #answer(
    lane: Lane,
    call: number,
    policyId: number,
    request: Parameters<HostCallHandler>[0],
  ): Promise<void> {
    const handler = this.#policies.get(policyId)?.handler;
    let reply: HostCallReply;
    try {
      const answer = handler
        ? await handler(request)
        : { ok: false as const, error: "the policy was removed" };
      reply = { call, answer };
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      reply = { call, answer: { ok: false, error: `Callback evaluation failure: ${text}` } };
    }
    if (lane.closed) return;
    lane.replies.postMessage(reply);
    Atomics.add(lane.signal, SIGNAL.reply, 1);
    Atomics.notify(lane.signal, SIGNAL.reply);
  }

  /** A thread is gone: the task that it had in hand failed, all others go to another thread. */
  #laneEnded(lane: Lane, reason: string): void {
    if (this.#closed || lane.closed) return;
    lane.closed = true;
    lane.port.close();
    lane.replies.close();
    const running = runningTask(lane);
    const others = [...lane.tasks.values(), ...lane.pending].filter((task) => task !== running);
    lane.tasks.clear();
    lane.pending = [];
    const index = this.#lanes.indexOf(lane);
    this.#options.onThreadError?.(`an evaluating thread was replaced: ${reason}`);
    if (running) this.#settle(running, { kind: "error", message: `the evaluating thread ended: ${reason}` });
    this.#waiting.unshift(...others);
    if (!lane.ready && ++this.#failedStarts >= MAX_FAILED_STARTS) {
      const message = `no evaluating thread can be started: ${reason}`;
      for (const task of this.#waiting.splice(0)) this.#settle(task, { kind: "error", message });
      // Until then nothing is given to it.
      lane.busy = true;
      setTimeout(() => this.#replaceLane(index), RESTART_MS).unref();
      return;
    }
    this.#replaceLane(index);
  }

  #replaceLane(index: number): void {
    if (this.#closed) return;
    this.#lanes[index] = this.#openLane();
    this.#scheduleFlush();
  }

  #replaceStuckLanes(): void {
    const now = performance.now();
    for (const lane of [...this.#lanes]) {
      if (lane.tasks.size === 0) continue;
      const running = runningTask(lane);
      if (lane.ranAt !== running) {
        lane.ranAt = running;
        lane.progressAt = now;
      }
      // Instantiation has a limit for each start function, of which there are up to three.
      const limitMs = 4 * (running ? this.#policies.get(running.policy)?.policy.limitMs ?? 0 : 0);
      if (now - lane.progressAt <= (lane.ready ? limitMs + STUCK_MS : START_MS)) continue;
      lane.abort.abort();
      this.#laneEnded(lane, `its guest was over its time limit and did not stop`);
    }
  }
}

/** A request that is in one piece already. */
export function wholeRequest(request: EvaluationRequest): PiecedRequest {
  return { pieces: [request.json], length: request.json.length, object: request.object };
}
