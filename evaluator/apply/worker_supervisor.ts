/** The workers of a pool: opens them, replaces those that end or get stuck, and opens and closes extra ones. */
import { within } from "../../program/apply/within.ts";
import { HELD_UP_MS } from "../render/schedule.ts";
import type { FromWorker, ThreadMemory, ToWorker } from "../types/protocol.ts";
import { PoolWorker, type WorkerEvents } from "./pool_worker.ts";
import type { Task } from "./task_queue.ts";
import { openThreads, type Threads } from "./thread.ts";
import { refuseCodeFromStrings } from "./thread_powers.ts";

/** What the threads of a pool are. */
export interface ThreadOptions {
  /** The file that holds `worker_entry.ts`, or its bundle, or that code itself (`worker_url.ts`). */
  readonly worker: URL;
  /** Whether this process belongs to the program, so that V8 can be told to refuse code from strings in all later threads. */
  readonly ownProcess?: boolean;
  /** What each thread may hold of guests that run no request. */
  readonly memory?: ThreadMemory;
  /** Gets what went wrong with a thread; it has been replaced already. */
  readonly onThreadError?: (message: string) => void;
}

/** A worker whose thread is gone, and has been replaced. */
export interface EndedWorker {
  readonly reason: string;
  /** The task that the thread had in hand. */
  readonly running: Task | undefined;
  /** All others, which another worker can begin. */
  readonly others: readonly Task[];
  /** Whether so many threads have ended before they were ready that no later one can be expected to start either. */
  readonly hopeless: boolean;
}

/** What a supervisor asks of its pool, and tells it. */
interface SupervisorEvents {
  /** What a new thread has to know before its first task. */
  readonly introduction: () => Iterable<ToWorker>;
  /** How long one call of a policy may take, in milliseconds. */
  readonly limitMs: (policy: number) => number;
  readonly onMessage: (worker: PoolWorker, message: Exclude<FromWorker, { kind: "ready" }>) => void;
  readonly onEnd: (ended: EndedWorker) => void;
  /** There may be a worker now for what had to wait. */
  readonly onRoom: () => void;
}

/** A thread that does not exit within this time is abandoned. */
const CLOSE_MS = 1_000;
/** How often workers are looked after. */
const CHECK_MS = 500;
/** A thread that makes no progress for this much longer than its policy's limit is replaced … */
const STUCK_MS = 5_000;
/** … one that could not even start, after this time … */
const RESTART_MS = 1_000;
/** … and one that has not even begun, after this time: on a busy machine, loading its code takes its time. */
const START_MS = 60_000;
/** Instantiation has a limit for each start function, of which there are up to three, and then comes the call. */
const LIMITS_OF_A_TASK = 4;
/** An extra worker ends when it has had nothing to do for this long. */
const IDLE_MS = 5_000;
/** So many threads in a row that end before they are ready: then their code can't be loaded, and what waits is told so. */
const MAX_FAILED_STARTS = 3;

/** Keeps up a number of workers. */
export class WorkerSupervisor {
  readonly #options: ThreadOptions;
  readonly #events: SupervisorEvents;
  readonly #threads: Threads;
  readonly #workers: PoolWorker[] = [];
  readonly #workerEvents: WorkerEvents = {
    onMessage: (worker, message) => this.#receive(worker, message),
    onEnd: (worker, reason) => this.#ended(worker, reason),
  };
  readonly #watch: NodeJS.Timeout;
  #relief: NodeJS.Timeout | undefined;
  #failedStarts = 0;
  #closed = false;

  /** @param standing how many workers there are always */
  constructor(options: ThreadOptions, standing: number, events: SupervisorEvents) {
    this.#options = options;
    this.#events = events;
    const { worker, ownProcess = false } = options;
    if (ownProcess) refuseCodeFromStrings();
    const onError = (message: string) => options.onThreadError?.(`an evaluating thread: ${message}`);
    this.#threads = openThreads(worker, ownProcess, standing, onError);
    for (let count = 0; count < standing; count++) this.#workers.push(this.#open());
    this.#watch = setInterval(() => this.#check(), CHECK_MS);
    this.#watch.unref();
  }

  /** All workers, extra ones last. */
  get workers(): readonly PoolWorker[] {
    return this.#workers;
  }

  /** Sends all threads a message. */
  tell(message: ToWorker): void {
    for (const worker of this.#workers) worker.post(message);
  }

  /** Whether somebody waits for an answer: the threads and their ports don't keep the process alive, a timer does until nobody waits. */
  keepAlive(waitedFor: boolean): void {
    if (waitedFor) this.#watch.ref();
    else this.#watch.unref();
  }

  /** Opens one more worker, or has the owner look again whether one is needed. */
  relieve(when: "now" | "later"): void {
    if (when === "now") {
      this.#workers.push(this.#open(true));
      this.#events.onRoom();
      return;
    }
    this.#relief ??= setTimeout(() => {
      this.#relief = undefined;
      this.#events.onRoom();
    }, HELD_UP_MS);
  }

  /** Ends all threads. Resolves when they have exited, or after {@link CLOSE_MS}. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#watch);
    clearTimeout(this.#relief);
    for (const worker of this.#workers) worker.close(false);
    await within(CLOSE_MS, this.#threads.close(), () => {});
  }

  #open(extra = false): PoolWorker {
    const worker = new PoolWorker(this.#threads, this.#workerEvents, extra, this.#options.memory);
    for (const message of this.#events.introduction()) worker.post(message);
    return worker;
  }

  #receive(worker: PoolWorker, message: FromWorker): void {
    if (message.kind !== "ready") return this.#events.onMessage(worker, message);
    worker.ready = true;
    this.#failedStarts = 0;
    // No other was opened for what waits while this one started, and no timer was set.
    this.#events.onRoom();
  }

  #ended(worker: PoolWorker, reason: string): void {
    if (this.#closed) return;
    const tasks = worker.abandon();
    this.#remove(worker);
    if (!worker.extra) this.#replace(worker);
    const hopeless = !worker.ready && ++this.#failedStarts >= MAX_FAILED_STARTS;
    this.#options.onThreadError?.(`an evaluating thread was replaced: ${reason}`);
    this.#events.onEnd({ reason, ...tasks, hopeless });
  }

  #replace({ ready }: PoolWorker): void {
    if (ready) return void this.#workers.unshift(this.#open());
    // It could not start; the next one may not either.
    setTimeout(() => {
      if (this.#closed) return;
      this.#workers.unshift(this.#open());
      this.#events.onRoom();
    }, RESTART_MS).unref();
  }

  #remove(worker: PoolWorker): void {
    this.#workers.splice(this.#workers.indexOf(worker), 1);
  }

  /** Closes extra workers that have nothing to do, and replaces those that are stuck. */
  #check(): void {
    const now = performance.now();
    for (const worker of [...this.#workers]) {
      if (worker.extra && worker.ready && worker.idleMs(now) > IDLE_MS) {
        worker.close(true);
        this.#remove(worker);
        continue;
      }
      const { running, stalledMs } = worker.progress(now);
      const limitMs = LIMITS_OF_A_TASK * (running ? this.#events.limitMs(running.policy) : 0);
      if (stalledMs > (worker.ready ? limitMs + STUCK_MS : START_MS)) {
        this.#ended(worker, "its guest was over its time limit and did not stop");
      }
    }
  }
}
