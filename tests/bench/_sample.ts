/** Samples for the tests of what is made of them. */
import type { ColdStartRow } from "../../bench/types/cold_start.ts";
import type { Sample } from "../../bench/types/measurement.ts";

/** A second of a subject, with plausible figures. */
export function sample(
  subject: string,
  round: number,
  requestsPerSecond: number,
  more: Partial<Sample> = {},
): Sample {
  return {
    subject,
    workers: null,
    policy: "pod-privileged",
    connections: 32,
    round,
    requests: requestsPerSecond,
    requestsPerSecond,
    p50Ms: 1,
    p90Ms: 2,
    p99Ms: 3,
    p999Ms: 4,
    errors: 0,
    firstError: undefined,
    rssMb: 100,
    processorMs: 500,
    ...more,
  };
}

/** A row as `bench:cold-start` writes it. */
export const COLD_START_ROW: ColdStartRow = {
  runtime: "node",
  kind: "code",
  modules: 40,
  moduleBytes: 1_600_000,
  readyMs: 900,
  readyProcessorMs: 1500,
  readyRssMb: 150,
  answeredRssMb: 250,
};
