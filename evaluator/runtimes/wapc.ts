/** Execution mode `kubewarden-wapc`: guests that speak the waPC protocol (`spec/evaluator.md §2, §3`). */
import { GuestOutput } from "../apply/guest_output.ts";
import { GuestMemory } from "../apply/guest_memory.ts";
import { Snapshot } from "../apply/snapshot.ts";
import { GuestExit, wasiImports } from "../apply/wasi.ts";
import { GUARD } from "../render/instrument.ts";
import {
  type EvaluationRequest,
  type HostCallAnswer,
  type SettingsVerdict,
  type Verdict,
} from "../types/evaluation.ts";
import { GUEST_LIMIT, type GuestLimit } from "../types/guest_limits.ts";
import { type Guest, type GuestHost, InstantiationError, type Runtime } from "../types/guest.ts";
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
const lenient = new TextDecoder();

const OPERATION = {
  validate: encoder.encode("validate"),
  validateSettings: encoder.encode("validate_settings"),
  protocolVersion: encoder.encode("protocol_version"),
} as const;
const NOTHING = new Uint8Array(0);
/** Bytes of a protocol version that an error shows. */
const MAX_SHOWN = 100;

const settingsFailed = (error: string) =>
  `Error invoking settings validation callback: GuestCallFailure(${JSON.stringify(error)})`;
const WORDS: CallWords = {
  failed: (error) => `internal server error: Guest call failure: ${error}`,
  badAnswer: "invalid response from policy",
  settingsFailed,
  settingsInterrupted: settingsFailed("guest code interrupted, execution deadline exceeded"),
  badSettingsAnswer: "error",
};

type GuestCallExport = (operationLength: number, payloadLength: number) => number;

class WapcGuest implements Guest {
  readonly #host: GuestHost;
  readonly #output: GuestOutput;
  #instance!: WebAssembly.Instance;
  #memory!: GuestMemory;
  #guestCall!: GuestCallExport;
  #snapshot: Snapshot | undefined;
  #usable = true;
  #operation: Uint8Array = NOTHING;
  #payload: readonly Uint8Array[] = [];
  #response: Uint8Array | undefined;
  #error: string | undefined;
  #hostAnswer: HostCallAnswer | undefined;
  #hostError: Uint8Array = NOTHING;

  constructor(host: GuestHost) {
    this.#host = host;
    this.#output = new GuestOutput((entry) => host.log(entry));
  }

