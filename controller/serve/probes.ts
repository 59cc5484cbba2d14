/** Plain HTTP beside the webhooks: health and readiness probes, and Prometheus metrics (spec/controller.md §1.4, §1.5). */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { listenError } from "../../program/render/listen_error.ts";

export type PlainServer = { readonly port: number; stop(): Promise<void> };
type Answer = { readonly status: number; readonly contentType: string; readonly body: string };

/** Splits `:8081`, `127.0.0.1:8081` or `[::1]:8081`. Throws when there is no port in it. */
export function parseBindAddress(
  address: string,
): { readonly hostname: string | undefined; readonly port: number } {
  const match = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(address);
  const port = Number(match?.[3]);
  if (match === null || port > 65535) {
    throw new Error(`"${address}" is no address to listen on, such as :8081`);
  }
  const hostname = match[1] ?? match[2];
  return { hostname: hostname === "" ? undefined : hostname, port };
}

function listen(
  address: string,
  { what, option }: { readonly what: string; readonly option: string },
  handle: (path: string, query: string) => Answer,
): Promise<PlainServer> {
  const { hostname, port } = parseBindAddress(address);
  const server = createServer((request, response) => {
    const [path = "/", query = ""] = (request.url ?? "/").split("?");
    const { status, contentType, body } = request.method === "GET"
      ? handle(path, query)
      : { status: 405, contentType: "text/plain", body: "method not allowed\n" };
    response.writeHead(status, { "content-type": contentType });
    response.end(body);
  });
  return new Promise((resolve, reject) => {
    const names = { what, host: hostname, port, portOption: option, hostOption: option };
    server.once("error", (error) => reject(listenError(names, error)));
    server.listen(port, hostname, () =>
      resolve({
        port: (server.address() as AddressInfo).port,
        stop: () =>
          new Promise((closed) => {
            server.close(() => closed());
            server.closeAllConnections();
          }),
      }));
  });
}

const text = (status: number, body: string): Answer => ({
  status,
  contentType: "text/plain; charset=utf-8",
  body,
});

const PROBES = { what: "health and readiness probes", option: "--health-probe-bind-address" };

/** Starts `/healthz` and `/readyz`. `problem` says why the controller is not ready; ready: `undefined`. */
export function startProbes(address: string, problem: () => string | undefined): Promise<PlainServer> {
  return listen(address, PROBES, (path, query) => {
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
export function startMetrics(address: string, render: () => string): Promise<PlainServer> {
  return listen(
    address,
    { what: "metrics", option: "--metrics-bind-address" },
    (path) =>
      path === "/metrics"
        ? { status: 200, contentType: "text/plain; version=0.0.4; charset=utf-8", body: render() }
        : text(404, "404 page not found\n"),
  );
}
