/**
 * The worker threads that evaluate, seen from the main thread. Each runs one long task, `serve`, that takes its work from a port
 * (`thread.ts`).
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
  NOT_BEGUN,
  type Operation,
  type Outcome,
  type PackedOutcome,
  type ThreadMemory,
  type ToWorker,
} from "../types/protocol.ts";
import {
  assign,
  cancel,
  closeLane,
  inTurn,
  type Lane,
  laneFor,
  type LaneLimits,
  openLane,
  type PiecedRequest,
  post,
  reply,
  runningTask,
  sendPending,
  takeBack,
  type Task,
} from "./lane.ts";
import { isSlow, noteCall, type RegisteredPolicy, registeredPolicy } from "./policy_pace.ts";
import { openThreads, type Threads } from "./thread.ts";
import { DEEP_THREADS, refuseCodeFromStrings } from "./thread_powers.ts";

export { DEEP_THREADS };
export type { PiecedRequest } from "./lane.ts";
export { OverloadedError };

/** How a pool is set up. */
export interface PoolOptions {
  /** The file that holds `worker_entry.ts`, or its bundle, or that code itself (`worker_url.ts`). */
  readonly worker: URL;
  /**
   * How many evaluations of one policy may run at once. There is one thread more, for what would wait behind them; and up to as
   * many again for a while, when evaluations that take long hold up other policies all the same.
   */
  readonly threads: number;
  /** False: without that one thread more. A single slow policy then has the threads to itself. */
  readonly spare?: boolean;
  /** Whether this process belongs to the program, so that V8 can be told to refuse code from strings in all later threads. */
  readonly ownProcess?: boolean;
  /** Tasks that may wait or run; one more is refused with {@link OverloadedError}. */
  readonly maxTasks?: number;
  /** Bytes of requests that may wait. */
  readonly maxBytes?: number;
  /** What each thread may hold of guests that run no request. */
  readonly memory?: ThreadMemory;
  /** Gets what policies log, and the request that they judge, the very object that was given to {@link EvaluatorPool.validate}. */
  readonly onLog?: (policy: string, entry: PolicyLogEntry, request: PiecedRequest | undefined) => void;
  /** Gets what went wrong with a thread; it has been replaced already. */
  readonly onThreadError?: (message: string) => void;
}

/** How one evaluation is asked for. */
export interface EvaluationOptions {
  /** Cancels it: what waits is dropped, what runs is stopped as by its time limit. */
  readonly signal?: AbortSignal | undefined;
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
/** When threads have been busy with one guest each for this long, others that wait for them get another thread … */
const HELD_UP_MS = 50;
/** … which ends when it has had nothing to do for this long. */
const IDLE_MS = 5_000;
/** … one that could not even start, after this time … */
const RESTART_MS = 1_000;
/** … and one that has not even begun, after this time: on a busy machine, loading its code takes its time. */
const START_MS = 60_000;
/** So many threads in a row that end before they are ready: then their code can't be loaded, and what waits is told so. */
const MAX_FAILED_STARTS = 3;

/** A pool of evaluating threads. */
export class EvaluatorPool {
  readonly #options: PoolOptions;
  readonly #threads: Threads;
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
  readonly #limits: LaneLimits;
  readonly #maxLanes: number;
  readonly #maxTasks: number;
  readonly #maxBytes: number;
  readonly #watch: NodeJS.Timeout;
  #ids = 0;
  #failedStarts = 0;
  #tasks = 0;
  #bytes = 0;
  #flushing = false;
  #held: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#maxTasks = options.maxTasks ?? 10_000;
    this.#maxBytes = options.maxBytes ?? 256 * 1024 * 1024;
    this.#limits = { spares: options.spare === false ? 0 : 1, most: options.threads };
    const lanes = options.threads + this.#limits.spares;
    this.#maxLanes = lanes * 2;
    if (options.ownProcess === true) refuseCodeFromStrings();
    const onThreadError = (message: string) => options.onThreadError?.(`an evaluating thread: ${message}`);
    this.#threads = openThreads(options.worker, options.ownProcess === true, lanes, onThreadError);
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
    return this.#policies.get(policy)?.costMs ?? Infinity;
  }

  /** Has all threads give back the memory that no request needs just now. */
  shrink(): void {
    this.#tell({ kind: "shrink" });
  }

