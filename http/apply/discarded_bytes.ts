/**
 * Counts what was received and is thrown away. V8 takes account of such bytes and collects in time; JavaScriptCore collects beside the
 * program, which on a busy machine is long after: a hundred bodies of 7 MB that were given up took 460 MB. So on Bun it is told to, now
 * and then; it takes some milliseconds.
 */

/** Bytes that may wait to be collected. */
const MAX_WAITING = 32 * 1024 * 1024;

// Taken when this file is loaded, because threads that evaluate give up the global `Bun`.
const collect = (globalThis as { readonly Bun?: { gc(sync: boolean): number } }).Bun?.gc;

/** What is to be called with each number of bytes that is thrown away. */
export function discardedBytes(): (bytes: number) => void {
  let waiting = 0;
  return (bytes) => {
    waiting += bytes;
    if (waiting < MAX_WAITING) return;
    waiting = 0;
    collect?.(true);
  };
}
