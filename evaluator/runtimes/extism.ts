/**
 * Execution mode `extism`: plug-ins built with an Extism plug-in development kit (`docs/extism_policies.md`). They export
 * `validate` and `validate_settings`, whose input and output are those of waPC policies (`spec/evaluator.md §3`), and may
 * export `protocol_version`. They get no configuration, no HTTP and no files; host calls go through one imported function.
 *
 * Extism's SDK creates the plug-in; its exports are called directly, because `Plugin.call` hides what an export returns and
 * keeps what a call leaves behind (`apply/extism_memory.ts`).
 */
import { joined } from "../../program/types/bytes.ts";
import { ExtismError, ExtismMemory } from "../apply/extism_memory.ts";
import { GuestMemory } from "../apply/guest_memory.ts";
import { GuestOutput } from "../apply/guest_output.ts";
import { Snapshot } from "../apply/snapshot.ts";
import { GuestExit, wasiImports } from "../apply/wasi.ts";
import { boundedText } from "../render/bounded_text.ts";
import { HostCallError, readHostCall, writeHostCallAnswer } from "../render/extism_call.ts";
import { GUARD } from "../render/instrument.ts";
import {
  ANSWER,
  type EvaluationRequest,
  type SettingsVerdict,
  TEXT,
  type Verdict,
} from "../types/evaluation.ts";
import { GUEST_LIMIT } from "../types/guest_limits.ts";
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

const lenient = new TextDecoder();
const PAGE = 65536;
const NOTHING = new Uint8Array(0);
/** The JSON of a host call: its names, its payload, and a little around them. */
const MAX_CALL = GUEST_LIMIT.payload.max + 4096;
const REQUIRED = ["validate", "validate_settings"] as const;

const WORDS: CallWords = {
  failed: (error) => `internal server error: Extism plug-in failure: ${error}`,
  badAnswer: "invalid response from policy",
  settingsFailed: (error) => `Extism plug-in failure: ${error}`,
  settingsInterrupted: TEXT.interrupted,
  badSettingsAnswer: "invalid response from policy",
};

function errorText(bytes: Uint8Array): string {
  const { max } = GUEST_LIMIT.error;
  const text = new TextDecoder().decode(bytes.subarray(0, max), { stream: bytes.length > max });
  return bytes.length > max ? `${text}… (${bytes.length - max} more bytes were dropped)` : text;
}

class ExtismGuest implements Guest {
  readonly #host: GuestHost;
  readonly #memory: ExtismMemory;
  readonly #output: GuestOutput;
  #instance!: WebAssembly.Instance;
  #exported: GuestMemory | undefined;
  #snapshot: Snapshot | undefined;
  #usable = true;

