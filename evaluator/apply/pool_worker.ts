/** A worker thread of a pool, seen from the main thread: its ports, and the tasks that it has (`worker.ts` is what runs in it). */
import { MessageChannel, type MessagePort } from "node:worker_threads";
import type { WorkerLoad } from "../render/schedule.ts";
import {
  type FromWorker,
  type HostCallReply,
  SIGNAL,
  type TaskHeader,
  type ThreadMemory,
  type ToWorker,
  type WorkerStart,
} from "../types/protocol.ts";
import type { PiecedRequest, Task } from "./task_queue.ts";
import type { Threads } from "./thread.ts";

/** What a worker tells its owner. */
export interface WorkerEvents {
  readonly onMessage: (worker: PoolWorker, message: FromWorker) => void;
  /** Nothing can come from the thread any more, though nobody has closed it. Called more than once unless it is abandoned then. */
  readonly onEnd: (worker: PoolWorker, reason: string) => void;
}

const NO_REPLY: HostCallReply = { call: 0, answer: { ok: false, error: "cancelled" } };

/** A thread and its work. */
export class PoolWorker implements WorkerLoad {
  readonly extra: boolean;
  readonly tasksOf = new Map<number, number>();
  ready = false;
  busySince: number | undefined;
  busyWith: number | undefined;
  slow = 0;
  backlogMs = 0;
  readonly #port: MessagePort;
  readonly #replies: MessagePort;
  readonly #signal: Int32Array;
  readonly #abort = new AbortController();
  /** Tasks in the order in which they were sent. Of the first ones the outcomes may be ready but unsent. */
  readonly #sent = new Map<number, Task>();
  #pending: Task[] = [];
  /** When the thread was last seen to do something else than before … */
  #progressAt = performance.now();
  /** … and the task that ran then. */
  #ranThen: Task | undefined;
  #closed = false;

