/**
 * The one shape of every execution mode: `runtimes/<mode>.ts` exports a {@link Runtime}, which turns a prepared module into a
 * {@link Guest}. A guest lives in one thread and is called by it, one call at a time.
 */
import type {
  EvaluationRequest,
  HostCallAnswer,
  InventoryRequest,
  PolicyLogEntry,
  SettingsVerdict,
  Verdict,
} from "./evaluation.ts";
import type { PreparedModule } from "./module.ts";
import type { EvaluablePolicy } from "./policy.ts";

/** A host call as the guest makes it; all names are the guest's words. */
export interface GuestCall {
  readonly binding: string;
  readonly namespace: string;
  readonly operation: string;
  readonly payload: Uint8Array;
}

/** What the host's thread does for the guest that runs in it. */
export interface GuestHost {
  /** Links a module; the guest's start functions have not run yet. Throws {@link InstantiationError}. */
  link(module: WebAssembly.Module, imports: WebAssembly.Imports): Promise<WebAssembly.Instance>;
  /** Begins a call that may take `limitMs`. */
  arm(limitMs: number): void;
  /**
   * Runs a call of the guest that may take `limitMs`. What a host function throws ends it, as a trap would: also where the
   * guest catches that and goes on.
   */
  run<T>(limitMs: number, call: () => T): T;
  /** Whether the last armed call was stopped because its time was up. */
  expired(): boolean;
  /** Milliseconds that the armed call has left. */
  left(): number;
  /** Answers a host call in the name of the policy that is being evaluated; the guest waits. */
  call(call: GuestCall): HostCallAnswer;
  /** Gets the inventory of the Rego policy that is being evaluated; the guest waits. */
  inventory(request: InventoryRequest): HostCallAnswer;
  /** Passes on what the policy being evaluated has to tell. */
  log(entry: PolicyLogEntry): void;
  /**
   * To be called now and then while the host itself works for this guest: what waits behind it may go elsewhere. Returns whether
   * it may go on: nobody may want the answer any more.
   */
  turn(): boolean;
  /** Tells that the host itself is about to work long for this guest. */
  longWork(): void;
  /** Tells how long the guest's answer is, before the host reads it: a large one is long work, and leaves its copies behind. */
  answered(bytes: number): void;
  /** Whether the guest may hold so many bytes of what was prepared for it, until its next request. */
  mayHold(bytes: number): boolean;
  /** The text of what ended the guest's code; an exhausted call stack is remembered (`apply/engine.ts`). */
  trap(error: unknown): string;
  /** Lets the thread sleep, for at most the time that the armed call has left. */
  sleep(milliseconds: number): void;
}

/** A guest, ready to be called. */
export interface Guest {
  /**
   * Called before {@link validate}, where it is there, and begins the same limit: gets what the policy is to see of the cluster. False when
   * the guest holds what is true no longer: it must be dropped, and one made anew asked.
   */
  prepare?(request: EvaluationRequest, policy: EvaluablePolicy): boolean;
  validate(request: EvaluationRequest, policy: EvaluablePolicy): Verdict;
  validateSettings(policy: EvaluablePolicy): SettingsVerdict;
  /** The version of the protocol that the guest says it speaks. Throws Error where the mode has none. */
  protocolVersion(limitMs: number): string;
  /** Puts the guest back to where it was before its first call. False when it must be dropped and made anew instead. */
  restore(): boolean;
  /** Bytes that the guest holds for what it sees of the cluster, besides its memory. */
  preparedBytes?(): number;
}

/** Makes a guest of a module: links it and runs its start functions, each within `limitMs`. Throws {@link InstantiationError}. */
export type Runtime = (prepared: PreparedModule, limitMs: number, host: GuestHost) => Promise<Guest>;

/** Raised when a guest can't be made. `interrupted` tells that a start function was stopped because its time was up. */
export class InstantiationError extends Error {
  override readonly name = "InstantiationError";
  readonly interrupted: boolean;

  constructor(message: string, interrupted = false) {
    super(message);
    this.interrupted = interrupted;
  }
}
