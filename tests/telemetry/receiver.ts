/** An OpenTelemetry collector for tests: OTLP over gRPC on loopback, read with the protocol's own definitions. */
import protobuf from "protobufjs";
import { type Grpc, loadGrpc } from "../../deps.ts";

/** The part of OTLP's protocol that is looked at here, with its numbers (opentelemetry-proto 1.x). */
const PROTO = `
syntax = "proto3";
message AnyValue { oneof value { string string_value = 1; bool bool_value = 2; int64 int_value = 3; double double_value = 4; } }
message KeyValue { string key = 1; AnyValue value = 2; }
message Scope { string name = 1; string version = 2; repeated KeyValue attributes = 3; }
message Resource { repeated KeyValue attributes = 1; }
message NumberDataPoint {
  fixed64 start_time_unix_nano = 2; fixed64 time_unix_nano = 3;
  oneof value { double as_double = 4; sfixed64 as_int = 6; } repeated KeyValue attributes = 7;
}
message HistogramDataPoint {
  fixed64 start_time_unix_nano = 2; fixed64 time_unix_nano = 3; fixed64 count = 4; double sum = 5;
  repeated fixed64 bucket_counts = 6; repeated double explicit_bounds = 7; repeated KeyValue attributes = 9;
}
message Sum { repeated NumberDataPoint data_points = 1; int32 aggregation_temporality = 2; bool is_monotonic = 3; }
message Histogram { repeated HistogramDataPoint data_points = 1; int32 aggregation_temporality = 2; }
message Metric {
  string name = 1; string description = 2; string unit = 3; oneof data { Sum sum = 7; Histogram histogram = 9; }
}
message ScopeMetrics { Scope scope = 1; repeated Metric metrics = 2; }
message ResourceMetrics { Resource resource = 1; repeated ScopeMetrics scope_metrics = 2; }
message Metrics { repeated ResourceMetrics resource_metrics = 1; }
message Event { fixed64 time_unix_nano = 1; string name = 2; repeated KeyValue attributes = 3; }
message Span {
  bytes trace_id = 1; bytes span_id = 2; bytes parent_span_id = 4; string name = 5; int32 kind = 6;
  fixed64 start_time_unix_nano = 7; fixed64 end_time_unix_nano = 8; repeated KeyValue attributes = 9; repeated Event events = 11;
}
message ScopeSpans { Scope scope = 1; repeated Span spans = 2; }
message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; }
message Traces { repeated ResourceSpans resource_spans = 1; }
`;
const { root } = protobuf.parse(PROTO, { keepCase: false });

// deno-lint-ignore no-explicit-any
type Any = any;
/** A field's value: `int` tells 1 from 1.0 and "1". */
export type Value = { readonly string?: string; readonly bool?: boolean; readonly int?: number };
export type Fields = Readonly<Record<string, Value>>;

export type Point = {
  readonly attributes: Fields;
  /** Of a counter; `double` where it is no whole number on the wire. */
  readonly int?: number;
  readonly double?: number;
  readonly counts?: readonly number[];
  readonly bounds?: readonly number[];
  readonly sum?: number;
  readonly count?: number;
  readonly start: bigint;
  readonly time: bigint;
};
export type Metric = {
  readonly scope: string;
  readonly resource: Fields;
  readonly name: string;
  readonly unit: string;
  readonly kind: "sum" | "histogram";
  readonly monotonic: boolean;
  /** 1: delta, 2: cumulative. */
  readonly temporality: number;
  readonly points: readonly Point[];
};
export type Span = {
  readonly scope: string;
  readonly resource: Fields;
  readonly name: string;
  readonly trace: string;
  readonly id: string;
  readonly parent: string;
  readonly attributes: Fields;
  readonly events: readonly { readonly name: string; readonly attributes: Fields }[];
};

/** One push of metrics as it arrived, or spans; with the call's metadata. */
export type Receiver = {
  readonly port: number;
  /** One entry for each message. */
  readonly metrics: (readonly Metric[])[];
  readonly spans: Span[];
  /** Of the last call. */
  headers(): Readonly<Record<string, unknown>>;
  /** How often it was called, whatever it answered. */
  calls(): number;
  /** From now on calls are refused with this gRPC status; undefined: taken. */
  refuse(status: number | undefined): void;
  stop(): void;
};

export type ReceiverOptions = {
  /** Where it listens; loopback unless given. */
  readonly host?: string;
  readonly port?: number;
  readonly tls?: { readonly cert: string; readonly key: string; readonly clientCa?: string };
};

