/**
 * Which worker of a pool takes which task, and when the pool needs another worker.
 *
 * No policy takes the last worker, however quick it has been so far: it may turn hostile, and nothing tells before a worker has been
 * busy with it for a while. Slow policies share their workers, and together never take the last one that holds nothing slow. Extra
 * workers, which were opened because others were held up, are for policies that have no other.
 */

/** What is known of a worker when tasks are handed out. */
export interface WorkerLoad {
  readonly ready: boolean;
  /** Whether its thread takes tasks. */
  readonly free: boolean;
  /** Since when one guest has kept it busy, in milliseconds of the process; undefined: none does. */
  readonly busySince: number | undefined;
  /** The policy that keeps it busy; it counts as slow as long as it does. */
  readonly busyWith: number | undefined;
  /** How many of its tasks are of each policy. */
  readonly tasksOf: ReadonlyMap<number, number>;
  /** How many slow tasks it was given since it last had none at all. */
  readonly slow: number;
  /** What its tasks are expected to take, in milliseconds. */
  readonly backlogMs: number;
  /** Opened because others were held up. */
  readonly extra: boolean;
}

/** How many workers there always are, and how many of them a policy may have: all but the spare ones. */
export interface WorkerLimits {
  /** Workers that one policy may have at a time. */
  readonly most: number;
  /** Workers besides, which nothing slow may take. */
  readonly spares: number;
}

/** A worker takes this much work before the next one is used: one busy thread costs less than two half busy ones. */
const FULL_MS = 2;
/** When workers have been busy with one guest each for this long, others that wait for them get another worker. */
export const HELD_UP_MS = 50;

function leastBacklog<W extends WorkerLoad>(workers: readonly W[]): W | undefined {
  return workers.reduce<W | undefined>(
    (best, worker) => !best || worker.backlogMs < best.backlogMs ? worker : best,
    undefined,
  );
}

/** A worker for what is quick: one that holds nothing slow, and not the second where the first has room. */
function quickWorker<W extends WorkerLoad>(among: readonly W[]): W | undefined {
  const quick = among.filter(({ free, slow }) => free && slow === 0);
  return quick.find(({ backlogMs }) => backlogMs < FULL_MS) ?? leastBacklog(quick);
}

/** The worker for a task of a policy. Undefined: the task has to wait. */
function chosenWorker<W extends WorkerLoad>(
  workers: readonly W[],
  policy: number,
  slow: boolean,
  { most, spares }: WorkerLimits,
): W | undefined {
  const holding = workers.filter(({ tasksOf }) => tasksOf.has(policy));
  const open = holding.length >= most
    ? holding
    : holding.length > 0
    ? workers.filter(({ extra, tasksOf }) => !extra || tasksOf.has(policy))
    : workers;
  if (!slow) return quickWorker(open);
  const shared = leastBacklog(open.filter((worker) => worker.free && worker.slow > 0));
  // A worker that has just been given the same policy may be about to tell that it is busy with it.
  const taken = workers.filter(({ free, slow, tasksOf }) => !free || slow > 0 || tasksOf.has(policy)).length;
  return shared?.backlogMs === 0 || taken >= workers.length - spares ? shared : quickWorker(open);
}

/** One turn of handing out tasks. What a worker is given in the turn has to show in its load at once. */
export class Turn<W extends WorkerLoad> {
  readonly #workers: readonly W[];
  readonly #limits: WorkerLimits;
  readonly #forQuick: readonly W[];
  readonly #heldUp: number;
  /** Policies of which a task has to wait: so do the ones behind it. */
  readonly #blocked = new Set<number>();
  /** How many workers may be held up before another one is opened for the policies that have none. */
  #tolerated = Infinity;

  /** @param now milliseconds of the process */
  constructor(workers: readonly W[], limits: WorkerLimits, now: number) {
    this.#workers = workers;
    this.#limits = limits;
    const isHeldUp = ({ busySince }: W) => busySince !== undefined && now - busySince >= HELD_UP_MS;
    this.#heldUp = workers.reduce((count, worker) => isHeldUp(worker) ? count + 1 : count, 0);
    // A thread that has just been started is far slower than what is quick.
    this.#forQuick = workers.every((worker) => worker.extra || isHeldUp(worker))
      ? workers
      : workers.filter(({ extra }) => !extra);
  }

  /** Tasks of policies that have no worker before the others, each in their order. */
  inOrder<T extends { readonly policy: number }>(tasks: readonly T[]): readonly T[] {
    if (this.#workers.every(({ busySince }) => busySince === undefined)) return tasks;
    const has = ({ policy }: T) => this.#workers.some(({ tasksOf }) => tasksOf.has(policy));
    return [...tasks.filter((task) => !has(task)), ...tasks.filter(has)];
  }

  /** Whether a policy keeps a worker busy just now. */
  isBusyWith(policy: number): boolean {
    return this.#workers.some(({ busyWith }) => busyWith === policy);
  }

  /** The worker for the next task of a policy. Undefined: it has to wait. */
  workerFor(policy: number, slow: boolean): W | undefined {
    if (this.#blocked.has(policy)) return undefined;
    const worker = chosenWorker(slow ? this.#workers : this.#forQuick, policy, slow, this.#limits);
    if (worker) return worker;
    this.#blocked.add(policy);
    if (!this.#workers.some(({ tasksOf }) => tasksOf.has(policy))) {
      const open = this.#workers.length - (slow ? this.#limits.spares : 0);
      this.#tolerated = Math.min(this.#tolerated, open);
    }
    return undefined;
  }

  /** Whether policies that have no worker need another one: now, or when none has come free for {@link HELD_UP_MS}. */
  get relief(): "none" | "later" | "now" {
    const standing = this.#limits.most + this.#limits.spares;
    const { length } = this.#workers;
    if (
      this.#tolerated === Infinity || length < standing || length >= 2 * standing ||
      this.#workers.some(({ ready }) => !ready)
    ) return "none";
    return this.#heldUp >= this.#tolerated ? "now" : "later";
  }
}
