/** Profiles of the runtime's inspector in pprof's format, as `go tool pprof` reads them (spec/policy-server.md §5.7). */
import type { PprofLibrary } from "../../deps.ts";

/** A function, as the inspector names it; the line counts from 0. */
export type CallFrame = {
  readonly functionName: string;
  readonly url: string;
  readonly lineNumber: number;
};

/** `Profiler.Profile` of the inspector's protocol. */
export type CpuProfile = {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: CallFrame;
    readonly hitCount?: number;
    readonly children?: readonly number[];
  }[];
};

/** `HeapProfiler.SamplingHeapProfile` of the inspector's protocol. */
export type HeapProfile = { readonly head: HeapNode };
export type HeapNode = {
  readonly callFrame: CallFrame;
  /** Bytes. */
  readonly selfSize: number;
  readonly children: readonly HeapNode[];
};

/** Time in which nothing ran: a profile of what the processor did has none of it. */
const IDLE = "(idle)";

type Table = {
  readonly strings: InstanceType<PprofLibrary["StringTable"]>;
  /** The number of a function's place. */
  location(frame: CallFrame): number;
  readonly parts: { readonly function: object[]; readonly location: object[] };
};

function table(pprof: PprofLibrary): Table {
  const strings = new pprof.StringTable();
  const known = new Map<string, number>();
  const functions: object[] = [], locations: object[] = [];
  return {
    strings,
    parts: { function: functions, location: locations },
    location({ functionName, url, lineNumber }) {
      const key = JSON.stringify([functionName, url, lineNumber]);
      const found = known.get(key);
      if (found !== undefined) return found;
      const id = known.size + 1;
      known.set(key, id);
      const name = strings.dedup(functionName || "(anonymous)");
      const line = Math.max(0, lineNumber + 1);
      functions.push(
        new pprof.Function({ id, name, systemName: name, filename: strings.dedup(url), startLine: line }),
      );
      locations.push(new pprof.Location({ id, line: [{ functionId: id, line }] }));
      return id;
    },
  };
}

/** Times as pprof has them, in nanoseconds. */
export type ProfileTime = { readonly startNs: bigint; readonly durationNs: bigint };

/** A CPU profile that was sampled every `periodNs` nanoseconds. */
export function cpuPprof(
  pprof: PprofLibrary,
  { nodes }: CpuProfile,
  periodNs: number,
  { startNs, durationNs }: ProfileTime,
): Uint8Array {
  const { strings, location, parts } = table(pprof);
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parents = new Map<number, number>();
  for (const { id, children = [] } of nodes) for (const child of children) parents.set(child, id);
  const sample: object[] = [];
  for (const { id, hitCount = 0, callFrame } of nodes) {
    if (hitCount === 0 || callFrame.functionName === IDLE) continue;
    const locationId: number[] = [];
    // The root is no function.
    for (let at: number | undefined = id; at !== undefined && parents.has(at); at = parents.get(at)) {
      locationId.push(location(byId.get(at)!.callFrame));
    }
    sample.push(new pprof.Sample({ locationId, value: [hitCount, hitCount * periodNs] }));
  }
  const cpu = { type: strings.dedup("cpu"), unit: strings.dedup("nanoseconds") };
  return new pprof.Profile({
    sampleType: [{ type: strings.dedup("samples"), unit: strings.dedup("count") }, cpu].map((type) =>
      new pprof.ValueType(type)
    ),
    sample: sample as never[],
    ...parts as { function: never[]; location: never[] },
    stringTable: strings,
    timeNanos: startNs,
    durationNanos: durationNs,
    periodType: new pprof.ValueType(cpu),
    period: periodNs,
  }).encode();
}

/** What was allocated since sampling began and is still in use, sampled every `intervalBytes`. */
export function heapPprof(
  pprof: PprofLibrary,
  { head }: HeapProfile,
  intervalBytes: number,
  timeNs: bigint,
): Uint8Array {
  const { strings, location, parts } = table(pprof);
  const sample: object[] = [];
  const pending: { readonly node: HeapNode; readonly above: readonly number[] }[] = [
    { node: head, above: [] },
  ];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { node, above } = next;
    const stack = node === head ? above : [location(node.callFrame), ...above];
    if (node.selfSize > 0) sample.push(new pprof.Sample({ locationId: [...stack], value: [node.selfSize] }));
    for (const child of node.children) pending.push({ node: child, above: stack });
  }
  const space = { type: strings.dedup("space"), unit: strings.dedup("bytes") };
  return new pprof.Profile({
    sampleType: [new pprof.ValueType({ type: strings.dedup("inuse_space"), unit: space.unit })],
    sample: sample as never[],
    ...parts as { function: never[]; location: never[] },
    stringTable: strings,
    timeNanos: timeNs,
    periodType: new pprof.ValueType(space),
    period: intervalBytes,
  }).encode();
}