function fields(list: Any[]): Fields {
  return Object.fromEntries(list.map(({ key, value }): [string, Value] => {
    const { stringValue, boolValue, intValue } = value;
    const { value: kind } = value;
    if (kind === "intValue") return [key, { int: Number(intValue) }];
    return [key, kind === "boolValue" ? { bool: boolValue } : { string: stringValue }];
  }));
}

const number = (value: Any) => Number(String(value));
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

function point(from: Any): Point {
  return {
    attributes: fields(from.attributes),
    start: BigInt(String(from.startTimeUnixNano)),
    time: BigInt(String(from.timeUnixNano)),
    ...(from.bucketCounts !== undefined
      ? {
        counts: from.bucketCounts.map(number),
        bounds: from.explicitBounds,
        sum: from.sum,
        count: number(from.count),
      }
      : from.value === "asInt"
      ? { int: number(from.asInt) }
      : { double: from.asDouble }),
  };
}

function readMetrics(bytes: Uint8Array): Metric[] {
  const { resourceMetrics } = root.lookupType("Metrics").decode(bytes) as Any;
  return resourceMetrics.flatMap(({ resource, scopeMetrics }: Any) =>
    scopeMetrics.flatMap(({ scope, metrics }: Any) =>
      metrics.map((metric: Any): Metric => {
        const data = metric[metric.data];
        return {
          scope: scope.name,
          resource: fields(resource.attributes),
          name: metric.name,
          unit: metric.unit,
          kind: metric.data,
          monotonic: data.isMonotonic ?? false,
          temporality: data.aggregationTemporality,
          points: data.dataPoints.map(point),
        };
      })
    )
  );
}

function readSpans(bytes: Uint8Array): Span[] {
  const { resourceSpans } = root.lookupType("Traces").decode(bytes) as Any;
  return resourceSpans.flatMap(({ resource, scopeSpans }: Any) =>
    scopeSpans.flatMap(({ scope, spans }: Any) =>
      spans.map((span: Any): Span => ({
        scope: scope.name,
        resource: fields(resource.attributes),
        name: span.name,
        trace: hex(span.traceId),
        id: hex(span.spanId),
        parent: hex(span.parentSpanId),
        attributes: fields(span.attributes),
        events: span.events.map((event: Any) => ({ name: event.name, attributes: fields(event.attributes) })),
      }))
    )
  );
}

/** Starts a collector. */
export async function startReceiver(
  { host = "127.0.0.1", port = 0, tls }: ReceiverOptions = {},
): Promise<Receiver> {
  const grpc = await loadGrpc();
  const server = new grpc.Server();
  const metrics: Metric[][] = [];
  const spans: Span[] = [];
  let headers: Readonly<Record<string, unknown>> = {};
  let calls = 0;
  let refusal: number | undefined;
  const identity = <T>(value: T) => value;
  const serve = (path: string, take: (bytes: Uint8Array) => void) => {
    const method = {
      path,
      requestStream: false,
      responseStream: false,
      requestSerialize: identity<Buffer>,
      requestDeserialize: identity<Buffer>,
      responseSerialize: identity<Buffer>,
      responseDeserialize: identity<Buffer>,
    };
    server.addService({ export: method }, {
      export: (call: Grpc.ServerUnaryCall<Buffer, Buffer>, done: Grpc.sendUnaryData<Buffer>) => {
        calls++;
        if (refusal !== undefined) return done({ code: refusal, details: "the collector does not want it" });
        headers = call.metadata.getMap();
        take(call.request);
        done(null, Buffer.alloc(0));
      },
    });
  };
  serve(
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    (bytes) => void metrics.push(readMetrics(bytes)),
  );
  serve(
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    (bytes) => void spans.push(...readSpans(bytes)),
  );
  const credentials = tls === undefined
    ? grpc.ServerCredentials.createInsecure()
    : grpc.ServerCredentials.createSsl(
      tls.clientCa === undefined ? null : Buffer.from(tls.clientCa),
      [{ cert_chain: Buffer.from(tls.cert), private_key: Buffer.from(tls.key) }],
      tls.clientCa !== undefined,
    );
  const bound = await new Promise<number>((resolve, reject) =>
    server.bindAsync(
      `${host}:${port}`,
      credentials,
      (error, at) => error === null ? resolve(at) : reject(error),
    )
  );
  return {
    port: bound,
    metrics,
    spans,
    headers: () => headers,
    calls: () => calls,
    refuse: (status) => refusal = status,
    stop: () => server.forceShutdown(),
  };
}
