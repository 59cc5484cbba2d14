/**
 * WASI preview 1 for guests that get nothing of the host's: a clock, randomness, arguments and three pipes; no files, no
 * network, no environment. One implementation for all runtimes. Unknown and refused calls answer with an error number.
 *
 * Source: WASI preview 1 witx; `spec/evaluator.md §2.1, §6`.
 */

import { wallClockMs } from "../../program/apply/wall_clock.ts";
import { GUEST_LIMIT } from "../types/guest_limits.ts";
import { type GuestMemory, GuestMemoryError } from "./guest_memory.ts";

/** What a guest gets through WASI. */
export interface WasiHost {
  /** The guest's memory. Throws where it has none. */
  readonly memory: () => GuestMemory;
  /** The arguments, the program's name first; asked anew at each call. */
  readonly args: () => readonly string[];
  /** Fills `target` from standard input and returns how many bytes it gave; 0 is the end, for now. */
  readonly stdin: (target: Uint8Array) => number;
  readonly stdout: (bytes: Uint8Array) => void;
  readonly stderr: (bytes: Uint8Array) => void;
  /** Lets the guest's thread sleep, for at most this many milliseconds. */
  readonly sleep: (milliseconds: number) => void;
}

/**
 * Thrown by `proc_exit`; the guest's code doesn't go on. It is no Error: those note the stack, which is deep here, and some
 * guests end every call this way.
 */
export class GuestExit {
  readonly code: number;

  constructor(code: number) {
    this.code = code;
  }

  get message(): string {
    return `the guest exited with code ${this.code}`;
  }

  toString(): string {
    return this.message;
  }
}

const ERRNO = { success: 0, badf: 8, fault: 21, inval: 28, nosys: 52, notcapable: 76 } as const;
const { structure: STRUCTURE, transfer: TRANSFER } = GUEST_LIMIT;
/** Ranges of one read or write that are looked at, as in POSIX's IOV_MAX. */
const MAX_RANGES = 1024;

/** Functions that take a file, or a pipe that is none of a guest's: they answer EBADF (`spec/evaluator.md §6`). */
const NO_SUCH_FILE = [
  "fd_advise",
  "fd_allocate",
  "fd_datasync",
  "fd_fdstat_set_rights",
  "fd_filestat_set_size",
  "fd_filestat_set_times",
  "fd_pread",
  "fd_prestat_get",
  "fd_prestat_dir_name",
  "fd_pwrite",
  "fd_readdir",
  "fd_renumber",
  "fd_seek",
  "fd_sync",
  "fd_tell",
  "path_create_directory",
  "path_filestat_get",
  "path_filestat_set_times",
  "path_link",
  "path_open",
  "path_readlink",
  "path_remove_directory",
  "path_rename",
  "path_symlink",
  "path_unlink_file",
  "sock_accept",
  "sock_recv",
  "sock_send",
  "sock_shutdown",
];

/** Random bytes got ahead of need: a call for each handful takes longer than the guest's use of them. */
const random = new Uint8Array(4096);
let randomLeft = 0;

function fillRandom(target: Uint8Array): void {
  if (target.length <= 64) {
    if (target.length > randomLeft) {
      crypto.getRandomValues(random);
      randomLeft = random.length;
    }
    target.set(random.subarray(randomLeft - target.length, randomLeft));
    randomLeft -= target.length;
    // What was given to one guest is nowhere left.
    random.fill(0, randomLeft, randomLeft + target.length);
    return;
  }
  for (let start = 0; start < target.length; start += 65536) {
    const chunk = new Uint8Array(Math.min(65536, target.length - start));
    target.set(crypto.getRandomValues(chunk), start);
  }
}

type WasiFunction = (...args: never[]) => number;

/** Where the byte ranges of an iovec array stand, cut at the bytes of one transfer and at {@link MAX_RANGES} ranges. */
function* ranges(
  memory: GuestMemory,
  list: number,
  count: number,
): Generator<readonly [at: number, length: number]> {
  let left = TRANSFER.max;
  for (let index = 0; index < Math.min(count >>> 0, MAX_RANGES) && left > 0; index++) {
    const entry = (list >>> 0) + index * 8;
    const at = memory.uint(entry, 32, STRUCTURE);
    const length = Math.min(memory.uint(entry + 4, 32, STRUCTURE), left);
    left -= length;
    if (length > 0) yield [at, length];
  }
}

const isPipe = (fd: number) => fd >= 0 && fd <= 2;