  constructor(maxBytes: number, host: GuestHost) {
    this.#host = host;
    this.#memory = new ExtismMemory(
      maxBytes,
      (level, message) => host.log({ level, message, data: undefined }),
    );
    this.#output = new GuestOutput((entry) => host.log(entry));
  }

  imports(): WebAssembly.Imports {
    const wasi = wasiImports({
      memory: () => this.#ownMemory(),
      args: () => [],
      stdin: () => 0,
      stdout: (bytes) => this.#output.write("stdout", bytes),
      stderr: (bytes) => this.#output.write("stderr", bytes),
      sleep: (milliseconds) => this.#host.sleep(milliseconds),
    });
    return {
      "extism:host/env": this.#memory.imports(),
      "extism:host/user": { host_call: (callAt: bigint) => this.#hostCall(callAt) },
      env: { abort: (...parameters: number[]) => this.#abort(parameters) },
      wasi_snapshot_preview1: wasi,
      wasi_unstable: wasi,
    };
  }

  #ownMemory(): GuestMemory {
    this.#exported ??= GuestMemory.exported(this.#instance);
    if (!this.#exported) throw new ExtismError("the plug-in exports no memory");
    return this.#exported;
  }

  #hostCall(callAt: bigint): bigint {
    const json = this.#memory.read(callAt, MAX_CALL);
    if (!json) throw new ExtismError(`host_call was given no block, at ${callAt}`);
    try {
      return this.#memory.store(writeHostCallAnswer(this.#host.call(readHostCall(json))));
    } catch (error) {
      if (!(error instanceof HostCallError)) throw error;
      const answer = { ok: false as const, error: `host_call: ${error.message}` };
      return this.#memory.store(writeHostCallAnswer(answer));
    }
  }

  /** AssemblyScript's runtime ends this way what it can't go on with. Its strings are UTF-16 behind their length in bytes. */
  #abort([messageAt = 0, fileAt = 0, line = 0, column = 0]: readonly number[]): never {
    const text = (at: number) => {
      if (at === 0) return "";
      const length = this.#ownMemory().uint((at >>> 0) - 4, 32, GUEST_LIMIT.structure);
      const { bytes } = this.#ownMemory().cut(at, length, GUEST_LIMIT.error);
      return new TextDecoder("utf-16le").decode(bytes);
    };
    throw new ExtismError(`abort: ${text(messageAt)} at ${text(fileAt)}:${line}:${column}`);
  }

  /** Takes the linked instance, runs its start functions and remembers its state. */
  start(instance: WebAssembly.Instance, prepared: PreparedModule, limitMs: number): void {
    this.#instance = instance;
    for (const name of REQUIRED) {
      if (typeof instance.exports[name] !== "function") {
        throw new InstantiationError(`the plug-in does not export the function ${name}`);
      }
    }
    // Reactors initialise themselves in `_initialize`; others export at most their constructors.
    const constructors = typeof instance.exports["_initialize"] === "function"
      ? "_initialize"
      : "__wasm_call_ctors";
    for (const name of [GUARD.start, constructors]) {
      if (typeof instance.exports[name] !== "function") continue;
      const result = this.#call(name, NOTHING, limitMs);
      if (result.kind === "interrupted") {
        throw new InstantiationError(
          `Initialization failed: ${name} init interrupted, execution deadline exceeded`,
          true,
        );
      }
      if (result.kind === "failed") throw new InstantiationError(`Initialization failed: ${result.error}`);
    }
    this.#usable = true;
    if (prepared.restorable) this.#snapshot = new Snapshot(instance, prepared.mode, prepared.room);
  }

  #call(name: string, input: Uint8Array, limitMs: number): CallResult {
    this.#host.arm(limitMs);
    try {
      this.#memory.begin(input);
      const status = (this.#instance.exports[name] as () => unknown)();
      if (this.#host.expired()) return { kind: "interrupted" };
      const { error, output } = this.#memory;
      if (error) return { kind: "failed", error: errorText(error) };
      if (typeof status === "number" && status !== 0) {
        return { kind: "failed", error: `${name} returned ${status} without an error` };
      }
      if (output && output.length > ANSWER.max) {
        return { kind: "failed", error: `an output of ${output.length} bytes; the limit is ${ANSWER.max}` };
      }
      return { kind: "answer", bytes: output ?? NOTHING };
    } catch (error) {
      this.#usable = false;
      if (this.#host.expired()) return { kind: "interrupted" };
      // TinyGo ends `_initialize` this way.
      if (error instanceof GuestExit && error.code === 0) return { kind: "answer", bytes: NOTHING };
      return { kind: "failed", error: error instanceof ExtismError ? error.message : this.#host.trap(error) };
    } finally {
      this.#memory.end();
      this.#output.end();
    }
  }

  validate(request: EvaluationRequest, policy: EvaluablePolicy): Verdict {
    const result = this.#call("validate", joined(validationPayload(request, policy)), policy.limitMs);
    return verdictFrom(result, request, this.#host, WORDS);
  }

  validateSettings(policy: EvaluablePolicy): SettingsVerdict {
    return settingsVerdictFrom(this.#call("validate_settings", policy.settings, policy.limitMs), WORDS);
  }

  /** `v1` also where the plug-in doesn't say: there is no other. */
  protocolVersion(limitMs: number): string {
    if (typeof this.#instance.exports["protocol_version"] !== "function") return "v1";
    const result = this.#call("protocol_version", NOTHING, limitMs);
    if (result.kind === "interrupted") throw new Error(`protocol_version: ${TEXT.interrupted}`);
    if (result.kind === "failed") throw new Error(`protocol_version: ${result.error}`);
    const text = lenient.decode(result.bytes).trim();
    if (text !== '"v1"') {
      throw new Error(`protocol_version: expected "v1", got ${boundedText(JSON.stringify(text), 100)}`);
    }
    return "v1";
  }

  restore(): boolean {
    return this.#usable && this.#snapshot !== undefined && this.#snapshot.restore();
  }
}

/** Makes Extism plug-ins. */
export const extism: Runtime = async (prepared: PreparedModule, limitMs, host) => {
  const guest = new ExtismGuest(prepared.maxPages * PAGE, host);
  guest.start(await host.link(prepared.module, guest.imports()), prepared, limitMs);
  return guest;
};
