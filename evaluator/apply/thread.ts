/** The threads that evaluate: each runs one long task, `serve` of `worker.ts`, until it is told to close. */
import { Worker } from "node:worker_threads";
import { threadOptions } from "./thread_powers.ts";

/** Starts threads, and knows those that have not ended. */
export interface Threads {
  /**
   * Has a thread run the worker's code, which is handed `start`. Resolves when it has ended by itself; rejects with what it died of,
   * and when `signal` ended it. On Bun a thread whose guest spins goes on all the same; nobody waits for it.
   */
  run(start: object, transfer: readonly unknown[], signal: AbortSignal): Promise<void>;
  /** Ends all of them. */
  close(): Promise<void>;
}

/**
 * Plain threads, for programs that embed the evaluator: they don't keep the process alive (the pool does, as long as somebody waits
 * for an answer), which Tinypool's do, and their code may be a `data:` URL, which needs no file beside a bundle.
 */
export function embeddedThreads(worker: URL): Threads {
  const running = new Set<{ readonly ended: Promise<void>; readonly end: () => void }>();
  return {
    run(start, transfer, signal) {
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
      const one = { ended, end: () => void Promise.resolve(thread.terminate()).catch(() => {}) };
      running.add(one);
      signal.addEventListener("abort", one.end, { once: true });
      ended.finally(() => running.delete(one)).catch(() => {});
      return ended;
    },
    async close() {
      const left = [...running];
      for (const { end } of left) end();
      await Promise.allSettled(left.map(({ ended }) => ended));
    },
  };
}

/**
 * The threads of a pool.
 *
 * @param worker the file that holds `worker_entry.ts`, or its bundle, or that code itself
 * @param ownProcess nothing else runs in this process
 * @param standing how many threads there are always
 * @param onError gets what a thread without a task died of
 */
export function openThreads(
  worker: URL,
  ownProcess: boolean,
  standing: number,
  onError: (message: string) => void,
): Threads {
  if (!ownProcess || worker.protocol === "data:") return embeddedThreads(worker);
  const opened = import("./pooled_threads.ts").then(({ pooledThreads }) =>
    pooledThreads(worker, standing, onError)
  );
  return {
    run: async (start, transfer, signal) => await (await opened).run(start, transfer, signal),
    close: async () => await (await opened).close(),
  };
}
