/** How policies and groups are loaded, and what an embedding program gives them. */
import type {
  HostCall,
  HostCallAnswer,
  InventoryHandler,
  PolicyLogEntry,
} from "../../evaluator/types/evaluation.ts";
import type { ContextAwareResource } from "../../evaluator/types/metadata.ts";
import type { PolicyMode } from "./admission.ts";

/** A log entry, and who sent it. */
export interface PolicyLog extends PolicyLogEntry {
  /** The policy's name, or the group member's. */
  readonly policy: string;
}

/** The policy that makes a host call, and what it may read of the cluster. */
export interface HostCaller {
  /** Its name. */
  readonly policy: string;
  /** The kinds that it may read from the cluster. */
  readonly contextAwareResources: readonly ContextAwareResource[];
}

/**
 * One host capability: takes the payload (as a rule JSON), gives the answer's bytes, or throws an Error whose message the policy
 * gets.
 */
export type HostCapability = (payload: Uint8Array, caller: HostCaller) => Promise<Uint8Array> | Uint8Array;

/** The world that host calls are answered from, made by `hostCapabilities` or `replaySession`. Policies may share one. */
export interface Host {
  /** Capabilities by path, as in `kubernetes/get_resource` or `oci/v1/verify`. */
  readonly capabilities: Readonly<Record<string, HostCapability>>;
  /** What Rego policies see of the cluster. */
  readonly inventory?: InventoryHandler;
}

/** How modules are run. */
export interface RunOptions {
  /** How long one call of the policy may take, in milliseconds; 2000 unless given, `Infinity` for no limit. */
  readonly timeoutMs?: number;
  /** Memory that the policy may use, in MiB; 256 unless given. */
  readonly memoryMib?: number;
  /**
   * Worker threads to evaluate in; 1 unless given, in a browser 0. 0 evaluates in the calling thread, which then waits for the
   * policy and, as nothing can be taken away from it, lacks the second wall of SECURITY.md; on Node what exhausts its call stack, and
   * has asked the host nothing, is begun anew in a worker thread. Threads do not keep a process alive.
   */
  readonly threads?: number;
  /** Gets what the policy logs and prints. */
  readonly onLog?: (entry: PolicyLog) => void;
  /** Gets what went wrong with a thread; it has been replaced already. */
  readonly onThreadError?: (message: string) => void;
}

/** What decides how a verdict becomes the answer to a review. */
export interface ReviewOptions {
  /** `protect` unless given; `monitor` lets every request pass. Of use for `review` only: `validate` gives the verdict. */
  readonly mode?: PolicyMode;
  /** Takes the place of the policy's own message when it rejects; that becomes a cause. */
  readonly message?: string;
}

/** What one policy, or one member of a group, is given. */
export interface ModuleOptions {
  /** The policy's settings; `{}` unless given. An object is sent as JSON; text is taken as JSON, numbers as they are written. */
  readonly settings?: Readonly<Record<string, unknown>> | string;
  /**
   * Whether the policy is asked, when it is loaded, if it takes these settings; loading ends with an error unless it does. True unless
   * given; false leaves asking to `validateSettings()`.
   */
  readonly validateSettings?: boolean;
  /** What the policy may ask of {@link host}: patterns as in policies.yml, such as `kubernetes/*`. Nothing unless given. */
  readonly hostCapabilities?: readonly string[];
  /** The kinds that it may read from the cluster; those of its metadata unless given. */
  readonly contextAwareResources?: readonly ContextAwareResource[];
  /** Where its host calls are answered. */
  readonly host?: Host;
  /**
   * Answers the policy's host calls in the place of `host`; unless one of both is given, none is granted. With `threads: 0` it
   * must not return a promise.
   */
  readonly onHostCall?: (call: HostCall) => HostCallAnswer | Promise<HostCallAnswer>;
  /** Names the policy in errors, logs and answers. */
  readonly name?: string;
}

/** How a policy is loaded. */
export interface PolicyOptions extends ModuleOptions, RunOptions, ReviewOptions {
  /** Whether `review` passes on the policy's changes; as its metadata says unless given. */
  readonly allowedToMutate?: boolean;
}

/** A member of a group: where its module is, and what it is given. */
export interface GroupMember extends Omit<ModuleOptions, "name"> {
  /** The module's bytes, its path, or its URL. */
  readonly policy: Uint8Array | string | URL;
}

/** How a group of policies is loaded. */
export interface PolicyGroupOptions extends RunOptions, Omit<ReviewOptions, "message"> {
  /** What has to hold: members as functions without arguments, as in `signed() && (trusted() || !exposed())`. */
  readonly expression: string;
  /** What a rejection says; the members' own messages become its causes. */
  readonly message: string;
  /** Names the group in errors and answers. */
  readonly name?: string;
}
