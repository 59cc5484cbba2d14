/** Plain HTTP beside the webhooks: health and readiness probes, and Prometheus metrics (spec/controller.md §1.4, §1.5). */
import {
  CLOSED_TEXT,
  type HttpListener,
  type HttpResponse,
  listen,
  type ListenOptions,
  PROBE_LIMITS,
} from "../../http/mod.ts";
import { listenError } from "../../program/render/listen_error.ts";
import { PROMETHEUS_CONTENT_TYPE } from "../../telemetry/render/prometheus.ts";
import type { World } from "../apply/world.ts";

type Log = World["log"];

/** Nothing that asks for health or metrics has a body. */
const MAX_BODY_BYTES = 64 * 1024;

/** Splits `:8081`, `127.0.0.1:8081` or `[::1]:8081`. Throws when there is no port in it; the error names `flag`. */
export function parseBindAddress(
  address: string,
  flag: string,
): { readonly hostname: string | undefined; readonly port: number } {
  const match = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(address);
  const port = Number(match?.[3]);
  if (match === null || port > 65535) {
    throw new Error(`${flag}: "${address}" is no address to listen on, such as :8081`);
  }
  const hostname = match[1] ?? match[2];
  return { hostname: hostname === "" ? undefined : hostname, port };
}

/** What a listener says in the log of connections that it had to close. */
export const logClosed = (log: Log, listener: string): ListenOptions["onClosed"] => (reason, connections) =>
  log("info", `connections were closed: ${CLOSED_TEXT[reason]}`, { listener, connections });

async function serve(
  address: string,
  { what, option }: { readonly what: string; readonly option: string },
  log: Log,
  handle: (path: string, query: string) => HttpResponse,
): Promise<HttpListener> {
  const { hostname, port } = parseBindAddress(address, option);
  const names = { what, host: hostname, port, portOption: option, hostOption: option };
  return await listen({
    host: hostname,
    port,
    tls: undefined,
    maxBodyBytes: MAX_BODY_BYTES,
    limits: PROBE_LIMITS,
    onClosed: logClosed(log, what),
    handler: ({ method, target }) => {
      const [path = "", query = ""] = target.split("?");
      return Promise.resolve(method === "GET" ? handle(path, query) : text(405, "method not allowed\n"));
    },
  }).catch((error: unknown) => {
    throw listenError(names, error);
  });
}

const text = (status: number, body: string): HttpResponse => ({
  status,
  headers: { "content-type": "text/plain; charset=utf-8" },
  body,
});

const PROBES = { what: "health and readiness probes", option: "--health-probe-bind-address" };

/** Starts `/healthz` and `/readyz`. `problem` says why the controller is not ready; ready: `undefined`. */
export function startProbes(
  address: string,
  log: Log,
  problem: () => string | undefined,
): Promise<HttpListener> {
  return serve(address, PROBES, log, (path, query) => {
    const [, name = "", check] = path.split("/");
    if (
      (name !== "healthz" && name !== "readyz") || (check !== undefined && check !== "" && check !== name)
    ) {
      return text(404, "404 page not found\n");
    }
    const found = name === "readyz" ? problem() : undefined;
    const verbose = new URLSearchParams(query).has("verbose");
    if (found !== undefined) return text(500, `[-]${name} failed: ${found}\n${name} check failed\n`);
    return text(200, verbose ? `[+]${name} ok\n${name} check passed\n` : "ok");
  });
}

/** Starts `/metrics`. */
export function startMetrics(address: string, log: Log, render: () => string): Promise<HttpListener> {
  return serve(
    address,
    { what: "metrics", option: "--metrics-bind-address" },
    log,
    (path) =>
      path === "/metrics"
        ? {
          status: 200,
          headers: { "content-type": PROMETHEUS_CONTENT_TYPE },
          body: render(),
        }
        : text(404, "404 page not found\n"),
  );
}
