/**
 * The state of an instance after its initialisation, to which it is put back before every further request: one guest never
 * sees another request's data (`render/instrument.ts` makes memory and globals reachable).
 */
import { GUARD } from "../render/instrument.ts";

const PAGE = 65536;
/** Runs of equal treatment are found in blocks of this size: mostly zero memory then costs a fill, not a copy. */
const BLOCK = 4096;
/** An instance whose memory grew by more than this beyond its snapshot is not kept: the memory is given back. */
const KEPT_GROWTH_PAGES = 2048;

type Run = { readonly start: number; readonly end: number; readonly content: Uint8Array | undefined };
type GlobalState = readonly [global: WebAssembly.Global, value: unknown];

function isZero(words: BigUint64Array, start: number, end: number): boolean {
  for (let at = start / 8; at < end / 8; at++) if (words[at] !== 0n) return false;
  return true;
}

function takeRuns(buffer: ArrayBufferLike, length: number): readonly Run[] {
  const bytes = new Uint8Array(buffer);
  const words = new BigUint64Array(buffer);
  const runs: { start: number; end: number; zero: boolean }[] = [];
  for (let start = 0; start < length; start += BLOCK) {
    const zero = isZero(words, start, start + BLOCK);
    const last = runs.at(-1);
    if (last?.zero === zero) last.end = start + BLOCK;
    else runs.push({ start, end: start + BLOCK, zero });
  }
  return runs.map(({ start, end, zero }) => ({
    start,
    end,
    content: zero ? undefined : bytes.slice(start, end),
  }));
}

/** One instance and the state it is put back to. */
export class Snapshot {
  readonly #memory: WebAssembly.Memory | undefined;
  readonly #runs: readonly Run[];
  readonly #globals: readonly GlobalState[];
  readonly #length: number;

  /** Takes the state that `instance` has now. */
  constructor(instance: WebAssembly.Instance) {
    this.#memory = instance.exports[GUARD.memory] as WebAssembly.Memory | undefined;
    const pages = instance.exports[GUARD.pages] as WebAssembly.Global;
    this.#length = Number(pages.value) * PAGE;
    this.#runs = this.#memory ? takeRuns(this.#memory.buffer, this.#length) : [];
    const globals: GlobalState[] = [];
    for (const [name, value] of Object.entries(instance.exports)) {
      if (name.startsWith(GUARD.prefix) && value instanceof WebAssembly.Global) {
        globals.push([value, value.value]);
      }
    }
    this.#globals = globals;
  }

  /** Pages that the memory has beyond the snapshot; what they held is gone, but they take up space. */
  get grownPages(): number {
    return this.#memory === undefined ? 0 : (this.#memory.buffer.byteLength - this.#length) / PAGE;
  }

  /** Puts the instance back. Returns false when it should be dropped instead. */
  restore(): boolean {
    for (const [global, value] of this.#globals) global.value = value;
    if (this.#memory === undefined) return true;
    const buffer = this.#memory.buffer;
    if (buffer.byteLength > this.#length + KEPT_GROWTH_PAGES * PAGE) return false;
    const bytes = new Uint8Array(buffer);
    for (const { start, end, content } of this.#runs) {
      if (content) bytes.set(content, start);
      else bytes.fill(0, start, end);
    }
    // What the memory has beyond the guest's own page count must be zero, as freshly grown memory is.
    if (bytes.length > this.#length) bytes.fill(0, this.#length);
    return true;
  }
}
