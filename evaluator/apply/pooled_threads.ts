/** Tinypool's threads, for programs of our own: they are started ahead and used again. */
import { Tinypool } from "../../deps.ts";
import type { Threads } from "./thread.ts";
import { threadOptions } from "./thread_powers.ts";

/**
 * Starts them.
 *
 * @param worker the file that holds `worker_entry.ts`, or its bundle
 * @param standing how many threads there are always
 * @param onError gets what a thread without a task died of, say one that could not load its code
 * @param listens whether they need the network
 */
export function pooledThreads(
  worker: URL,
  standing: number,
  onError: (message: string) => void,
  listens = false,
): Threads {
  const pool = new Tinypool({
    filename: worker.href,
    ...threadOptions(worker, listens),
    // Those that listen are started once each, by their task; a spare one would be of no use.
    minThreads: listens ? 0 : standing,
    // Room for threads that take the place of those that can't be stopped.
    maxThreads: standing * 3,
    concurrentTasksPerWorker: 1,
    idleTimeout: 60_000,
    useAtomics: false,
    // Bun can't end a thread whose guest spins. Tinypool would turn that into an unhandled rejection, which ends the process.
    terminateTimeout: 0,
  });
  // Unheard, it would end the process.
  pool.on("error", (error: Error) => onError(error.message));
  return {
    run: (start, transfer, signal) => pool.run(start, { transferList: transfer as never, signal }),
    close: () => pool.destroy(),
  };
}