/** What a guest learns of itself and of time: arguments, an empty environment, clocks, randomness. */
function processFunctions({ memory, args }: WasiHost): Record<string, WasiFunction> {
  const encoder = new TextEncoder();
  const given = () => args().map((arg) => encoder.encode(`${arg}\0`));
  return {
    args_sizes_get(countAt: number, sizeAt: number) {
      const list = given();
      memory().setUint32(countAt, list.length, STRUCTURE);
      memory().setUint32(sizeAt, list.reduce((sum, arg) => sum + arg.length, 0), STRUCTURE);
      return ERRNO.success;
    },
    args_get(pointersAt: number, bytesAt: number) {
      let at = bytesAt >>> 0;
      given().forEach((arg, index) => {
        memory().setUint32((pointersAt >>> 0) + index * 4, at, STRUCTURE);
        memory().write(at, [arg], STRUCTURE);
        at += arg.length;
      });
      return ERRNO.success;
    },
    environ_sizes_get(countAt: number, sizeAt: number) {
      memory().setUint32(countAt, 0, STRUCTURE);
      memory().setUint32(sizeAt, 0, STRUCTURE);
      return ERRNO.success;
    },
    environ_get: () => ERRNO.success,
    clock_res_get(_clock: number, at: number) {
      memory().setUint64(at, 1000n, STRUCTURE);
      return ERRNO.success;
    },
    clock_time_get(clock: number, _precision: bigint, at: number) {
      // 0 is the wall clock; all others count from some point of the past.
      const milliseconds = clock === 0 ? wallClockMs() : performance.now();
      memory().setUint64(at, BigInt(Math.round(milliseconds * 1000)) * 1000n, STRUCTURE);
      return ERRNO.success;
    },
    random_get(at: number, length: number) {
      if (length >>> 0 > TRANSFER.max) return ERRNO.inval;
      memory().lend(at, length, TRANSFER, fillRandom);
      return ERRNO.success;
    },
    proc_exit(code: number): number {
      throw new GuestExit(code);
    },
    proc_raise: () => ERRNO.nosys,
    sched_yield: () => ERRNO.success,
  };
}

/** The three pipes. */
function pipeFunctions(host: WasiHost): Record<string, WasiFunction> {
  const { memory } = host;
  return {
    fd_write(fd: number, list: number, count: number, writtenAt: number) {
      if (fd !== 1 && fd !== 2) return ERRNO.badf;
      let written = 0;
      const write = fd === 1 ? host.stdout : host.stderr;
      for (const [at, length] of ranges(memory(), list, count)) {
        memory().lend(at, length, TRANSFER, write);
        written += length;
      }
      memory().setUint32(writtenAt, written, STRUCTURE);
      return ERRNO.success;
    },
    fd_read(fd: number, list: number, count: number, readAt: number) {
      if (fd !== 0) return ERRNO.badf;
      let read = 0;
      for (const [at, length] of ranges(memory(), list, count)) {
        const given = memory().lend(at, length, TRANSFER, host.stdin);
        read += given;
        if (given < length) break;
      }
      memory().setUint32(readAt, read, STRUCTURE);
      return ERRNO.success;
    },
    fd_close: (fd: number) => isPipe(fd) ? ERRNO.success : ERRNO.badf,
    fd_fdstat_get(fd: number, at: number) {
      if (!isPipe(fd)) return ERRNO.badf;
      memory().clear(at, 24, STRUCTURE); // file type 0: unknown, as the original's pipes are
      // rights: fd_read for standard input, fd_write for the other two
      memory().setUint64((at >>> 0) + 8, fd === 0 ? 1n << 1n : 1n << 6n, STRUCTURE);
      return ERRNO.success;
    },
    fd_fdstat_set_flags: (fd: number) => isPipe(fd) ? ERRNO.success : ERRNO.badf,
    fd_filestat_get(fd: number, at: number) {
      if (!isPipe(fd)) return ERRNO.badf;
      memory().clear(at, 64, STRUCTURE);
      return ERRNO.success;
    },
    poll_oneoff(subscriptions: number, events: number, count: number, countAt: number) {
      return pollOnce(host, subscriptions >>> 0, events >>> 0, count >>> 0, countAt >>> 0);
    },
  };
}

/** A pointer outside of the guest's memory is the guest's mistake, not the host's. */
const orFault = (call: WasiFunction): WasiFunction => (...parameters) => {
  try {
    return call(...parameters);
  } catch (error) {
    if (error instanceof GuestMemoryError) return ERRNO.fault;
    throw error;
  }
};

/** The functions of `wasi_snapshot_preview1` (also to be linked as `wasi_unstable`). */
export function wasiImports(host: WasiHost): Record<string, WasiFunction> {
  const noFile: WasiFunction = () => ERRNO.badf;
  return Object.fromEntries([
    ...Object.entries({ ...processFunctions(host), ...pipeFunctions(host) })
      .map(([name, call]) => [name, orFault(call)] as const),
    ...NO_SUCH_FILE.map((name) => [name, noFile] as const),
  ]);
}

/** Waits for the earliest clock among the subscriptions; the pipes are never ready. */
function pollOnce(
  host: WasiHost,
  subscriptions: number,
  events: number,
  count: number,
  countAt: number,
): number {
  if (count === 0 || count > MAX_RANGES) return ERRNO.inval;
  const memory = host.memory();
  let earliest: { readonly userdata: bigint; readonly milliseconds: number } | undefined;
  for (let index = 0; index < count; index++) {
    const at = subscriptions + index * 48;
    if (memory.uint(at + 8, 8, STRUCTURE) !== 0) continue;
    const clock = memory.uint(at + 16, 32, STRUCTURE);
    const timeout = Number(memory.uint64(at + 24, STRUCTURE)) / 1e6;
    const absolute = (memory.uint(at + 40, 16, STRUCTURE) & 1) !== 0;
    const now = clock === 0 ? wallClockMs() : performance.now();
    const milliseconds = absolute ? Math.max(0, timeout - now) : timeout;
    if (!earliest || milliseconds < earliest.milliseconds) {
      earliest = { userdata: memory.uint64(at, STRUCTURE), milliseconds };
    }
  }
  if (!earliest) return ERRNO.notcapable;
  host.sleep(earliest.milliseconds);
  memory.clear(events, 32, STRUCTURE);
  memory.setUint64(events, earliest.userdata, STRUCTURE);
  memory.setUint32(countAt, 1, STRUCTURE);
  return ERRNO.success;
}
