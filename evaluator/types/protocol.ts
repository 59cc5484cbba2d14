/** The messages between the host's main thread and the worker threads that evaluate. */
import type { HostCall, HostCallAnswer, PolicyLogEntry, SettingsVerdict, Verdict } from "./evaluation.ts";
import type { PreparedModule } from "./module.ts";
import type { EvaluablePolicy } from "./policy.ts";

/** What can be asked of a policy. */
export type Operation = "validate" | "validate_settings" | "protocol_version";

/** What came of a task. `error` means that the policy could not be run at all. */
export type Outcome =
  | { readonly kind: "verdict"; readonly verdict: Verdict }
  | { readonly kind: "settings"; readonly settings: SettingsVerdict }
  | { readonly kind: "protocol"; readonly version: string }
  | { readonly kind: "error"; readonly message: string };

/**
 * Outcomes as they travel: the most frequent one, an acceptance that says nothing, as a number, because cloning an object
 * costs more than many an evaluation.
 */
export type PackedOutcome = Outcome | typeof ACCEPTED | typeof NOT_BEGUN;
/** Stands for a verdict that allows without a word. */
export const ACCEPTED = 1;
/** The task was cancelled before it began. */
export const NOT_BEGUN = 2;

/** Some tasks, sent together. `bytes` holds their requests one behind the other. */
export interface TaskBatch {
  readonly kind: "tasks";
  readonly tasks: readonly TaskHeader[];
  readonly bytes: Uint8Array;
}

/** One task of a batch: where its request stands in the batch's bytes, and its object in the request (-1: none). */
export type TaskHeader = readonly [
  id: number,
  policy: number,
  operation: Operation,
  start: number,
  end: number,
  objectStart: number,
  objectEnd: number,
];

/** What the main thread tells a worker. */
export type ToWorker =
  | TaskBatch
  | { readonly kind: "module"; readonly id: number; readonly module: PreparedModule }
  | { readonly kind: "policy"; readonly id: number; readonly policy: EvaluablePolicy }
  | { readonly kind: "remove"; readonly policies: readonly number[]; readonly modules: readonly number[] }
  /** Nobody waits for the task any more: it is dropped, or stopped at the guest's next look at the clock. */
  | { readonly kind: "cancel"; readonly task: number }
  /** Give back all memory that no request needs just now. */
  | { readonly kind: "shrink" }
  /** The thread may then be used again: what it holds is given back. */
  | { readonly kind: "close"; readonly reuse: boolean };

/** What a worker tells the main thread. */
export type FromWorker =
  /** The thread has loaded its code and takes its first messages. */
  | { readonly kind: "ready" }
  /** Tasks that are done: id, outcome, milliseconds taken; id, outcome … in the order in which they were done. */
  | { readonly kind: "done"; readonly outcomes: readonly (number | PackedOutcome)[] }
  /** The task that runs has been running for a while; the tasks named have not begun and go back. */
  | { readonly kind: "busy"; readonly returned: readonly number[] }
  | { readonly kind: "call"; readonly call: number; readonly policy: number; readonly request: HostCall }
  | {
    readonly kind: "log";
    readonly policy: number;
    /** The task that runs. */
    readonly task: number;
    readonly entry: PolicyLogEntry;
  };

/** The answer to a host call, sent on a port of its own to the worker that waits for it; call 0 only wakes it. */
export interface HostCallReply {
  readonly call: number;
  readonly answer: HostCallAnswer;
}

/** What a thread may hold of memories that no request uses, in bytes. */
export interface ThreadMemory {
  /** Guests that wait for their next request. */
  readonly kept: number;
  /** Guests that were thrown away, before the thread collects. */
  readonly abandoned: number;
}

/** What a worker is started with. */
export interface WorkerStart {
  readonly memory: ThreadMemory | undefined;
  readonly port: MessagePort;
  readonly replies: MessagePort;
  /** What both threads see at once, by {@link SIGNAL}. */
  readonly signal: Int32Array;
}

/**
 * Indices into {@link WorkerStart.signal}: counters that are increased and notified when there is a message on `port` and on
 * `replies`, the last 32 bits of the number of the task that runs, and a counter of the `cancel` messages. Messages can't tell
 * which task runs: outcomes that are ready may be unsent when a thread ends or gets stuck. And a guest that runs looks for
 * messages only when this counter says that there is a cancellation. `busy` is 1 from when the thread gives its tasks back until
 * it takes others: what is sent before that message is read would wait for a guest, or for a collection of garbage.
 */
export const SIGNAL = { inbox: 0, reply: 1, running: 2, cancelled: 3, busy: 4 } as const;
