/** Where the server's spans begin, and which of them a policy's log line belongs to. Without tracing there is none of this. */
import type { PiecedRequest } from "../../evaluator/apply/pool.ts";
import type { PolicyLogEntry } from "../../evaluator/types/evaluation.ts";
import type { SpanFields, Tracer, TraceSpan } from "../../telemetry/types/spans.ts";
import { policyLogSpan } from "../render/spans.ts";

/** Traces of one server. */
export interface Tracing {
  readonly tracer: Tracer;
  /** The pod's name. */
  readonly host: string;
  /** Runs `judge` within a span of its own; what the policy logs meanwhile about this very request goes into it. */
  judging<T>(
    parent: TraceSpan,
    fields: SpanFields,
    request: PiecedRequest,
    judge: () => Promise<T>,
  ): Promise<T>;
  /** Takes a line that a policy logged. */
  policyLog(policy: string, entry: PolicyLogEntry, request: PiecedRequest | undefined): void;
}

/** Lines of one evaluation that become spans; a policy that logs without end must not push out all others. */
const MAX_LINES = 64;

/** Makes a server's traces of a tracer. */
export function createTracing(tracer: Tracer, host: string): Tracing {
  const open = new WeakMap<PiecedRequest, { readonly span: TraceSpan; lines: number }>();
  return {
    tracer,
    host,
    async judging(parent, fields, request, judge) {
      const span = parent.child("validate", fields);
      const outer = open.get(request);
      open.set(request, { span, lines: 0 });
      try {
        return await judge();
      } finally {
        if (outer === undefined) open.delete(request);
        else open.set(request, outer);
        span.end();
      }
    },
    policyLog(policy, entry, request) {
      const judged = request && open.get(request);
      if (judged === undefined || judged.lines++ >= MAX_LINES) return;
      const { name, fields, event } = policyLogSpan(policy, entry);
      const span = judged.span.child(name, fields);
      if (event !== undefined) span.event(entry.message, event);
      span.end();
    },
  };
}
