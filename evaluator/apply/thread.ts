/**
 * One evaluating thread: a worker that runs one long task, `serve` of `worker.ts`, until it is told to close.
 *
 * A thread does not keep the process alive, nor do its ports: the pool does, as long as somebody waits for an answer
 * (`pool.ts`).
 */
import { Worker } from "node:worker_threads";
import type { WorkerStart } from "../types/protocol.ts";
import { threadOptions } from "./thread_powers.ts";

/** A thread that was started. */
export interface Thread {
  /** Resolves when the thread has ended by itself; rejects with what it died of, and when it was ended from outside. */
  readonly ended: Promise<void>;
  /** Ends the thread. On Bun one whose guest spins goes on; nobody waits for it. */
  end(): void;
}

/** Starts a thread that runs the code at `worker` (`worker_url.ts`) and is handed `start`. */
export function startThread(worker: URL, start: WorkerStart, transfer: readonly unknown[]): Thread {
  const thread = new Worker(worker, {
    workerData: start,
    // The DOM's and Node's declarations of a message port differ.
    transferList: transfer as never[],
    ...threadOptions(worker),
  });
  thread.unref();
  const ended = new Promise<void>((resolve, reject) => {
    // Also of a thread that could not load its code. Unheard, it would end the process.
    thread.on("error", reject);
    thread.on(
      "exit",
      (code) => code === 0 ? resolve() : reject(new Error(`it ended with exit code ${code}`)),
    );
  });
  // Whoever waits for the thread gets the error as well; a pool that is closing waits for none.
  ended.catch(() => {});
  return { ended, end: () => void Promise.resolve(thread.terminate()).catch(() => {}) };
}
