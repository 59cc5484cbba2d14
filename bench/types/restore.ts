/** What `restore.ts` measures. */

/** Microseconds of processor time, the least of the rounds. */
export interface RestoreRow {
  readonly name: string;
  /** All of the memory is put back. */
  readonly wholeUs: number;
  /** What was written is recorded, and put back; for memory alone: what is tried instead. */
  readonly recordedUs: number;
}
