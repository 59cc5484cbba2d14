/**
 * What Extism's plug-in development kits expect of their host (`extism:host/env`): blocks of memory outside of the guest's
 * own, through which input, output, errors and variables pass. A handle is a 64-bit address; the blocks stand 4 GiB apart.
 *
 * The host functions of Extism's JavaScript SDK can't be used for policies: what a plug-in allocates has no limit, variables
 * and one block outlive a call, so that one request's data could reach another's, and newer kits import functions that it
 * doesn't have. Here everything ends with the call.
 *
 * Source: the imports of Extism's plug-in development kits (`extism-pdk`, `@extism/as-pdk`).
 */

import { GUEST_LIMIT } from "../types/guest_limits.ts";

/** Raised when a plug-in uses a host function in a way that can't be. It ends the call. */
export class ExtismError extends Error {
  override readonly name = "ExtismError";
}

/** Blocks that one call may allocate. */
const MAX_BLOCKS = 100_000;
const MAX_VARIABLES = 1000;
/** Names of variables and log messages are read up to this many bytes. */
const MAX_TEXT = GUEST_LIMIT.logMessage.max;
const BLOCK_DISTANCE = 2 ** 32;

const LEVELS = ["trace", "debug", "info", "warn", "error"] as const;
type Level = (typeof LEVELS)[number];

/** Takes what plug-ins log. */
export type OnExtismLog = (level: Level, message: string) => void;

type HostFunction = (...parameters: never[]) => unknown;

/** The blocks of one call at a time. */
export class ExtismMemory {
  readonly #maxBytes: number;
  readonly #log: OnExtismLog;
  readonly #blocks = new Map<number, DataView>();
  readonly #variables = new Map<string, bigint>();
  #allocated = 0;
  #count = 0;
  #input: DataView = new DataView(new ArrayBuffer(0));
  #inputAt = 0n;
  #output: Uint8Array | undefined;
  #error: Uint8Array | undefined;

  /** `maxBytes`: what the blocks of one call may take together, counting also those that were freed. */
  constructor(maxBytes: number, log: OnExtismLog) {
    this.#maxBytes = maxBytes;
    this.#log = log;
  }

  /** Begins a call: nothing is left of the one before. */
  begin(input: Uint8Array): void {
    this.end();
    this.#inputAt = this.store(input);
    this.#input = this.#block(this.#inputAt)!;
  }

  /** Ends a call. */
  end(): void {
    this.#blocks.clear();
    this.#variables.clear();
    this.#allocated = this.#count = 0;
    this.#input = new DataView(new ArrayBuffer(0));
    this.#inputAt = 0n;
    this.#output = this.#error = undefined;
  }

  /** What the plug-in gave as its output; undefined if it gave none. */
  get output(): Uint8Array | undefined {
    return this.#output;
  }

  /** What the plug-in gave as its error; undefined if it gave none. */
  get error(): Uint8Array | undefined {
    return this.#error;
  }

  /** Allocates a block. Throws {@link ExtismError} when the call has had enough. */
  alloc(length: number): bigint {
    if (this.#allocated + length > this.#maxBytes) {
      throw new ExtismError(`the plug-in allocated over ${this.#maxBytes} bytes of Extism memory`);
    }
    if (this.#count >= MAX_BLOCKS) {
      throw new ExtismError(`the plug-in allocated over ${MAX_BLOCKS} blocks of Extism memory`);
    }
    this.#allocated += length;
    this.#blocks.set(++this.#count, new DataView(new ArrayBuffer(length)));
    return BigInt(this.#count * BLOCK_DISTANCE);
  }

  /** Allocates a block that holds `bytes`. */
  store(bytes: Uint8Array): bigint {
    const at = this.alloc(bytes.length);
    new Uint8Array(this.#block(at)!.buffer).set(bytes);
    return at;
  }

  /** The whole block at `address`; undefined where none begins. Throws {@link ExtismError} where it has over `max` bytes. */
  read(address: bigint, max: number): Uint8Array | undefined {
    const block = this.#block(address);
    if (block && block.byteLength > max) {
      throw new ExtismError(`the block at ${address} has ${block.byteLength} bytes, the limit is ${max}`);
    }
    return block && new Uint8Array(block.buffer);
  }

  /** The block that begins at `address`. */
  #block(address: bigint): DataView | undefined {
    const index = Number(address) / BLOCK_DISTANCE;
    return this.#blocks.get(index);
  }

  /** The block around `address`, and where in it that is. */
  #within(address: bigint, length: number): { block: DataView; at: number } {
    const place = Number(address);
    const index = Math.floor(place / BLOCK_DISTANCE);
    const block = this.#blocks.get(index);
    const at = place - index * BLOCK_DISTANCE;
    if (!block || at + length > block.byteLength) {
      throw new ExtismError(`the plug-in used Extism memory that it has not allocated, at ${address}`);
    }
    return { block, at };
  }