  imports(): WebAssembly.Imports {
    const answer = () => this.#hostAnswer?.ok ? this.#hostAnswer.payload : NOTHING;
    const wapc = {
      __guest_request: (operationAt: number, payloadAt: number) => {
        this.#memory.write(payloadAt, this.#payload, GUEST_LIMIT.given);
        this.#memory.write(operationAt, [this.#operation], GUEST_LIMIT.given);
      },
      __guest_response: (at: number, length: number) => {
        this.#response = this.#memory.copy(at, length, GUEST_LIMIT.response);
      },
      __guest_error: (at: number, length: number) => {
        const { bytes, dropped } = this.#memory.cut(at, length, GUEST_LIMIT.error);
        // Cut where it may be in the midst of a character.
        const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes, {
          stream: dropped > 0,
        });
        this.#error = dropped > 0 ? `${text}… (${dropped} more bytes were dropped)` : text;
      },
      __host_call: (...ranges: number[]) => {
        const text = (index: number, limit: GuestLimit) =>
          this.#memory.text(ranges[index]!, ranges[index + 1]!, limit);
        const call = {
          binding: text(0, GUEST_LIMIT.binding),
          namespace: text(2, GUEST_LIMIT.namespace),
          operation: text(4, GUEST_LIMIT.operation),
          payload: this.#memory.copy(ranges[6]!, ranges[7]!, GUEST_LIMIT.payload),
        };
        this.#hostAnswer = this.#host.call(call);
        this.#hostError = this.#hostAnswer.ok ? NOTHING : encoder.encode(this.#hostAnswer.error);
        return this.#hostAnswer.ok ? 1 : 0;
      },
      __host_response_len: () => answer().length,
      __host_response: (at: number) => this.#memory.write(at, [answer()], GUEST_LIMIT.given),
      __host_error_len: () => this.#hostError.length,
      __host_error: (at: number) => this.#memory.write(at, [this.#hostError], GUEST_LIMIT.given),
      __console_log: (at: number, length: number) => {
        const { max } = GUEST_LIMIT.logMessage;
        const message = length >>> 0 > max
          ? `Guest module: a text of ${length >>> 0} bytes was dropped, the limit is ${max}`
          : `Guest module: ${this.#memory.text(at, length, GUEST_LIMIT.logMessage)}`;
        this.#host.log({ level: "info", message, data: undefined });
      },
    };
    const wasi = wasiImports({
      memory: () => this.#memory,
      args: () => [],
      stdin: () => 0,
      stdout: (bytes) => this.#output.write("stdout", bytes),
      stderr: (bytes) => this.#output.write("stderr", bytes),
      sleep: (milliseconds) => this.#host.sleep(milliseconds),
    });
    return { wapc, wasi_snapshot_preview1: wasi, wasi_unstable: wasi };
  }

  /** Takes the linked instance, runs its start functions and remembers its state. */
  start(instance: WebAssembly.Instance, prepared: PreparedModule, limitMs: number): void {
    const memory = GuestMemory.exported(instance);
    const { __guest_call: guestCall } = instance.exports;
    if (!memory) throw new InstantiationError("the module exports no memory");
    if (typeof guestCall !== "function") {
      throw new InstantiationError("Guest call function (__guest_call) not exported by wasm module.");
    }
    this.#instance = instance;
    this.#memory = memory;
    this.#guestCall = guestCall as GuestCallExport;
    for (const name of [GUARD.start, "_start", "wapc_init"]) this.#runStart(name, limitMs);
    if (prepared.restorable) this.#snapshot = new Snapshot(instance, prepared.mode, prepared.room);
  }

  #runStart(name: string, limitMs: number): void {
    const start = this.#instance.exports[name];
    if (typeof start !== "function") return;
    try {
      this.#host.run(limitMs, start as () => void);
    } catch (error) {
      if (this.#host.expired()) {
        const interrupted = `${name} init interrupted, execution deadline exceeded`;
        throw new InstantiationError(`Initialization failed: ${interrupted}`, true);
      }
      // TinyGo ends `_start` this way; the instance stays usable (spec/evaluator.md §2.2).
      if (error instanceof GuestExit && error.code === 0) return;
      throw new InstantiationError(`Initialization failed: ${this.#host.trap(error)}`);
    } finally {
      this.#output.end();
    }
  }

  #call(operation: Uint8Array, payload: readonly Uint8Array[], limitMs: number): CallResult {
    this.#operation = operation;
    this.#payload = payload;
    this.#response = undefined;
    this.#error = undefined;
    this.#hostAnswer = undefined;
    this.#hostError = NOTHING;
    let length = 0;
    for (const part of payload) length += part.length;
    try {
      const succeeded = this.#host.run(limitMs, () => this.#guestCall(operation.length, length)) !== 0;
      if (succeeded && this.#response) return { kind: "answer", bytes: this.#response };
      const missing = succeeded
        ? "No error message OR response set for call success"
        : "No error message set for call failure";
      return { kind: "failed", error: this.#error ?? missing };
    } catch (error) {
      this.#usable = false;
      if (this.#host.expired()) return { kind: "interrupted" };
      return { kind: "failed", error: this.#host.trap(error) };
    } finally {
      this.#payload = [];
      this.#output.end();
    }
  }

  validate(request: EvaluationRequest, policy: EvaluablePolicy): Verdict {
    const result = this.#call(OPERATION.validate, validationPayload(request, policy), policy.limitMs);
    return verdictFrom(result, request, this.#host, WORDS);
  }

  validateSettings(policy: EvaluablePolicy): SettingsVerdict {
    return settingsVerdictFrom(
      this.#call(OPERATION.validateSettings, [policy.settings], policy.limitMs),
      WORDS,
    );
  }

  protocolVersion(limitMs: number): string {
    const result = this.#call(OPERATION.protocolVersion, [], limitMs);
    if (result.kind !== "answer") {
      const reason = result.kind === "failed"
        ? result.error
        : "guest code interrupted, execution deadline exceeded";
      throw new Error(`cannot invoke 'protocol_version' waPC function : Guest call failure: ${reason}`);
    }
    const text = lenient.decode(result.bytes);
    if (text !== '"v1"' && text !== '"Unknown"') {
      const shown = result.bytes.subarray(0, MAX_SHOWN).join(", ") +
        (result.bytes.length > MAX_SHOWN ? ", …" : "");
      throw new Error(
        `cannot create ProtocolVersion object from [${shown}]: expected "v1"`,
      );
    }
    return JSON.parse(text);
  }

  restore(): boolean {
    return this.#usable && this.#snapshot !== undefined && this.#snapshot.restore();
  }
}

/** Makes waPC guests. */
export const wapc: Runtime = async (prepared, limitMs, host) => {
  const guest = new WapcGuest(host);
  guest.start(await host.link(prepared.module, guest.imports()), prepared, limitMs);
  return guest;
};
