/**
 * Profiles of the server's main thread, where requests are read, routed and answered; the evaluating threads are not in them.
 * Node's inspector has both kinds; Bun's has no heap sampling.
 */
import { sleep } from "../../program/apply/sleep.ts";
import { wallClockMs } from "../../program/apply/wall_clock.ts";
import type { Session } from "node:inspector/promises";
import process from "node:process";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { loadPprof } from "../../deps.ts";
import { cpuPprof, type CpuProfile, heapPprof, type HeapProfile } from "../render/pprof_profile.ts";

/** Raised for what the runtime can't do. */
export class UnsupportedProfile extends Error {
  override readonly name = "UnsupportedProfile";
}

/** Takes profiles, one at a time of each kind. */
export interface Profiler {
  /** pprof's protobuf, after `seconds` or when `gone` is aborted. */
  cpu(hertz: number, seconds: number, gone: AbortSignal): Promise<Uint8Array>;
  /** The same, zipped. */
  heap(): Promise<Uint8Array>;
  close(): void;
}

/** Bytes between two samples of the heap. The runtime's standard; it costs next to nothing. */
const HEAP_INTERVAL_BYTES = 512 * 1024;
const NO_HEAP = "heap profiles need Node: Bun's inspector has no heap sampling";

const nowNs = () => BigInt(Math.floor(wallClockMs() * 1e6));

/** Begins to sample the heap: only what is allocated from now on can be told. */
export async function startProfiler(): Promise<Profiler> {
  const { Session: InspectorSession } = await import("node:inspector/promises");
  const session: Session = new InspectorSession();
  session.connect();
  const sampling = !("bun" in process.versions);
  if (sampling) {
    await session.post("HeapProfiler.startSampling", { samplingInterval: HEAP_INTERVAL_BYTES });
  }
  const running = new Set<string>();
  const alone = async (what: string, take: () => Promise<Uint8Array>): Promise<Uint8Array> => {
    if (running.has(what)) throw new Error(`a ${what} profile is being taken already`);
    running.add(what);
    try {
      return await take();
    } finally {
      running.delete(what);
    }
  };
  return {
    cpu: (hertz, seconds, gone) =>
      alone("CPU", async () => {
        await session.post("Profiler.enable");
        await session.post("Profiler.setSamplingInterval", { interval: Math.round(1e6 / hertz) });
        const startNs = nowNs();
        await session.post("Profiler.start");
        await sleep(seconds * 1000, gone);
        const { profile } = await session.post("Profiler.stop") as { profile: CpuProfile };
        await session.post("Profiler.disable");
        const time = { startNs, durationNs: nowNs() - startNs };
        return cpuPprof(await loadPprof(), profile, Math.round(1e9 / hertz), time);
      }),
    heap: () =>
      alone("heap", async () => {
        if (!sampling) throw new UnsupportedProfile(NO_HEAP);
        const { profile } = await session.post("HeapProfiler.getSamplingProfile") as { profile: HeapProfile };
        return await promisify(gzip)(heapPprof(await loadPprof(), profile, HEAP_INTERVAL_BYTES, nowNs()));
      }),
    close: () => session.disconnect(),
  };
}
