/**
 * Execution mode `wasi`: programs that read a request from standard input and write their answer to standard output
 * (`spec/evaluator.md §6`). Every evaluation runs `_start` in a fresh instance, or, which is the same for the guest and takes
 * a quarter of the time, in an instance that was put back to how it was before any of its code ran.
 */
import { GuestMemory } from "../apply/guest_memory.ts";
import { Input, Output } from "../apply/pipes.ts";
import { Snapshot } from "../apply/snapshot.ts";
import { GuestExit, wasiImports } from "../apply/wasi.ts";
import { GUARD } from "../render/instrument.ts";
import {
  ANSWER,
  type EvaluationRequest,
  type SettingsVerdict,
  TEXT,
  type Verdict,
} from "../types/evaluation.ts";
import { GUEST_LIMIT, type GuestLimit } from "../types/guest_limits.ts";
import type { Guest, GuestHost, Runtime } from "../types/guest.ts";
import type { PreparedModule } from "../types/module.ts";
import type { EvaluablePolicy } from "../types/policy.ts";
import {
  type CallResult,
  type CallWords,
  settingsVerdictFrom,
  validationPayload,
  verdictFrom,
} from "./call_result.ts";

const encoder = new TextEncoder();
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const NOT_TEXT = (pipe: "stdout" | "stderr") =>
  `${pipe} pipe conversion error: Cannot convert buffer to UTF8 string: invalid utf-8 sequence`;

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return strict.decode(bytes);
  } catch {
    return undefined;
  }
}

const WORDS: CallWords = {
  failed: (error) => error,
  badAnswer: "Cannot deserialize policy validation response",
  settingsFailed: (error) => error,
  settingsInterrupted: TEXT.interrupted,
  badSettingsAnswer: "Cannot deserialize settings validation response",
};

class WasiGuest implements Guest {
  readonly #host: GuestHost;
  readonly #stdin = new Input();
  readonly #stdout = new Output(ANSWER.max);
  readonly #stderr = new Output(GUEST_LIMIT.error.max);
  #args: readonly string[] = [];
  /** What the program exited with first; it may catch what ends it, but not take that back. */
  #exitCode: number | undefined;
  #instance!: WebAssembly.Instance;
  #exported: GuestMemory | undefined;
  #snapshot: Snapshot | undefined;
  #usable = true;
  #hint = "";

  constructor(host: GuestHost) {
    this.#host = host;
  }

  #memory(missing: string): GuestMemory {
    this.#exported ??= GuestMemory.exported(this.#instance);
    if (!this.#exported) throw new Error(missing);
    return this.#exported;
  }

