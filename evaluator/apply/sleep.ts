/** Lets the calling thread sleep. In a browser its main thread may not, and memory may not be shared: there it waits busily. */
export function sleep(milliseconds: number): void {
  const until = performance.now() + milliseconds;
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
  } catch {
    while (performance.now() < until);
  }
}
