/** One run of `npm run bench`, as it is saved and drawn. */
import type { Row } from "./measurement.ts";

/** The machine that a run was made on. */
export type Machine = {
  /** The model's name, e.g. `AMD EPYC`. */
  readonly processor: string;
  /** How many processors this process may use. */
  readonly processors: number;
  /** GB (10^9 bytes); null in results of before it was recorded. */
  readonly memoryGb: number | null;
  /** Its system with its version, e.g. `Linux 6.8.0`. */
  readonly kernel: string;
};

/** What took part in a run. */
export type Versions = {
  readonly node: string;
  readonly bun: string;
  /** The load generator with its version; null in results of before it was recorded. */
  readonly generator: string | null;
  /** The repository's commit, with `+` where files differ from it; null outside of a repository. */
  readonly commit: string | null;
};

/** What else the machine did while it was measured. */
export type Surroundings = {
  /** The load average of the minute before the run. */
  readonly loadBefore: number;
  /** Requests per second of the same floor before and after all others; null in results of before it was recorded. */
  readonly floors: readonly [number, number] | null;
  /** The share of all processors' time that went to processes outside of the run, 0 to 1; null where it can't be read. */
  readonly othersShare: number | null;
};

/** The head of a run: where, with what, when. */
export type RunHead = {
  /** When it began, as ISO 8601 in UTC. */
  readonly date: string;
  readonly machine: Machine;
  readonly versions: Versions;
  readonly surroundings: Surroundings;
};

/** A whole run. */
export type Run = RunHead & {
  /** The program that was measured, below the repository where it lies there. */
  readonly program: string;
  readonly rounds: number;
  /** Of one measurement. */
  readonly seconds: number;
  readonly rows: readonly Row[];
};
