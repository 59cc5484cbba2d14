/** Execution mode `kubewarden-wapc`: guests that speak the waPC protocol (`spec/evaluator.md §2, §3`). */
import { GuestOutput } from "../apply/guest_output.ts";
import { Snapshot } from "../apply/snapshot.ts";
import { trapText } from "../apply/trap_text.ts";
import { GuestExit, wasiImports } from "../apply/wasi.ts";
import { GUARD } from "../render/instrument.ts";
import { MAX_LOG_ENTRY } from "../render/policy_log.ts";
import { AnswerError, settingsVerdictOf, verdictOf } from "../render/verdict.ts";
import {
  ANSWER,
  type EvaluationRequest,
  failure,
  type HostCallAnswer,
  type SettingsVerdict,
  TEXT,
  type Verdict,
} from "../types/evaluation.ts";
import { type Guest, type GuestHost, InstantiationError, type Runtime } from "../types/guest.ts";
import type { EvaluablePolicy } from "../types/policy.ts";

const encoder = new TextEncoder();
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const lenient = new TextDecoder();

const OPERATION = {
  validate: encoder.encode("validate"),
  validateSettings: encoder.encode("validate_settings"),
  protocolVersion: encoder.encode("protocol_version"),
} as const;
const BEFORE_REQUEST = encoder.encode('{"request":');
const BEFORE_SETTINGS = encoder.encode(',"settings":');
const END = encoder.encode("}");
const NOTHING = new Uint8Array(0);

/** How a call of the guest ended. */
type CallResult =
  | { readonly kind: "response"; readonly bytes: Uint8Array }
  | { readonly kind: "failed"; readonly error: string }
  | { readonly kind: "interrupted" };

type GuestCallExport = (operationLength: number, payloadLength: number) => number;

class WapcGuest implements Guest {
  readonly #host: GuestHost;
  readonly #output: GuestOutput;
  #instance!: WebAssembly.Instance;
  #memory!: WebAssembly.Memory;
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

  #bytes(at: number, length: number): Uint8Array {
    return new Uint8Array(this.#memory.buffer, at >>> 0, length >>> 0);
  }

  #name(at: number, length: number): string {
    return strict.decode(this.#bytes(at, length));
  }

