/** Waits for work that may never end, such as an answer on a frozen connection. */

/**
 * What `work` resolves to or rejects with, or what `late` returns or throws once `limitMs` milliseconds are over. The work itself is
 * not ended. The process is kept alive until either.
 */
export async function within<T>(limitMs: number, work: Promise<T>, late: () => T): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const over = new Promise<void>((resolve) => timer = setTimeout(resolve, limitMs));
  try {
    return await Promise.race([work, over.then(late)]);
  } finally {
    clearTimeout(timer);
  }
}
