/** From values that count from the beginning to what one push says: cumulative or delta, in messages of bounded size. */
import type { OtelMetrics, OtelMetricsLibrary, OtelValueType } from "../../deps.ts";
import type {
  CounterValue,
  HistogramValue,
  MetricAttributes,
  MetricFamily,
  Temporality,
} from "../types/metrics.ts";

/** What has arrived of each series, by the series' attributes. */
export type Arrived = ReadonlyMap<string, ReadonlyMap<MetricAttributes, CounterValue | HistogramValue>>;
export const NOTHING_ARRIVED: Arrived = new Map();

/** Data points in one message: a collector takes 4 MiB unless told otherwise. */
export const POINTS_PER_PUSH = 2000;

/** Times in nanoseconds as seconds and the rest. */
export type Instant = readonly [seconds: number, nanoseconds: number];

export type Libraries = { readonly metrics: OtelMetricsLibrary; readonly valueType: OtelValueType };

/** The families with what came since `arrived`; series without anything new are left out. */
export function since(arrived: Arrived, families: readonly MetricFamily[]): readonly MetricFamily[] {
  return families.map((family): MetricFamily => {
    const known = arrived.get(family.name);
    if (family.kind === "counter") {
      const points = family.points.map(({ attributes, value }) => ({
        attributes,
        value: value - ((known?.get(attributes) as CounterValue | undefined)?.value ?? 0),
      }));
      return { ...family, points: points.filter(({ value }) => value > 0) };
    }
    const points = family.points.map(({ attributes, counts, sum, count }) => {
      const former = known?.get(attributes) as HistogramValue | undefined;
      return {
        attributes,
        counts: counts.map((value, index) => value - (former?.counts[index] ?? 0)),
        sum: sum - (former?.sum ?? 0),
        count: count - (former?.count ?? 0),
      };
    });
    return { ...family, points: points.filter(({ count }) => count > 0) };
  });
}

/** The families as what has arrived. */
export function asArrived(families: readonly MetricFamily[]): Arrived {
  return new Map(
    families.map(({ name, points }) => [
      name,
      new Map(
        (points as readonly (CounterValue | HistogramValue)[]).map((point) => [point.attributes, point]),
      ),
    ]),
  );
}

/** Cuts the families into messages of at most {@link POINTS_PER_PUSH} points; those without points are left out. */
export function messages(families: readonly MetricFamily[]): readonly (readonly MetricFamily[])[] {
  const result: MetricFamily[][] = [];
  let room = 0;
  for (const family of families) {
    for (let at = 0; at < family.points.length;) {
      if (room === 0) {
        result.push([]);
        room = POINTS_PER_PUSH;
      }
      const points = family.points.slice(at, at + room) as never[];
      result.at(-1)!.push({ ...family, points } as MetricFamily);
      at += points.length;
      room -= points.length;
    }
  }
  return result;
}

/** The families as the library that writes OTLP takes them. */
export function metricData(
  { metrics: { AggregationTemporality, DataPointType }, valueType }: Libraries,
  families: readonly MetricFamily[],
  temporality: Temporality,
  start: Instant,
  end: Instant,
): OtelMetrics.MetricData[] {
  const aggregationTemporality = temporality === "delta"
    ? AggregationTemporality.DELTA
    : AggregationTemporality.CUMULATIVE;
  const startTime: [number, number] = [...start];
  const endTime: [number, number] = [...end];
  return families.map((family): OtelMetrics.MetricData => {
    const { name, description } = family;
    const descriptor = { name, description, unit: "", valueType: valueType.INT };
    if (family.kind === "counter") {
      return {
        descriptor,
        aggregationTemporality,
        dataPointType: DataPointType.SUM,
        isMonotonic: true,
        dataPoints: family.points.map(({ attributes, value }) => ({ attributes, value, startTime, endTime })),
      };
    }
    return {
      descriptor,
      aggregationTemporality,
      dataPointType: DataPointType.HISTOGRAM,
      dataPoints: family.points.map(({ attributes, counts, sum, count }) => ({
        attributes,
        value: { buckets: { boundaries: [...family.bounds], counts: [...counts] }, sum, count },
        startTime,
        endTime,
      })),
    };
  });
}