  imports(): WebAssembly.Imports {
    const answer = () => this.#hostAnswer?.ok ? this.#hostAnswer.payload : NOTHING;
    const wapc = {
      __guest_request: (operationAt: number, payloadAt: number) => {
        const memory = new Uint8Array(this.#memory.buffer);
        let at = payloadAt >>> 0;
        for (const part of this.#payload) {
          memory.set(part, at);
          at += part.length;
        }
        memory.set(this.#operation, operationAt >>> 0);
      },
      __guest_response: (at: number, length: number) => {
        if (length >>> 0 > ANSWER.max) {
          throw new RangeError(`the response has ${length >>> 0} bytes, the limit is ${ANSWER.max}`);
        }
        this.#response = this.#bytes(at, length).slice();
      },
      __guest_error: (at: number, length: number) => {
        this.#error = this.#name(at, length);
      },
      __host_call: (...ranges: number[]) => {
        const text = (index: number) => this.#name(ranges[index]!, ranges[index + 1]!);
        const call = {
          binding: text(0),
          namespace: text(2),
          operation: text(4),
          payload: this.#bytes(ranges[6]!, ranges[7]!).slice(),
        };
        this.#hostAnswer = this.#host.call(call);
        this.#hostError = this.#hostAnswer.ok ? NOTHING : encoder.encode(this.#hostAnswer.error);
        return this.#hostAnswer.ok ? 1 : 0;
      },
      __host_response_len: () => answer().length,
      __host_response: (at: number) => this.#bytes(at, answer().length).set(answer()),
      __host_error_len: () => this.#hostError.length,
      __host_error: (at: number) => this.#bytes(at, this.#hostError.length).set(this.#hostError),
      __console_log: (at: number, length: number) => {
        const message = length >>> 0 > MAX_LOG_ENTRY
          ? `Guest module: a text of ${length >>> 0} bytes was dropped, the limit is ${MAX_LOG_ENTRY}`
          : `Guest module: ${this.#name(at, length)}`;
        this.#host.log({ level: "info", message, data: undefined });
      },
    };
    const wasi = wasiImports({
      memory: () => this.#memory.buffer,
      args: () => [],
      stdin: () => 0,
      stdout: (bytes) => this.#output.write("stdout", bytes),
      stderr: (bytes) => this.#output.write("stderr", bytes),
      sleep: (milliseconds) => this.#host.sleep(milliseconds),
    });
    return { wapc, wasi_snapshot_preview1: wasi, wasi_unstable: wasi };
  }

  /** Takes the linked instance, runs its start functions and remembers its state. */
  start(instance: WebAssembly.Instance, restorable: boolean, limitMs: number): void {
    const { memory, __guest_call: guestCall } = instance.exports;
    if (!(memory instanceof WebAssembly.Memory)) throw new InstantiationError("the module exports no memory");
    if (typeof guestCall !== "function") {
      throw new InstantiationError("Guest call function (__guest_call) not exported by wasm module.");
    }
    this.#instance = instance;
    this.#memory = memory;
    this.#guestCall = guestCall as GuestCallExport;
    for (const name of [GUARD.start, "_start", "wapc_init"]) this.#runStart(name, limitMs);
    if (restorable) this.#snapshot = new Snapshot(instance);
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
      throw new InstantiationError(`Initialization failed: ${trapText(error)}`);
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
      if (succeeded && this.#response) return { kind: "response", bytes: this.#response };
      const missing = succeeded
        ? "No error message OR response set for call success"
        : "No error message set for call failure";
      return { kind: "failed", error: this.#error ?? missing };
    } catch (error) {
      this.#usable = false;
      if (this.#host.expired()) return { kind: "interrupted" };
      return { kind: "failed", error: trapText(error) };
    } finally {
      this.#payload = [];
      this.#output.end();
    }
  }

  validate(request: EvaluationRequest, policy: EvaluablePolicy): Verdict {
    const payload = [BEFORE_REQUEST, request.json, BEFORE_SETTINGS, policy.settings, END];
    const result = this.#call(OPERATION.validate, payload, policy.limitMs);
    switch (result.kind) {
      case "interrupted":
        return failure(TEXT.interrupted);
      case "failed":
        return failure(`internal server error: Guest call failure: ${result.error}`);
      case "response":
        if (result.bytes.length > ANSWER.large) this.#host.longWork();
        try {
          return verdictOf(result.bytes, request);
        } catch (error) {
          if (!(error instanceof AnswerError)) throw error;
          return failure(`internal server error: invalid response from policy: ${error.message}`);
        }
    }
  }

  validateSettings(policy: EvaluablePolicy): SettingsVerdict {
    const result = this.#call(OPERATION.validateSettings, [policy.settings], policy.limitMs);
    const failed = (error: string) =>
      `Error invoking settings validation callback: GuestCallFailure(${JSON.stringify(error)})`;
    switch (result.kind) {
      case "interrupted":
        return { valid: false, message: failed("guest code interrupted, execution deadline exceeded") };
      case "failed":
        return { valid: false, message: failed(result.error) };
      case "response":
        try {
          return settingsVerdictOf(result.bytes);
        } catch (error) {
          if (!(error instanceof AnswerError)) throw error;
          return { valid: false, message: `error: ${error.message}` };
        }
    }
  }

  protocolVersion(limitMs: number): string {
    const result = this.#call(OPERATION.protocolVersion, [], limitMs);
    if (result.kind !== "response") {
      const reason = result.kind === "failed"
        ? result.error
        : "guest code interrupted, execution deadline exceeded";
      throw new Error(`cannot invoke 'protocol_version' waPC function : Guest call failure: ${reason}`);
    }
    const text = lenient.decode(result.bytes);
    if (text !== '"v1"' && text !== '"Unknown"') {
      throw new Error(
        `cannot create ProtocolVersion object from [${result.bytes.join(", ")}]: expected "v1"`,
      );
    }
    return JSON.parse(text);
  }

  restore(): boolean {
    return this.#usable && this.#snapshot !== undefined && this.#snapshot.restore();
  }

  grownPages(): number {
    return this.#snapshot?.grownPages ?? 0;
  }
}

/** Makes waPC guests. */
export const wapc: Runtime = async (prepared, limitMs, host) => {
  const guest = new WapcGuest(host);
  guest.start(await host.link(prepared.module, guest.imports()), prepared.restorable, limitMs);
  return guest;
};