  /** The same function under both names: Javy's plugins of version 7 and later call it by the second. */
  #hostCall(...ranges: number[]): number {
    const memory = this.#memory("cannot find 'mem' export");
    const name = (what: string, index: number, limit: GuestLimit) => {
      try {
        return memory.text(ranges[index]!, ranges[index + 1]!, limit);
      } catch (error) {
        throw new Error(`host_call: cannot convert ${what} to UTF8: ${(error as Error).message}`);
      }
    };
    const answer = this.#host.call({
      binding: name("bd", 0, GUEST_LIMIT.binding),
      namespace: name("ns", 2, GUEST_LIMIT.namespace),
      operation: name("op", 4, GUEST_LIMIT.operation),
      payload: memory.copy(ranges[6]!, ranges[7]!, GUEST_LIMIT.payload),
    });
    this.#stdin.append(answer.ok ? answer.payload : encoder.encode(answer.error));
    // 0 is success here and failure in waPC (spec/evaluator.md §6.1).
    return answer.ok ? 0 : 1;
  }

  imports(): WebAssembly.Imports {
    const call = (...ranges: number[]) => this.#hostCall(...ranges);
    const wasi = wasiImports({
      memory: () => this.#memory("missing required memory export"),
      args: () => this.#args,
      stdin: (target) => this.#stdin.read(target),
      stdout: (bytes) => this.#stdout.write(bytes),
      stderr: (bytes) => this.#stderr.write(bytes),
      sleep: (milliseconds) => this.#host.sleep(milliseconds),
    });
    const exit = wasi["proc_exit"] as (code: number) => number;
    wasi["proc_exit"] = (code: number) => {
      this.#exitCode ??= code;
      return exit(code);
    };
    return {
      wasi_snapshot_preview1: wasi,
      wasi_unstable: wasi,
      host: { call },
      "kubewarden:javy/host": { call },
    };
  }

  /** Takes the linked instance, none of whose code has run. */
  attach(instance: WebAssembly.Instance, { restorable, mode, room, hint = "" }: PreparedModule): void {
    this.#instance = instance;
    this.#hint = hint;
    if (restorable) this.#snapshot = new Snapshot(instance, mode, room);
  }

  #run(command: "validate" | "validate-settings", input: readonly Uint8Array[], limitMs: number): CallResult {
    const { _start: start, [GUARD.start]: startSection } = this.#instance.exports;
    if (typeof start !== "function") {
      const error = "cannot find `_start` function inside of module: failed to find function export `_start`";
      return { kind: "failed", error: `${error}${this.#hint}` };
    }
    this.#args = ["policy.wasm", command];
    for (const pipe of [this.#stdin, this.#stdout, this.#stderr]) pipe.clear();
    for (const part of input) this.#stdin.append(part);
    this.#host.arm(limitMs);
    this.#exitCode = undefined;
    let trap: string | undefined;
    try {
      if (typeof startSection === "function") startSection();
      start();
    } catch (error) {
      if (!(error instanceof GuestExit)) trap = this.#host.trap(error);
    }
    // A guest that exits has ended as it wanted to; one that trapped is not used again.
    this.#usable = trap === undefined;
    if (this.#host.expired()) {
      for (const pipe of [this.#stdin, this.#stdout, this.#stderr]) pipe.clear();
      return { kind: "interrupted" };
    }
    // The verdict has room for what the guest itself said only.
    if (trap !== undefined) this.#host.log({ level: "error", message: trap, data: undefined });
    return this.#ended(trap === undefined && (this.#exitCode ?? 0) === 0);
  }

  #ended(succeeded: boolean): CallResult {
    try {
      const stderr = this.#stderrText();
      if (stderr === undefined) return { kind: "failed", error: NOT_TEXT("stderr") };
      if (!succeeded) return { kind: "failed", error: stderr };
      if (stderr !== "") {
        this.#host.log({ level: "warn", message: stderr, data: JSON.stringify({ stream: "stderr" }) });
      }
      if (this.#stdout.dropped > 0) {
        return { kind: "failed", error: `the policy wrote over ${ANSWER.max} bytes to standard output` };
      }
      const bytes = this.#stdout.bytes();
      if (textOf(bytes) === undefined) return { kind: "failed", error: NOT_TEXT("stdout") };
      return { kind: "answer", bytes };
    } finally {
      for (const pipe of [this.#stdin, this.#stdout, this.#stderr]) pipe.clear();
    }
  }

  /** What the guest wrote to standard error, trimmed; undefined where that is no text. */
  #stderrText(): string | undefined {
    const { dropped } = this.#stderr;
    if (dropped === 0) return textOf(this.#stderr.bytes())?.trim();
    // Cut where it may be in the midst of a character.
    const kept = new TextDecoder().decode(this.#stderr.bytes(), { stream: true }).trimStart();
    return `${kept}… (${dropped} more bytes were dropped)`;
  }

  validate(request: EvaluationRequest, policy: EvaluablePolicy): Verdict {
    const result = this.#run("validate", validationPayload(request, policy), policy.limitMs);
    return verdictFrom(result, request, this.#host, WORDS);
  }

  validateSettings(policy: EvaluablePolicy): SettingsVerdict {
    return settingsVerdictFrom(this.#run("validate-settings", [policy.settings], policy.limitMs), WORDS);
  }

  protocolVersion(): string {
    throw new Error("protocol_version is only applicable to a Kubewarden policy");
  }

  restore(): boolean {
    return this.#usable && this.#snapshot !== undefined && this.#snapshot.restore();
  }
}

/** Makes WASI guests. None of the guest's code runs before its first evaluation. */
export const wasi: Runtime = async (prepared, _limitMs, host) => {
  const guest = new WasiGuest(host);
  guest.attach(await host.link(prepared.module, guest.imports()), prepared);
  return guest;
};
