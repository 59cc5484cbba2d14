/** Traces over OTLP: spans as the programs make them (`types/spans.ts`) become OpenTelemetry's and are sent in batches. */
import { within } from "../../program/apply/within.ts";
import { own, setOwn } from "../../program/types/own.ts";
import { loadOtelApi, loadOtelTraces, loadOtlp, type OtelSpan } from "../../deps.ts";
import { batchSettings, type Environment, otlpSettings } from "../render/otlp_settings.ts";
import type { Report } from "../types/report.ts";
import type { SpanFields, Tracer, TraceSpan } from "../types/spans.ts";
import { openOtlpChannel } from "./otlp_channel.ts";
import { resource } from "./resource.ts";
import { spanBatches } from "./span_batches.ts";

/** What is sent as whom. */
export type TracesOptions = {
  /** The tracer's name, and `service.name` whatever the environment says. */
  readonly serviceName: string;
  readonly environment: Environment;
  readonly report: Report;
};

/** A tracer whose spans are sent. */
export interface Traces extends Tracer {
  /** Sends what waits and ends, after `limitMs` at most. */
  stop(limitMs: number): Promise<void>;
}

/** Of a field's text; settings can be long. The environment may ask for more or less. */
const MAX_VALUE_LENGTH = 4096;
/** Events of one span: a policy may log without end. */
const MAX_EVENTS = 64;

/** Makes a tracer. Rejects when the environment's variables, or files that they name, can't be used. */
export async function startTraces({ serviceName, environment, report }: TracesOptions): Promise<Traces> {
  const { settings, notices: ofSettings } = otlpSettings("TRACES", environment);
  const notices = [...ofSettings];
  const batches = batchSettings(environment, notices);
  for (const notice of notices) report("warn", notice, {});
  const channel = await openOtlpChannel(settings, report);
  const [{ BasicTracerProvider }, { ProtobufTraceSerializer }, { ROOT_CONTEXT, trace }, sender] =
    await Promise.all([loadOtelTraces(), loadOtlp(), loadOtelApi(), resource(serviceName, true)]);
  const processor = spanBatches(batches, (spans) => {
    let bytes: Uint8Array | undefined;
    try {
      bytes = ProtobufTraceSerializer.serializeRequest([...spans]);
    } catch {
      // Counted as dropped: the process has better things to do than to end of it.
    }
    return bytes === undefined ? Promise.resolve("refused") : channel.send(bytes);
  }, report);
  const given = (name: string) => (own(environment, name) ?? "") !== "";
  const limits = {
    ...(!given("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT") && !given("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT") &&
      { attributeValueLengthLimit: MAX_VALUE_LENGTH }),
    ...(!given("OTEL_SPAN_EVENT_COUNT_LIMIT") && { eventCountLimit: MAX_EVENTS }),
  };
  const provider = new BasicTracerProvider({
    resource: sender,
    spanLimits: limits,
    spanProcessors: [processor],
  });
  const tracer = provider.getTracer(serviceName);

  const wrap = (span: OtelSpan): TraceSpan => {
    const within = trace.setSpan(ROOT_CONTEXT, span);
    return {
      child: (name, fields) => wrap(tracer.startSpan(name, { attributes: defined(fields) }, within)),
      set: (fields) => void span.setAttributes(defined(fields)),
      event: (name, fields) => void span.addEvent(name, defined(fields)),
      end: () => span.end(),
    };
  };
  return {
    root: (name, fields) =>
      wrap(tracer.startSpan(name, { root: true, attributes: defined(fields) }, ROOT_CONTEXT)),
    async stop(limitMs) {
      await within(limitMs, processor.shutdown(), () => {});
      channel.close();
    },
  };
}

function defined(fields: SpanFields): Record<string, string | number | boolean> {
  const result: Record<string, string | number | boolean> = {};
  for (const name in fields) {
    const value = own(fields, name);
    if (value !== undefined) setOwn(result, name, value);
  }
  return result;
}