  /** Ends all threads. What still runs is not waited for; tasks that are not done end with an error. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#watch);
    clearTimeout(this.#held);
    for (const lane of this.#lanes) closeLane(lane, false);
    const left = [
      ...this.#waiting,
      ...this.#lanes.flatMap((lane) => [...lane.tasks.values(), ...lane.pending]),
    ];
    for (const task of left) this.#settle(task, { kind: "error", message: "the evaluator was closed" });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => timer = setTimeout(resolve, CLOSE_MS));
    await Promise.race([this.#threads.close(), late]);
    clearTimeout(timer);
  }

  #submit(
    policy: number,
    operation: Operation,
    request: PiecedRequest,
    signal?: AbortSignal,
  ): Promise<Outcome> {
    if (this.#closed) return Promise.reject(new Error("the evaluator was closed"));
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (this.#tasks >= this.#maxTasks || this.#bytes + request.length > this.#maxBytes) {
      return Promise.reject(new OverloadedError(`${this.#tasks} evaluations wait already`));
    }
    // The threads and their ports don't keep the process alive, the timer does as long as somebody waits.
    if (this.#tasks++ === 0) this.#watch.ref();
    this.#bytes += request.length;
    this.#inFlight.set(policy, (this.#inFlight.get(policy) ?? 0) + 1);
    return new Promise((resolve, reject) => {
      const unlisten = () => signal?.removeEventListener("abort", onAbort);
      const task: Task = {
        id: ++this.#ids,
        policy,
        operation,
        request,
        resolve: (outcome) => {
          unlisten();
          resolve(outcome);
        },
        reject,
        settled: false,
        lane: undefined,
        costMs: 0,
      };
      const onAbort = () => this.#cancel(task, signal!.reason);
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#waiting.push(task);
      this.#scheduleFlush();
    });
  }

  #cancel(task: Task, reason: unknown): void {
    if (!this.#release(task)) return;
    // What waits is dropped by the flush, all that was cancelled in this turn at once.
    if (task.lane) cancel(task.lane, task);
    else this.#scheduleFlush();
    task.reject(reason);
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
    const isHeldUp = ({ busy, busyAt }: Lane) => busy && now - busyAt >= HELD_UP_MS;
    // A thread that has just been started is far slower than what is quick.
    const forQuick = this.#lanes.every((lane) => lane.extra || isHeldUp(lane))
      ? this.#lanes
      : this.#lanes.filter(({ extra }) => !extra);
    /** How many more lanes could be held up before another one is opened. */
    let left = Infinity;
    /** Policies of which a task has to wait: so do the ones behind it. */
    const blocked = new Set<number>();
    for (const task of inTurn(this.#waiting.splice(0), this.#lanes)) {
      if (task.settled) continue;
      if (blocked.has(task.policy)) {
        held.push(task);
        continue;
      }
      const policy = this.#policies.get(task.policy);
      const slow = policy !== undefined && isSlow(policy, now) ||
        this.#lanes.some(({ busy, busyWith }) => busy && busyWith === task.policy);
      const lane = laneFor(slow ? this.#lanes : forQuick, task.policy, slow, this.#limits);
      if (!lane) {
        if (!this.#lanes.some(({ held }) => held.has(task.policy))) {
          left = Math.min(left, this.#lanes.length - (slow ? this.#limits.spares : 0));
        }
        blocked.add(task.policy);
        held.push(task);
        continue;
      }
      if (slow) lane.slow++;
      task.costMs = task.operation === "validate" ? policy?.costMs ?? 0 : PREPARATION_MS;
      assign(lane, task);
    }
    this.#waiting.unshift(...held);
    for (const lane of this.#lanes) if (lane.pending.length > 0) sendPending(lane);
    if (left < Infinity) this.#relieve(left - this.#lanes.filter(isHeldUp).length);
  }

  /** For policies that have no lane: opens one unless `left` of those that there are may still come free soon. */
  #relieve(left: number): void {
    if (
      this.#lanes.length < this.#maxLanes / 2 || this.#lanes.length >= this.#maxLanes ||
      this.#lanes.some(({ ready }) => !ready)
    ) return;
    if (left <= 0) {
      const lane = this.#openLane();
      lane.extra = true;
      this.#lanes.push(lane);
      this.#scheduleFlush();
      return;
    }
    this.#held ??= setTimeout(() => {
      this.#held = undefined;
      this.#scheduleFlush();
    }, HELD_UP_MS);
  }

  #tell(message: ToWorker): void {
    for (const lane of this.#lanes) post(lane, message);
  }