  #inputPlace(offset: bigint, length: number): number {
    const at = Number(offset);
    if (at < 0 || at + length > this.#input.byteLength) {
      throw new ExtismError(
        `the plug-in read its input at ${offset}, which has ${this.#input.byteLength} bytes`,
      );
    }
    return at;
  }

  #text(address: bigint): string {
    return new TextDecoder().decode(this.read(address, this.#maxBytes)?.subarray(0, MAX_TEXT));
  }

  #setVariable(nameAt: bigint, valueAt: bigint): void {
    const name = this.#text(nameAt);
    if (valueAt === 0n) {
      this.#variables.delete(name);
      return;
    }
    if (this.#variables.size >= MAX_VARIABLES && !this.#variables.has(name)) {
      throw new ExtismError(`the plug-in set over ${MAX_VARIABLES} variables`);
    }
    const value = this.read(valueAt, this.#maxBytes);
    if (!value) throw new ExtismError(`the plug-in set a variable to no block, at ${valueAt}`);
    // Plug-ins may free the block that they gave.
    this.#variables.set(name, this.store(value));
  }

  /** The functions of `extism:host/env`. */
  imports(): Record<string, HostFunction> {
    const denied = () => {
      throw new ExtismError("the plug-in made an HTTP request, which no policy is granted");
    };
    const functions: Record<string, HostFunction> = {
      input_length: () => BigInt(this.#input.byteLength),
      input_offset: () => this.#inputAt,
      input_load_u8: (offset: bigint) => this.#input.getUint8(this.#inputPlace(offset, 1)),
      input_load_u64: (offset: bigint) => this.#input.getBigUint64(this.#inputPlace(offset, 8), true),
      alloc: (length: bigint) => this.alloc(Number(BigInt.asUintN(64, length))),
      free: (address: bigint) => void this.#blocks.delete(Number(address) / BLOCK_DISTANCE),
      length: (address: bigint) => BigInt(this.#block(address)?.byteLength ?? 0),
      length_unsafe: (address: bigint) => BigInt(this.#block(address)?.byteLength ?? 0),
      load_u8: (address: bigint) => {
        const { block, at } = this.#within(address, 1);
        return block.getUint8(at);
      },
      load_u64: (address: bigint) => {
        const { block, at } = this.#within(address, 8);
        return block.getBigUint64(at, true);
      },
      store_u8: (address: bigint, value: number) => {
        const { block, at } = this.#within(address, 1);
        block.setUint8(at, value);
      },
      store_u64: (address: bigint, value: bigint) => {
        const { block, at } = this.#within(address, 8);
        block.setBigUint64(at, BigInt.asUintN(64, value), true);
      },
      output_set: (address: bigint, length: bigint) => {
        const size = Number(BigInt.asUintN(64, length));
        const { block, at } = size === 0
          ? { block: new DataView(new ArrayBuffer(0)), at: 0 }
          : this.#within(address, size);
        this.#output = new Uint8Array(block.buffer, at, size);
      },
      error_set: (address: bigint) => {
        // 0 takes an error back.
        this.#error = address === 0n ? undefined : this.read(address, this.#maxBytes);
      },
      config_get: () => 0n,
      var_get: (nameAt: bigint) => this.#variables.get(this.#text(nameAt)) ?? 0n,
      var_set: (nameAt: bigint, valueAt: bigint) => this.#setVariable(nameAt, valueAt),
      http_request: denied,
      http_status_code: denied,
      http_headers: denied,
      get_log_level: () => 0,
    };
    for (const level of LEVELS) {
      functions[`log_${level}`] = (address: bigint) => this.#log(level, this.#text(address));
    }
    return functions;
  }
}
