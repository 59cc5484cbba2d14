/** A bounded number of works at once, begun only when there is room: what waits for its turn is not yet in memory. */

export type Slots = {
  /** Begins `work` as soon as fewer than the allowed number are going on; resolves when it has begun. */
  begin(work: () => Promise<void>): Promise<void>;
  /** Resolves when all that was begun has ended. */
  drained(): Promise<void>;
};

/** `count` slots. `work` must not reject. */
export function createSlots(count: number): Slots {
  let active = 0;
  let waiting: (() => void)[] = [];
  const wake = () => {
    const woken = waiting;
    waiting = [];
    for (const resume of woken) resume();
  };
  const until = async (condition: () => boolean) => {
    while (!condition()) await new Promise<void>((resume) => waiting.push(resume));
  };
  return {
    async begin(work) {
      await until(() => active < count);
      active++;
      void work().finally(() => {
        active--;
        wake();
      });
    },
    drained: () => until(() => active === 0),
  };
}