  #openLane(): Lane {
    const lane = openLane(
      (start, transfer, signal) => {
        this.#threads.run(start, transfer, signal).then(
          () => this.#laneEnded(lane, "it ended by itself"),
          (error) => this.#laneEnded(lane, error instanceof Error ? error.message : String(error)),
        );
      },
      (lane, message) => this.#receive(lane, message),
      (lane, reason) => this.#laneEnded(lane, reason),
      this.#options.memory,
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
        // Nothing was opened for them while this one started, and no timer was set.
        if (this.#waiting.length > 0) this.#scheduleFlush();
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
          if (outcome === NOT_BEGUN) takeBack(lane, id);
          else this.#finish(lane, id, outcome === ACCEPTED ? ACCEPTED_OUTCOME : outcome, tookMs);
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
    if (!lane.busy) lane.busyAt = performance.now();
    lane.busy = true;
    const back: Task[] = [];
    for (const id of returned) {
      const task = takeBack(lane, id);
      if (task && !task.settled) back.push(task);
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
    if (this.#release(task)) task.resolve(outcome);
  }

  /** Counts a task no longer. Returns false if it was settled before. */
  #release(task: Task): boolean {
    if (task.settled) return false;
    task.settled = true;
    if (--this.#tasks === 0) this.#watch.unref();
    this.#bytes -= task.request.length;
    const left = this.#inFlight.get(task.policy)! - 1;
    if (left === 0) this.#inFlight.delete(task.policy);
    else this.#inFlight.set(task.policy, left);
    if (this.#removals.length > 0) this.#settleRemovals(task.policy);
    return true;
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
    let message: HostCallReply;
    try {
      const answer = handler
        ? await handler(request)
        : { ok: false as const, error: "the policy was removed" };
      message = { call, answer };
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      message = { call, answer: { ok: false, error: `Callback evaluation failure: ${text}` } };
    }
    if (lane.closed) return;
    reply(lane, message);
  }

  /** A thread is gone: the task that it had in hand failed, all others go to another thread. */
  #laneEnded(lane: Lane, reason: string): void {
    if (this.#closed || lane.closed) return;
    lane.closed = true;
    lane.abort.abort();
    lane.port.close();
    lane.replies.close();
    const running = runningTask(lane);
    const others = [...lane.tasks.values(), ...lane.pending].filter((task) => task !== running);
    lane.tasks.clear();
    lane.held.clear();
    lane.pending = [];
    this.#lanes.splice(this.#lanes.indexOf(lane), 1);
    if (!lane.extra) this.#replace(lane);
    this.#options.onThreadError?.(`an evaluating thread was replaced: ${reason}`);
    if (running) this.#settle(running, { kind: "error", message: `the evaluating thread ended: ${reason}` });
    for (const task of others) task.lane = undefined;
    this.#waiting.unshift(...others);
    if (!lane.ready && ++this.#failedStarts >= MAX_FAILED_STARTS) {
      const message = `no evaluating thread can be started: ${reason}`;
      for (const task of this.#waiting.splice(0)) this.#settle(task, { kind: "error", message });
    }
    this.#scheduleFlush();
  }

  #replace({ ready }: Lane): void {
    if (ready) return void this.#lanes.unshift(this.#openLane());
    // It could not start; the next one may not either.
    setTimeout(() => {
      if (this.#closed) return;
      this.#lanes.unshift(this.#openLane());
      this.#scheduleFlush();
    }, RESTART_MS).unref();
  }

  #replaceStuckLanes(): void {
    const now = performance.now();
    for (const lane of [...this.#lanes]) {
      if (lane.tasks.size === 0) {
        if (lane.extra && lane.ready && lane.held.size === 0 && now - lane.progressAt > IDLE_MS) {
          closeLane(lane, true);
          this.#lanes.splice(this.#lanes.indexOf(lane), 1);
        }
        continue;
      }
      const running = runningTask(lane);
      if (lane.ranAt !== running) {
        lane.ranAt = running;
        lane.progressAt = now;
      }
      // Instantiation has a limit for each start function, of which there are up to three.
      const limitMs = 4 * (running ? this.#policies.get(running.policy)?.policy.limitMs ?? 0 : 0);
      if (now - lane.progressAt <= (lane.ready ? limitMs + STUCK_MS : START_MS)) continue;
      this.#laneEnded(lane, "its guest was over its time limit and did not stop");
    }
  }
}

/** A request that is in one piece already. */
export function wholeRequest(request: EvaluationRequest): PiecedRequest {
  return { pieces: [request.json], length: request.json.length, object: request.object };
}
