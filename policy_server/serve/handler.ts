/** The server's routes, for any HTTP library (`spec/policy-server.md §5`). Routing needs only a method and a URL. */
import { isUtf8 } from "node:buffer";
import { Router } from "../../deps.ts";
import { BodyError, type HttpHandler, type HttpRequest, type HttpResponse } from "../../http/types.ts";
import { JsonSyntaxError, position } from "../../evaluator/render/json_scan.ts";
import { readRawReview, readReview, type Review, ReviewShapeError } from "../../evaluator/render/review.ts";
import { within } from "../../program/apply/within.ts";
import { PROMETHEUS_CONTENT_TYPE, prometheusText } from "../../telemetry/render/prometheus.ts";
import type { TraceSpan } from "../../telemetry/types/spans.ts";
import { evaluate, type Evaluated, type EvaluationContext } from "../apply/evaluate.ts";
import type { Log } from "../apply/log.ts";
import type { Metrics } from "../apply/metrics.ts";
import type { Profiler } from "../apply/profiler.ts";
import { pprofRoutes } from "./pprof.ts";
import type { UsedPolicies } from "../apply/current_policies.ts";
import { rawAnswer, reviewAnswer } from "../../admission/render/admission_response.ts";
import { errorAnswer } from "../render/error_answer.ts";
import { metricFamilies } from "../render/metrics.ts";
import { REVIEW_SPAN, reviewFields } from "../render/spans.ts";
import { LINES_TYPE, MANY_HEADER, MOST_POLICIES, type RequestOrigin } from "../types/admission.ts";

const JSON_TYPE = { "content-type": "application/json" };
const TEXT_TYPE = { "content-type": "text/plain; charset=utf-8" };
/** An answer to an audit says that the server takes reviews for several policies at once, and for how many. */
const AUDIT_ANSWER = { ...JSON_TYPE, [MANY_HEADER]: String(MOST_POLICIES) };
const NO_HEADERS = {};
const NOT_FOUND: HttpResponse = { status: 404, headers: NO_HEADERS, body: "" };
const EMPTY: HttpResponse = { status: 200, headers: NO_HEADERS, body: "" };
const STOPPING: HttpResponse = { status: 503, headers: NO_HEADERS, body: "" };
/** Not sent, only logged; the number that nginx gives it. */
const CLIENT_GONE = 499;
const WENT_WRONG = "Something went wrong";
const MEMORY_SHORT = "the server is short of memory, try again later";
/** What is known after so long is sent, instead of waiting for what is slow. */
const SLOW_POLICY_MS = 250;

/** An answer that comes in one piece of text. */
type WholeResponse = HttpResponse & { readonly body: string };

const jsonError = (status: number, message: string): WholeResponse => ({
  status,
  headers: JSON_TYPE,
  body: errorAnswer(status, message),
});

const METHOD_NOT_ALLOWED: HttpResponse = { status: 405, headers: { allow: "POST" }, body: "" };
const READ_ONLY: HttpResponse = { status: 405, headers: { allow: "GET,HEAD" }, body: "" };

/** `application/json` or `application/*+json`, with any parameters. */
const JSON_CONTENT = /^\s*application\/(?:[^;\s/]+\+)?json\s*(?:;|$)/i;

/** What the main listener's handler works with. */
export interface HandlerContext extends EvaluationContext {
  /** Asked once a request: another set may be served at any time. */
  readonly policies: { use(): UsedPolicies };
  /** Whether requests are refused before their bodies are read, because memory is short. */
  readonly memoryIsShort?: () => boolean;
  /** Absent unless profiles are served. */
  readonly profiler?: Profiler | undefined;
}

type Routed = HttpRequest & { readonly params: { readonly id: string } };

/** A path segment, percent-decoded as the original does: what is no escape stays as it is. Undefined if it isn't UTF-8. */
function decodeSegment(segment: string): string | undefined {
  if (!segment.includes("%")) return segment;
  const bytes = new TextEncoder().encode(segment);
  const decoded: number[] = [];
  for (let at = 0; at < bytes.length; at++) {
    const escape = bytes[at] === 0x25
      ? /^[0-9a-fA-F]{2}$/.exec(String.fromCharCode(...bytes.subarray(at + 1, at + 3)))
      : null;
    if (escape) at += 2;
    decoded.push(escape ? parseInt(escape[0], 16) : bytes[at]!);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(decoded));
  } catch {
    return undefined;
  }
}

const FAULTS: Readonly<Record<BodyError["reason"], number>> = {
  too_large: 413,
  failed: 400,
  timeout: 408,
  overloaded: 503,
};

