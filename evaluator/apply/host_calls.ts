/**
 * Answers the host calls of one policy (`spec/evaluator.md §5.1`): first the gate of its capability list, then unknown names,
 * then the capability itself. The call `tracing/log` never comes here; it is answered in the guest's own thread.
 */
import {
  type HostCallAnswer,
  HostCallError,
  type HostCallHandler,
  type InventoryHandler,
  TEXT,
} from "../types/evaluation.ts";
import type { ContextAwareResource } from "../types/metadata.ts";
import { boundedText } from "../render/bounded_text.ts";
import {
  allows,
  type CapabilityAllowList,
  describe,
  isCapability,
  isCapabilityNamespace,
} from "../types/host_capabilities.ts";

/** The policy that makes a call. */
export interface Caller {
  /** Its id, for log lines. */
  readonly policy: string;
  /** The kinds that it may read from the cluster. */
  readonly contextAwareResources: readonly ContextAwareResource[];
}

/**
 * One capability: takes the payload, gives the answer's bytes. It throws a {@link HostCallError} with the text for the guest, or
 * any other Error when it failed.
 */
export type Capability = (payload: Uint8Array, caller: Caller) => Promise<Uint8Array> | Uint8Array;

/** The capabilities that the host has, by path (`oci/v1/verify`). */
export type Capabilities = Readonly<Record<string, Capability>>;

/** Whoever wants to see all objects of a kind needs this, a Rego policy's inventory no less than a guest that asks itself. */
const INVENTORY_CAPABILITY = "kubernetes/list_resources_all";

/** What is told about a call that was not granted. */
export type OnViolation = (policy: string, capability: string, allowed: string) => void;

/** Characters of a guest's words in an error; the names of all capabilities are shorter. */
const MAX_PATH = 600;
const shown = (name: string): string => boundedText(name, MAX_PATH);

const failed = (error: string): HostCallAnswer => ({ ok: false, error });

/** Answers where nothing watches the cluster. */
export const noInventory: InventoryHandler = () => failed(TEXT.noInventory);

/**
 * The handler of one policy's host calls. The inventory of a Rego policy passes the gate as `kubernetes/list_resources_all`; its
 * kinds are those that the policy was granted, because the host asks in its name.
 */
export function hostCallHandler(
  caller: Caller,
  allowed: CapabilityAllowList,
  capabilities: Capabilities,
  onViolation: OnViolation = () => {},
  inventory: InventoryHandler = noInventory,
): HostCallHandler {
  const denied = (path: string): HostCallAnswer | undefined => {
    if (allows(allowed, path)) return undefined;
    onViolation(caller.policy, boundedText(path, MAX_PATH), describe(allowed));
    return failed(
      `Policy has not been granted access to the '${
        boundedText(path, MAX_PATH)
      }' host capability. The violation has been reported.`,
    );
  };
  const failure = (error: unknown): HostCallAnswer =>
    error instanceof HostCallError
      ? failed(error.message)
      : failed(`Callback evaluation failure: ${error instanceof Error ? error.message : String(error)}`);
  // Without a promise where the capability gives none: there is no waiting for one in the guest's own thread.
  return ({ namespace, operation, payload, inventory: wanted }) => {
    // The original lets Rego policies past the gate (spec/policy-server.md §19 row 6).
    if (wanted) return denied(INVENTORY_CAPABILITY) ?? inventory(wanted, caller.policy);
    const path = `${namespace}/${operation}`;
    // Of this namespace there is `log` only, which needs no grant and is answered in the guest's thread.
    if (namespace === "tracing") return failed(`unknown operation: ${shown(operation)}`);
    const denial = denied(path);
    if (denial) return denial;
    if (!isCapability(path)) {
      const known = isCapabilityNamespace(namespace.split("/")[0]!);
      return failed(
        known ? `unknown operation: ${shown(operation)}` : `unknown namespace: ${shown(namespace)}`,
      );
    }
    const capability = Object.hasOwn(capabilities, path) ? capabilities[path] : undefined;
    if (!capability) {
      return failed(
        namespace === "kubernetes"
          ? "Callback evaluation failure: kube::Client was not initialized properly"
          : "Cannot process Wasm guest request: callback channel not provided",
      );
    }
    try {
      const answer = capability(payload, caller);
      if (answer instanceof Promise) return answer.then((payload) => ({ ok: true, payload }), failure);
      return { ok: true, payload: answer };
    } catch (error) {
      return failure(error);
    }
  };
}
