/** Every host capability of the policy server (`spec/evaluator.md §5`), with the bounds that hold for all of them. */
import { setOwn } from "../../../program/types/own.ts";
import type { Capabilities, Capability } from "../../../evaluator/apply/host_calls.ts";
import { HostCallError } from "../../../evaluator/types/evaluation.ts";
import type { ClusterSource } from "../kubernetes/cluster.ts";
import { cryptoCapabilities } from "./crypto.ts";
import { kubernetesCapabilities } from "./kubernetes.ts";
import { netCapabilities } from "./net.ts";
import { ociCapabilities, type OciOptions } from "./oci.ts";

/** What the capabilities work with. */
export interface CapabilityOptions extends OciOptions {
  readonly cluster: ClusterSource;
}

/** A policy whose time is up leaves its call behind; more than these are not begun (`spec/evaluator.md §5.1` rule 6). */
const MAX_CALLS = 100;
/** Payloads are read in the thread that serves, where a mebibyte takes some 10 ms: certificates and image names are small. */
const MAX_PAYLOAD = 1024 * 1024;

/** Errors quote names that the guest chose, and are written into the guest's memory and into the log. */
const MAX_ERROR = 1024;

/** The same error with a message of bounded length. */
function shortened(error: unknown): unknown {
  if (!(error instanceof Error) || error.message.length <= MAX_ERROR) return error;
  const message = `${error.message.slice(0, MAX_ERROR)}… (${error.message.length} characters)`;
  return error instanceof HostCallError ? new HostCallError(message) : new Error(message, { cause: error });
}

/** The capabilities. */
export function allCapabilities(options: CapabilityOptions): Capabilities {
  let calls = 0;
  const bounded = (capability: Capability): Capability => async (payload, caller) => {
    if (payload.length > MAX_PAYLOAD) {
      throw new HostCallError(`the payload has ${payload.length} bytes, more than ${MAX_PAYLOAD}`);
    }
    if (calls >= MAX_CALLS) throw new HostCallError("Error sending request over callback channel: Full(..)");
    calls++;
    try {
      return await capability(payload, caller);
    } catch (error) {
      throw shortened(error);
    } finally {
      calls--;
    }
  };
  const all: Capabilities = {
    ...netCapabilities(),
    ...cryptoCapabilities(),
    ...ociCapabilities(options),
    ...kubernetesCapabilities(options.cluster),
  };
  const found: Record<string, Capability> = Object.create(null);
  for (const [path, capability] of Object.entries(all)) setOwn(found, path, bounded(capability));
  return found;
}
