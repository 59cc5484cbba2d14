/** What the benchmarks measure. */

/** One review that is sent over and over, and the one right answer to it. */
export type Workload = {
  /** The policy's name and its id on the server. */
  readonly policy: string;
  /** Its module, below the repository. */
  readonly module: string;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly allowedToMutate: boolean;
  /** The review's file, below the repository. */
  readonly request: string;
  /** The bytes that must come back, for the uid of the review that was sent. */
  readonly expected: (uid: string) => string;
  /** What each runtime has to reach besides being right. */
  readonly goals?: {
    /** The share of the floor's requests per second at 32 connections. */
    readonly floorShare?: number;
    /** Requests per second at 8 connections. */
    readonly requestsPerSecond?: number;
    /** p50 at 1 connection stays below this, in milliseconds. */
    readonly p50Ms?: number;
  };
};

/** A subject as it is asked for. */
export type PlannedSubject = {
  /** `floor-node`, `floor-bun`, `floor-bun-serve`, `node`, `bun`, or the URL that was given. */
  readonly name: string;
  /** The number that a server of ours is started with (`--workers`); null where it has its default, and for all others. */
  readonly workers: number | null;
};

/** What is driven: an HTTP floor, a server of ours, or one that runs already. */
export type Subject = PlannedSubject & {
  /** Where a policy's reviews are posted. */
  readonly target: (policy: string) => string;
  /** The process whose memory is shown; undefined where it isn't on this machine. */
  readonly pid: number | undefined;
};

/** What the load generator saw in one run. Latencies in milliseconds. */
export type Load = {
  readonly requests: number;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  /** Answers that were wrong or did not come. */
  readonly errors: number;
  /** The first wrong answer, for the person who has to find out why. */
  readonly firstError: string | undefined;
};

/** One run of one subject. */
export type Sample = Load & {
  readonly subject: string;
  readonly workers: number | null;
  readonly policy: string;
  readonly connections: number;
  readonly round: number;
  readonly rssMb: number | null;
  /** Processor time of the subject's process in the run, in milliseconds. */
  readonly processorMs: number | null;
};

/** A line of the result: medians over the rounds, all errors, the highest RSS. */
export type Row = {
  readonly subject: string;
  /** As `PlannedSubject.workers`. */
  readonly workers: number | null;
  readonly policy: string;
  readonly connections: number;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly errors: number;
  /**
   * Processor time that the subject spends on a request, in microseconds, with all its threads, over all rounds; null where the
   * process isn't known. Unlike the rest of a row it hardly depends on what else the machine does, but it says nothing of latency.
   */
  readonly processorUs: number | null;
  /** Resident set of the server's process in MB (10^6 bytes) after the run; null where the process isn't known. */
  readonly rssMb: number | null;
  /** requestsPerSecond as a share of the floor's in the same round; null when that floor wasn't measured. */
  readonly ratioToFloor: number | null;
};
