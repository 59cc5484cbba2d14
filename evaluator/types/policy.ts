/** A module with what one policy makes of it. */
import type { CapabilityAllowList } from "./host_capabilities.ts";
import type { ContextAwareResource } from "./metadata.ts";

/** What an engine has to know of a policy to evaluate it. */
export interface EvaluablePolicy {
  /** Names the policy in log entries and host calls. */
  readonly id: string;
  /** Which prepared module it runs, as registered with the engine. */
  readonly module: number;
  /** The settings as JSON text in UTF-8; `{}` when there are none. */
  readonly settings: Uint8Array;
  /** How long one call of the guest may take, in milliseconds; `Infinity` for no limit. */
  readonly limitMs: number;
  /** The kinds that a Rego policy finds in its inventory; other modes ask for what they need. */
  readonly contextAwareResources?: readonly ContextAwareResource[];
  /**
   * What the handler of its host calls is going to refuse: all but these. The payload of such a call is not sent to the handler's thread.
   * Unless given, every payload is.
   */
  readonly hostCapabilities?: CapabilityAllowList;
}

/** A policy before any engine knows its module. */
export type PolicyDefinition = Omit<EvaluablePolicy, "module">;