function parseReview(
  body: Uint8Array,
  origin: RequestOrigin,
): Review | { readonly status: 400 | 422; readonly text: string } {
  const notJson = (reason: string) =>
    ({ status: 400, text: `Failed to parse the request body as JSON: ${reason}` }) as const;
  if (!isUtf8(body)) return notJson("the body is not UTF-8");
  try {
    return origin === "raw" ? readRawReview(body) : readReview(body);
  } catch (error) {
    if (error instanceof JsonSyntaxError) return notJson(`${error.message} at ${position(body, error.at)}`);
    if (!(error instanceof ReviewShapeError)) throw error;
    return {
      status: 422,
      text: `Failed to deserialize the JSON body into the target type: ${error.message}`,
    };
  }
}

/** A request's review, or the answer that says why it has none. */
async function reviewIn(
  context: HandlerContext,
  request: HttpRequest,
  origin: RequestOrigin,
  policies: string,
): Promise<Review | HttpResponse> {
  // Faults of the request are JSON on /validate and plain text elsewhere (spec/policy-server.md §5.2, a quirk to keep).
  const fault = (status: number, message: string): HttpResponse =>
    origin === "validate" ? jsonError(status, message) : { status, headers: TEXT_TYPE, body: message };
  if (!JSON_CONTENT.test(request.contentType ?? "")) {
    return fault(415, "Expected request with `Content-Type: application/json`");
  }
  let body: Uint8Array;
  try {
    body = await request.body();
  } catch (error) {
    if (!(error instanceof BodyError)) throw error;
    return fault(FAULTS[error.reason], `Failed to buffer the request body: ${error.message}`);
  }
  const review = parseReview(body, origin);
  if ("status" in review) return fault(review.status, review.text);
  if (context.log.enabled("debug")) {
    context.log.debug("admission review", { policy_id: policies, review: new TextDecoder().decode(body) });
  }
  return review;
}

/** What the policy called `id` says of a review. */
async function judge(
  context: HandlerContext,
  id: string,
  review: Review,
  origin: RequestOrigin,
  requestSpan: TraceSpan | undefined,
  signal: AbortSignal,
): Promise<WholeResponse> {
  const span = context.tracing &&
    requestSpan?.child(REVIEW_SPAN[origin], reviewFields(origin, context.tracing.host, id, review));
  let evaluated: Evaluated;
  const used = context.policies.use();
  try {
    evaluated = await evaluate(context, used.set, id, review, origin, span, { signal });
  } finally {
    used.leave();
    span?.end();
  }
  switch (evaluated.kind) {
    case "response": {
      const answer = origin === "raw"
        ? rawAnswer(review.uid, evaluated.response)
        : reviewAnswer(review.uid, evaluated.response);
      return { status: 200, headers: origin === "audit" ? AUDIT_ANSWER : JSON_TYPE, body: answer };
    }
    case "unknown":
      return jsonError(404, `unknown policy: ${id}`);
    case "overloaded":
      return jsonError(503, "too many requests are waiting for evaluation, try again later");
    case "cancelled":
      return jsonError(CLIENT_GONE, "the client has closed the connection");
    case "invalid_id":
      return jsonError(500, WENT_WRONG);
    case "error":
      context.log.error(`Evaluation error: ${evaluated.reason}`, { policy_id: id });
      return jsonError(500, WENT_WRONG);
  }
}

/** The answer to a review that arrived at `origin` for the policy named by the path segment. */
async function answerReview(
  context: HandlerContext,
  request: Routed,
  origin: RequestOrigin,
  requestSpan: TraceSpan | undefined,
): Promise<HttpResponse> {
  const id = decodeSegment(request.params.id);
  if (id === undefined) {
    return { status: 400, headers: TEXT_TYPE, body: "Invalid URL: Invalid UTF-8 in `policy_id`" };
  }
  const review = await reviewIn(context, request, origin, id);
  return "status" in review ? review : await judge(context, id, review, origin, requestSpan, request.signal);
}

/**
 * The answer to a review that is for several policies: `POST /audit?policy=ID&policy=ID`. A line for each, as soon as it is
 * known: `{"policy": ID, "status": S, "answer": A}`, where S and A are what `POST /audit/ID` would have answered. An audit asks
 * many policies about the same object; so it comes, and is read, once.
 */
async function answerMany(
  context: HandlerContext,
  request: Routed,
  requestSpan: TraceSpan | undefined,
): Promise<HttpResponse> {
  const ids = new URL(request.url).searchParams.getAll("policy");
  if (ids.length === 0) return NOT_FOUND;
  if (ids.length > MOST_POLICIES) {
    const body = `a request names ${MOST_POLICIES} policies at most, this one names ${ids.length}`;
    return { status: 400, headers: TEXT_TYPE, body };
  }
  const review = await reviewIn(context, request, "audit", ids.join(" "));
  if ("status" in review) return review;
  const lines = ids.map(async (policy) => {
    const { status, body } = await judge(context, policy, review, "audit", requestSpan, request.signal).catch(
      (error) => {
        context.log.error("Evaluation error", { policy_id: policy, error: String(error) });
        return jsonError(500, WENT_WRONG);
      },
    );
    return `{"policy":${JSON.stringify(policy)},"status":${status},"answer":${body}}\n`;
  });
  const whole = await within<string[] | undefined>(SLOW_POLICY_MS, Promise.all(lines), () => undefined);
  return {
    status: 200,
    headers: { "content-type": LINES_TYPE },
    body: whole === undefined ? asTheyCome(lines) : whole.join(""),
  };
}

