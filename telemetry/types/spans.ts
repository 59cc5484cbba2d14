/** Traces as the programs make them; how and whether they are sent is no matter of theirs. */

/** Fields of a span or of an event in it; `undefined` leaves a field out. */
export type SpanFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** Something that takes time. It is sent some time after its end, together with others. */
export interface TraceSpan {
  /** Begins a span within this one. */
  child(name: string, fields: SpanFields): TraceSpan;
  /** Adds fields, or replaces them. */
  set(fields: SpanFields): void;
  /** Notes something that happened within the span. */
  event(name: string, fields: SpanFields): void;
  end(): void;
}

/** Begins spans that stand in no other. */
export interface Tracer {
  root(name: string, fields: SpanFields): TraceSpan;
}
