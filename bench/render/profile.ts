/** What the processor did in a profile, by the part of the program that did it. */

/** A profile as V8 gives it. Times in microseconds. */
export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: {
      readonly functionName: string;
      readonly url: string;
      readonly lineNumber: number;
      readonly columnNumber: number;
    };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** The source file of a place in a bundle, by its path from the repository; undefined for what is not of it. */
export type SourceOf = (url: string, line: number, column: number) => string | undefined;

/** Parts by what their files' paths begin with; the first that fits. */
const PARTS: readonly (readonly [prefix: string, part: string])[] = [
  ["evaluator/", "work goes to threads and back"],
  ["json/", "reviews and answers are read and written"],
  ["policy_server/types/json", "reviews and answers are read and written"],
  ["policy_server/apply/metrics", "metrics, logs, spans"],
  ["policy_server/apply/log", "metrics, logs, spans"],
  ["telemetry/", "metrics, logs, spans"],
  ["program/", "metrics, logs, spans"],
  ["http/", "our side of HTTP"],
  ["admission/", "admission rules"],
  ["policy_server/", "routes and answers"],
];

/** The part that a sample of this frame belongs to; undefined while nothing is done. */
function partOf(
  frame: CpuProfile["nodes"][number]["callFrame"],
  sourceOf: SourceOf,
): string | undefined {
  const { functionName, url, lineNumber, columnNumber } = frame;
  if (functionName === "(idle)" || functionName === "(root)") return undefined;
  if (functionName === "(garbage collector)") return "garbage collection";
  const source = sourceOf(url, lineNumber, columnNumber);
  if (source === undefined) return "the runtime: sockets, TLS, HTTP, messages";
  return PARTS.find(([prefix]) => source.startsWith(prefix))?.[1] ?? "other packages";
}

/** Microseconds by part. */
export function splitOf(
  { nodes, samples, timeDeltas }: CpuProfile,
  sourceOf: SourceOf,
): ReadonlyMap<string, number> {
  const parts = new Map(nodes.map(({ id, callFrame }) => [id, partOf(callFrame, sourceOf)]));
  const split = new Map<string, number>();
  for (const [index, sample] of samples.entries()) {
    const part = parts.get(sample);
    // A delta is the time since the sample before: what ran until the next one counts for this one.
    if (part !== undefined) split.set(part, (split.get(part) ?? 0) + (timeDeltas[index + 1] ?? 0));
  }
  return split;
}
