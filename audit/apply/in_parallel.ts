/** Runs at most `parallel` of the works at once. */
export async function inParallel<T>(
  works: readonly T[],
  parallel: number,
  work: (one: T) => Promise<void>,
): Promise<void> {
  if (works.length <= parallel) {
    await Promise.all(works.map(work));
    return;
  }
  let next = 0;
  await Promise.all(Array.from({ length: parallel }, async () => {
    while (next < works.length) await work(works[next++]!);
  }));
}
