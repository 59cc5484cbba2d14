/** Whether the machine did so much else that a run's figures can't be judged. */
import type { Machine, Surroundings } from "../types/run.ts";

/** The same floor, measured twice, differs by less than this on an idle machine. */
const MAX_FLOOR_DIFFERENCE = 0.1;
/** A tenth of all processors is what figures scatter by anyway. */
const MAX_OTHERS_SHARE = 0.1;

/** By which share the slower of two runs of the floor lies below the quicker one. */
function floorDifference(floors: Surroundings["floors"]): number | null {
  if (floors === null) return null;
  const most = Math.max(...floors);
  return most === 0 ? null : 1 - Math.min(...floors) / most;
}

const percent = (share: number) => `${(share * 100).toFixed(0)}%`;

/** What was seen, and whether that is too much: more processes that want to run than processors, floors that differ, other work. */
export function verdict(
  { loadBefore, floors, othersShare }: Surroundings,
  { processors }: Pick<Machine, "processors">,
): { readonly busy: boolean; readonly text: string } {
  const difference = floorDifference(floors);
  const seen = [
    ...difference === null ? [] : [`floors differ by ${percent(difference)}`],
    `load ${loadBefore.toFixed(1)}`,
    ...othersShare === null ? [] : [`other processes took ${percent(othersShare)} of the processors' time`],
  ].join(", ");
  const busy = loadBefore > processors || (difference ?? 0) > MAX_FLOOR_DIFFERENCE ||
    (othersShare ?? 0) > MAX_OTHERS_SHARE;
  return busy
    ? { busy, text: `the machine was busy (${seen}): goals are not judged` }
    : { busy, text: `the machine was idle (${seen})` };
}