async function* asTheyCome(lines: readonly Promise<string>[]): AsyncGenerator<string> {
  const left = new Map(lines.map((line, index) => [index, line.then((text) => ({ index, text }))]));
  while (left.size > 0) {
    const { index, text } = await Promise.race(left.values());
    left.delete(index);
    yield text;
  }
}

/** The handler of the main listener. */
export function policyHandler(context: HandlerContext): HttpHandler {
  const { log } = context;
  const router = Router();
  const route = (path: string, origin: RequestOrigin) => {
    router.post(
      path,
      (request) =>
        logged(
          request as unknown as Routed,
          (routed, span) => answerReview(context, routed, origin, span),
        ),
    ).all(path, () => METHOD_NOT_ALLOWED);
  };
  type Answering = (request: Routed, span: TraceSpan | undefined) => Promise<HttpResponse>;
  const logged = async (request: Routed, answering: Answering): Promise<HttpResponse> => {
    const started = performance.now();
    log.debug("started processing request", { uri: request.url });
    const span = context.tracing?.tracer.root("request", {
      method: request.method,
      uri: request.url.replace(ORIGIN, ""),
      version: "HTTP/1.1",
    });
    try {
      const response = context.memoryIsShort?.()
        ? jsonError(503, MEMORY_SHORT)
        : await answering(request, span);
      const latency = `${Math.floor(performance.now() - started)} ms`;
      const { status } = response;
      log.info(FINISHED, { latency, status }, ON_RESPONSE);
      span?.event(FINISHED, { level: "INFO", ...ON_RESPONSE, latency, status });
      if (status >= 500) {
        const classification = `Status code: ${status}`;
        log.error(FAILED, { classification, latency }, ON_FAILURE);
        span?.event(FAILED, { level: "ERROR", ...ON_FAILURE, classification, latency });
      }
      return response;
    } finally {
      span?.end();
    }
  };
  route("/validate/:id", "validate");
  route("/audit/:id", "audit");
  route("/validate_raw/:id", "raw");
  router.post(
    "/audit",
    (request) => logged(request as unknown as Routed, (routed, span) => answerMany(context, routed, span)),
  );
  if (context.profiler !== undefined) pprofRoutes(router as never, context.profiler, log);
  return guarded(router, (error) => log.error("Evaluation error", { error: String(error) }));
}

const FINISHED = "finished processing request";
const FAILED = "response failed";
/** Of a URL: what stands before the path. */
const ORIGIN = /^[a-z]+:\/\/[^/]*/;
const ON_RESPONSE = { target: "tower_http::trace::on_response" };
const ON_FAILURE = { target: "tower_http::trace::on_failure" };

/** What the readiness listener's handler works with. */
export interface ReadinessContext {
  readonly metrics: Metrics;
  readonly log: Log;
  /** Whether no more requests should be sent here. */
  readonly stopping: () => boolean;
  /** Resolves when all that was counted is in the metrics. */
  readonly counted: () => Promise<void>;
}

/** The handler of the readiness listener: ready as soon as it listens, until the server is to end; and shows the metrics. */
export function readinessHandler(context: ReadinessContext): HttpHandler {
  const router = Router();
  const ready = () => context.stopping() ? STOPPING : EMPTY;
  router.get("/readiness", ready).head("/readiness", ready).all("/readiness", () => READ_ONLY);
  const metrics = async (): Promise<HttpResponse> => {
    await context.counted();
    return {
      status: 200,
      headers: { "content-type": PROMETHEUS_CONTENT_TYPE },
      body: prometheusText(metricFamilies(context.metrics.snapshot())),
    };
  };
  router.get("/metrics", metrics).head("/metrics", metrics).all("/metrics", () => READ_ONLY);
  return guarded(router, (error) => context.log.error("readiness listener", { error: String(error) }));
}

/** The router as a handler that answers everything, and with nothing of an error but that there was one. */
function guarded(
  router: { fetch(request: never): Promise<unknown> },
  onError: (error: unknown) => void,
): HttpHandler {
  return async (request) => {
    // The router lets a path end in slashes, which the original doesn't know.
    const query = request.url.indexOf("?");
    if (request.url.charCodeAt((query < 0 ? request.url.length : query) - 1) === 0x2f) return NOT_FOUND;
    try {
      return await router.fetch(request as never) as HttpResponse | undefined ?? NOT_FOUND;
    } catch (error) {
      onError(error);
      return jsonError(500, WENT_WRONG);
    }
  };
}
