/** The listener of probes and scrapes. */
import { type HttpListener, PROBE_LIMITS } from "../../http/mod.ts";
import { logClosed } from "../apply/log_events.ts";
import type { Observers } from "../apply/observers.ts";
import type { ServerOptions } from "../types/options.ts";
import { type Front, open } from "./front.ts";
import { readinessHandler } from "./handler.ts";

/** Nothing that asks for readiness or metrics has a body. */
const MAX_PROBE_BYTES = 64 * 1024;

const NAMES = {
  what: "readiness probes and metrics",
  portOption: "--readiness-probe-port (variable KUBEWARDEN_READINESS_PROBE_PORT)",
};

/** Opens it. Rejects with a ListenError. */
export function openReadiness(
  { host, readinessProbePort: port }: ServerOptions,
  { metrics, log }: Observers,
  front: Front,
  stopping: () => boolean,
): Promise<HttpListener> {
  return open({
    host,
    port,
    tls: undefined,
    handler: readinessHandler({ metrics, log, stopping, counted: () => front.counted() }),
    maxBodyBytes: MAX_PROBE_BYTES,
    limits: PROBE_LIMITS,
    onClosed: logClosed(log, "readiness"),
  }, NAMES);
}
