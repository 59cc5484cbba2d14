/** Resolves to what `work` does, or to `late` once that has taken `limitMs`; the work itself is not ended. */
export async function deadline<T>(work: Promise<T>, limitMs: number, late: T): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const passed = new Promise<T>((resolve) => timer = setTimeout(() => resolve(late), limitMs));
  try {
    return await Promise.race([work, passed]);
  } finally {
    clearTimeout(timer);
  }
}
