/** The controller's own admission webhooks, on the paths that the charts register (spec/controller.md §2). */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Kind, KINDS } from "../../crd/types.ts";
import {
  BodyError,
  type HttpHandler,
  type HttpListener,
  type HttpRequest,
  type HttpResponse,
  listen,
  type TlsSettings,
} from "../../http/mod.ts";
import { listenError } from "../../program/render/listen_error.ts";
import { admitDefaults, admitValid } from "../apply/admit.ts";
import type { World } from "../apply/world.ts";
import { BODY_LIMIT, readReview, renderReview, type Verdict } from "../render/admission_review.ts";
import type { Metrics } from "../render/metrics.ts";
import { logClosed } from "./probes.ts";

/** Where the chart mounts the serving certificate. */
export const CERTIFICATE_FOLDER = "/tmp/k8s-webhook-server/serving-certs";
const RELOAD_MS = 5_000;
const JSON_TYPE = { "content-type": "application/json" };
const NOT_FOUND: HttpResponse = {
  status: 404,
  headers: { "content-type": "text/plain" },
  body: "404 page not found\n",
};

type Route = { readonly kind: Kind; readonly mutating: boolean };

const ROUTES: ReadonlyMap<string, Route> = new Map(
  KINDS.flatMap(({ kind }): (readonly [string, Route])[] => {
    const suffix = `policies-kubewarden-io-v1-${kind.toLowerCase()}`;
    return [[`/mutate-${suffix}`, { kind, mutating: true }], [`/validate-${suffix}`, {
      kind,
      mutating: false,
    }]];
  }),
);

const BODY_FAULTS: Readonly<Record<BodyError["reason"], number>> = {
  too_large: 413,
  failed: 400,
  timeout: 408,
  overloaded: 503,
};

/** The body as text, or the refusal that says why there is none. */
async function bodyOf(request: HttpRequest): Promise<string | Verdict> {
  try {
    return new TextDecoder().decode(await request.body());
  } catch (error) {
    if (!(error instanceof BodyError)) throw error;
    const message = error.reason === "too_large"
      ? `request entity is too large; limit is ${BODY_LIMIT} bytes`
      : `cannot read the request body: ${error.message}`;
    return { allowed: false, code: BODY_FAULTS[error.reason], message };
  }
}

async function answer(world: World, route: Route, request: HttpRequest): Promise<string> {
  const body = await bodyOf(request);
  if (typeof body !== "string") return renderReview(body);
  const review = readReview(request.contentType, body);
  if ("problem" in review) return renderReview({ allowed: false, code: 400, message: review.problem });
  let verdict: Verdict;
  try {
    verdict = route.mutating
      ? admitDefaults(world, route.kind, review.request)
      : await admitValid(world, route.kind, review.request);
  } catch (error) {
    world.log("error", "cannot answer an admission request", { kind: route.kind, error: String(error) });
    verdict = { allowed: false, code: 500, message: `cannot validate the ${route.kind}: ${String(error)}` };
  }
  return renderReview(verdict, review.request.uid, review.apiVersion);
}

/** Answers requests to the webhook paths; everything else is not found. */
export function webhookHandler(world: World, metrics: Metrics): HttpHandler {
  for (const webhook of ROUTES.keys()) {
    metrics.set("controller_runtime_webhook_requests_in_flight", { webhook }, 0);
    for (const code of ["200", "500"]) {
      metrics.add("controller_runtime_webhook_requests_total", { webhook, code }, 0);
    }
  }
  return async (request) => {
    const [path = ""] = request.target.split("?");
    const route = ROUTES.get(path);
    if (route === undefined) return NOT_FOUND;
    const labels = { webhook: path };
    const started = performance.now();
    metrics.add("controller_runtime_webhook_requests_in_flight", labels, 1);
    const body = await answer(world, route, request);
    metrics.add("controller_runtime_webhook_requests_in_flight", labels, -1);
    metrics.observe(
      "controller_runtime_webhook_latency_seconds",
      labels,
      (performance.now() - started) / 1000,
    );
    metrics.add("controller_runtime_webhook_requests_total", { ...labels, code: "200" });
    return { status: 200, headers: JSON_TYPE, body };
  };
}

export type WebhookServerOptions = {
  readonly port: number;
  readonly hostname?: string | undefined;
  /** Folder with `tls.crt`, `tls.key` and, with mutual TLS, `client-ca/client-ca.crt`. */
  readonly certificates: string;
  readonly mutualTls: boolean;
};

function readMaterial({ certificates, mutualTls }: WebhookServerOptions): TlsSettings {
  const read = (name: string) => readFileSync(join(certificates, name), "utf8");
  return {
    cert: read("tls.crt"),
    key: read("tls.key"),
    clientCas: mutualTls ? [read("client-ca/client-ca.crt")] : undefined,
  };
}

/** Starts the webhook server; its certificate is read again when the files change. */
export async function startWebhookServer(
  world: World,
  metrics: Metrics,
  options: WebhookServerOptions,
): Promise<HttpListener> {
  if (!existsSync(join(options.certificates, "tls.crt"))) {
    throw new Error(
      `no certificate for the webhook server: ${join(options.certificates, "tls.crt")} does not exist`,
    );
  }
  let material = readMaterial(options);
  metrics.add("certwatcher_read_certificate_total", {});
  metrics.add("certwatcher_read_certificate_errors_total", {}, 0);
  const server = await listen({
    port: options.port,
    host: options.hostname,
    tls: material,
    http2: true,
    maxBodyBytes: BODY_LIMIT,
    handler: webhookHandler(world, metrics),
    onClosed: logClosed(world.log, "webhooks"),
  }).catch((error: unknown) => {
    const { port, hostname: host } = options;
    const what = "the API server's webhooks";
    throw listenError({ what, host, port, portOption: "--webhook-server-port" }, error);
  });
  const timer = setInterval(() => {
    try {
      const next = readMaterial(options);
      if (next.cert === material.cert && next.key === material.key) return;
      metrics.add("certwatcher_read_certificate_total", {});
      // The authority of clients is read once, as in the original: a change of trust is an administrator's restart.
      server.setTls({ ...next, clientCas: material.clientCas });
      material = next;
      world.log("info", "the webhook server uses a new certificate");
    } catch (error) {
      // The kubelet swaps the files one after the other: the next look finds them whole.
      metrics.add("certwatcher_read_certificate_errors_total", {});
      world.log("error", "cannot read the webhook server's certificate", { error: String(error) });
    }
  }, RELOAD_MS);
  return {
    port: server.port,
    setTls: (tls) => server.setTls(tls),
    end(ending) {
      clearInterval(timer);
      return server.end(ending);
    },
  };
}
