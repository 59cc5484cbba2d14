/** The tasks of a pool from when they are asked for until nobody waits for them any more: how many there are, and which wait for a worker. */
import { OverloadedError } from "../types/overloaded_error.ts";
import type { Operation, Outcome } from "../types/protocol.ts";

/** A request as the pieces that make it up, so that it is copied once, into the message to its thread. */
export interface PiecedRequest {
  readonly pieces: readonly Uint8Array[];
  readonly length: number;
  readonly object: readonly [start: number, end: number] | undefined;
}

/** One call of a policy that was asked for. */
export interface Task {
  readonly id: number;
  readonly policy: number;
  readonly operation: Operation;
  readonly request: PiecedRequest;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (reason: unknown) => void;
  /** No longer waited for: it has its outcome, or was cancelled. */
  settled: boolean;
  /** The worker that it was given to. */
  worker: { cancel(task: Task): void } | undefined;
  /** What it is expected to take, in milliseconds, since it was given to a worker. */
  costMs: number;
}

/** When a queue calls its owner, and how much it takes. */
export interface QueueOptions {
  /** Tasks that may wait or run; one more is refused. */
  readonly maxTasks: number;
  /** Bytes of their requests. */
  readonly maxBytes: number;
  /** There are tasks to hand out, or cancelled ones to drop. */
  readonly onChange: () => void;
  /** Called when the first of all tasks is asked for, and when the last one is settled. */
  readonly onWaitedFor: (waitedFor: boolean) => void;
}

/** Counts tasks, keeps those that no worker has, and settles each of them once. */
export class TaskQueue {
  readonly #options: QueueOptions;
  /** How many tasks of each policy are waited for. */
  readonly #inFlight = new Map<number, number>();
  readonly #doneCalls: { readonly policies: readonly number[]; readonly then: () => void; left: number }[] =
    [];
  #waiting: Task[] = [];
  #ids = 0;
  #tasks = 0;
  #bytes = 0;

  constructor(options: QueueOptions) {
    this.#options = options;
  }

  /** Whether tasks wait for a worker. */
  get hasWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** Asks for one call. Rejects with {@link OverloadedError} when too much waits, and with the signal's reason when it is cancelled. */
  submit(
    policy: number,
    operation: Operation,
    request: PiecedRequest,
    signal: AbortSignal | undefined,
  ): Promise<Outcome> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    const { maxTasks, maxBytes } = this.#options;
    if (this.#tasks >= maxTasks || this.#bytes + request.length > maxBytes) {
      return Promise.reject(new OverloadedError(`${this.#tasks} evaluations wait already`));
    }
    if (this.#tasks++ === 0) this.#options.onWaitedFor(true);
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
        worker: undefined,
        costMs: 0,
      };
      const onAbort = () => this.#cancel(task, signal!.reason);
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#waiting.push(task);
      this.#options.onChange();
    });
  }

  #cancel(task: Task, reason: unknown): void {
    if (!this.#release(task)) return;
    // What waits is dropped when tasks are handed out next, all that was cancelled in this turn at once.
    if (task.worker) task.worker.cancel(task);
    else this.#options.onChange();
    task.reject(reason);
  }

  /** The tasks that wait for a worker, which wait here no longer. Cancelled ones are among them. */
  takeWaiting(): readonly Task[] {
    const tasks = this.#waiting;
    this.#waiting = [];
    return tasks;
  }

  /** Has tasks wait for a worker again, before all others. */
  putBack(tasks: readonly Task[]): void {
    if (tasks.length > 0) this.#waiting = [...tasks, ...this.#waiting];
  }

  /** Gives a task its outcome, unless it has one or was cancelled. */
  settle(task: Task, outcome: Outcome): void {
    if (this.#release(task)) task.resolve(outcome);
  }

  /** Counts a task no longer. Returns false if it was settled before. */
  #release(task: Task): boolean {
    if (task.settled) return false;
    task.settled = true;
    if (--this.#tasks === 0) this.#options.onWaitedFor(false);
    this.#bytes -= task.request.length;
    const left = this.#inFlight.get(task.policy)! - 1;
    if (left === 0) this.#inFlight.delete(task.policy);
    else this.#inFlight.set(task.policy, left);
    if (this.#doneCalls.length > 0) this.#countDone(task.policy);
    return true;
  }

  /** Calls `then` as soon as nobody waits for the tasks of these policies any more. */
  whenDone(policies: readonly number[], then: () => void): void {
    const left = policies.reduce((sum, policy) => sum + (this.#inFlight.get(policy) ?? 0), 0);
    if (left === 0) then();
    else this.#doneCalls.push({ policies, then, left });
  }

  #countDone(policy: number): void {
    for (const call of [...this.#doneCalls]) {
      if (!call.policies.includes(policy) || --call.left > 0) continue;
      this.#doneCalls.splice(this.#doneCalls.indexOf(call), 1);
      call.then();
    }
  }
}