  /** Starts the thread. */
  constructor(threads: Threads, events: WorkerEvents, extra: boolean, memory: ThreadMemory | undefined) {
    this.extra = extra;
    const work = new MessageChannel();
    const replies = new MessageChannel();
    this.#port = work.port1;
    this.#replies = replies.port1;
    this.#signal = new Int32Array(
      new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT * Object.keys(SIGNAL).length),
    );
    const onEnd = (reason: string) => {
      if (!this.#closed) events.onEnd(this, reason);
    };
    this.#port.on("message", (message: FromWorker) => events.onMessage(this, message));
    // Tinypool tells of errors, but not of a thread that exits: its task stays open for ever. Errors come first, with their reason.
    this.#port.on("close", () => onEnd("it exited"));
    this.#port.on("messageerror", () => onEnd("a message from it could not be read"));
    // What keeps the process alive is up to the pool.
    this.#port.unref();
    this.#replies.unref();
    const start = {
      port: work.port2,
      replies: replies.port2,
      signal: this.#signal,
      memory,
    } as unknown as WorkerStart;
    threads.run(start, [work.port2, replies.port2], this.#abort.signal).then(
      () => onEnd("it ended by itself"),
      (error) => onEnd(error instanceof Error ? error.message : String(error)),
    );
  }

  /** Sends the thread a message and wakes it. */
  post(message: ToWorker, transfer: ArrayBuffer[] = []): void {
    // The DOM's and Node's declarations of a message port differ in the list's type.
    this.#port.postMessage(message, transfer as never[]);
    this.#wake(SIGNAL.inbox);
  }

  /** Sends the thread the answer to a host call and wakes it. */
  reply(message: HostCallReply): void {
    if (this.#closed) return;
    this.#replies.postMessage(message);
    this.#wake(SIGNAL.reply);
  }

  #wake(counter: number): void {
    Atomics.add(this.#signal, counter, 1);
    Atomics.notify(this.#signal, counter);
  }

  /** Whether the thread takes tasks. It says that it is busy before its message has come. */
  get free(): boolean {
    return this.busySince === undefined && Atomics.load(this.#signal, SIGNAL.busy) === 0;
  }

  /** Gives the worker a task, to be sent by {@link sendPending}. */
  assign(task: Task, slow: boolean, costMs: number): void {
    task.worker = this;
    task.costMs = costMs;
    this.#pending.push(task);
    this.backlogMs += costMs;
    this.tasksOf.set(task.policy, (this.tasksOf.get(task.policy) ?? 0) + 1);
    if (slow) this.slow++;
  }

  /** Sends the thread all tasks that it was given since the last time, their requests copied once, into the message. */
  sendPending(): void {
    const tasks = this.#pending;
    if (tasks.length === 0) return;
    this.#pending = [];
    if (this.#sent.size === 0) this.#progressAt = performance.now();
    const bytes = new Uint8Array(tasks.reduce((sum, task) => sum + task.request.length, 0));
    let at = 0;
    const headers = tasks.map(({ id, policy, operation, request }): TaskHeader => {
      const start = at;
      for (const piece of request.pieces) {
        bytes.set(piece, at);
        at += piece.length;
      }
      const [objectStart, objectEnd] = request.object ?? [-1, -1];
      return [id, policy, operation, start, at, objectStart, objectEnd];
    });
    for (const task of tasks) this.#sent.set(task.id, task);
    this.post({ kind: "tasks", tasks: headers, bytes }, [bytes.buffer]);
  }

  /** The request of a task that was sent. */
  requestOf(id: number): PiecedRequest | undefined {
    return this.#sent.get(id)?.request;
  }

  /** Takes a task from the worker that it was sent to. */
  takeBack(id: number): Task | undefined {
    const task = this.#sent.get(id);
    if (!task) return undefined;
    this.#sent.delete(id);
    task.worker = undefined;
    const left = this.tasksOf.get(task.policy)! - 1;
    if (left === 0) this.tasksOf.delete(task.policy);
    else this.tasksOf.set(task.policy, left);
    this.backlogMs = this.tasksOf.size === 0 ? 0 : this.backlogMs - task.costMs;
    return task;
  }

  /** The thread says that its guest runs for long, and gives back what it has not begun. Returns what of that is still waited for. */
  becomeBusy(returned: readonly number[]): readonly Task[] {
    this.busySince ??= performance.now();
    const tasks: Task[] = [];
    for (const id of returned) {
      const task = this.takeBack(id);
      if (task && !task.settled) tasks.push(task);
    }
    this.busyWith = this.#runningTask()?.policy;
    this.slow = Math.max(this.slow, 1);
    return tasks;
  }

  /** The thread has answered. Nothing else is progress: a guest that can't be stopped may well log and call without end. */
  becomeFree(): void {
    this.#progressAt = performance.now();
    this.busySince = undefined;
    this.busyWith = undefined;
    if (this.#sent.size === 0) this.slow = 0;
  }

  /** Tells the thread that nobody waits for a task any more. The task stays the worker's until the thread is rid of it. */
  cancel(task: Task): void {
    this.post({ kind: "cancel", task: task.id });
    this.#wake(SIGNAL.cancelled);
    // It may wait for the answer to a host call. The thread looks for cancellations after it has said what runs.
    if (Atomics.load(this.#signal, SIGNAL.running) === (task.id | 0)) this.reply(NO_REPLY);
  }

  /**
   * The task that the thread has in hand; undefined when it has none, or none that is still waited for. Tasks before it are done,
   * though their outcomes may not have come.
   */
  #runningTask(): Task | undefined {
    const running = Atomics.load(this.#signal, SIGNAL.running);
    for (const task of this.#sent.values()) if ((task.id | 0) === running) return task;
    return undefined;
  }

  /** How long the worker has had no task at the moment `now`, in milliseconds; 0 when it has one. */
  idleMs(now: number): number {
    return this.tasksOf.size === 0 ? now - this.#progressAt : 0;
  }

  /** The task that the thread has in hand at the moment `now`, and for how long it has been seen to make no progress, in milliseconds. */
  progress(now: number): { readonly running: Task | undefined; readonly stalledMs: number } {
    if (this.#sent.size === 0) return { running: undefined, stalledMs: 0 };
    const running = this.#runningTask();
    if (this.#ranThen !== running) {
      this.#ranThen = running;
      this.#progressAt = now;
    }
    return { running, stalledMs: now - this.#progressAt };
  }

  /** All tasks that the worker was given and that have no outcome. */
  get tasks(): readonly Task[] {
    return [...this.#sent.values(), ...this.#pending];
  }

  /** Tells the thread to end; what it still sends is ignored. `reuse`: the process goes on, so that it may be used again. */
  close(reuse: boolean): void {
    this.#closed = true;
    this.post({ kind: "close", reuse });
    this.#port.close();
    this.#replies.close();
  }

  /** Ends a thread that is gone or can't be stopped. Returns the task that it had in hand, and those that another worker can begin. */
  abandon(): { readonly running: Task | undefined; readonly others: readonly Task[] } {
    this.#closed = true;
    this.#abort.abort();
    this.#port.close();
    this.#replies.close();
    const running = this.#runningTask();
    const others = this.tasks.filter((task) => task !== running);
    for (const task of others) task.worker = undefined;
    this.#sent.clear();
    this.#pending = [];
    this.tasksOf.clear();
    return { running, others };
  }
}
