/**
 * A module that `opa build` made, called through its ABI (`spec/evaluator.md §7.1`): documents go in as JSON, builtins that
 * are not part of the module are answered here, and the result comes out as JSON.
 *
 * Source: https://www.openpolicyagent.org/docs/latest/wasm/ (ABI 1.x).
 */
import { boundedText } from "../render/bounded_text.ts";
import { entryPointsText, readEntryPoints } from "../render/entry_points.ts";
import { GUARD } from "../render/instrument.ts";
import { jsonExcess } from "../render/json_size.ts";
import { parseRego, regoText } from "../render/rego_text.ts";
import { metered } from "../render/work.ts";
import { GUEST_LIMIT, type GuestLimit } from "../types/guest_limits.ts";
import { type GuestHost, InstantiationError } from "../types/guest.ts";
import type { PreparedModule } from "../types/module.ts";
import { BuiltinError, BuiltinHalt, type RegoBuiltin } from "../types/rego.ts";
import { GuestMemory, wholeMemory } from "./guest_memory.ts";
import { loadBuiltins } from "./rego_builtins.ts";
import { RegoEvaluation } from "./rego_evaluation.ts";
import { filledPages, Seal } from "./seal.ts";
import { Snapshot } from "./snapshot.ts";

const PAGE = 65536;
const encoder = new TextEncoder();
const decoder = new TextDecoder();
/** Characters of what an error repeats of the policy's words. */
const MAX_REASON = 1000;
const INTERRUPTED = "guest code interrupted, execution deadline exceeded";

/** Functions of a module that every policy exports, and two that old ones lack. */
interface RegoExports {
  readonly builtins: () => number;
  readonly entrypoints: () => number;
  readonly opa_malloc: (length: number) => number;
  readonly opa_json_parse: (at: number, length: number) => number;
  readonly opa_json_dump: (value: number) => number;
  readonly opa_value_parse?: (at: number, length: number) => number;
  readonly opa_value_dump?: (value: number) => number;
  readonly opa_eval_ctx_new: () => number;
  readonly opa_eval_ctx_set_input: (context: number, value: number) => void;
  readonly opa_eval_ctx_set_data: (context: number, value: number) => void;
  readonly opa_eval_ctx_set_entrypoint: (context: number, id: number) => void;
  readonly opa_eval_ctx_get_result: (context: number) => number;
  readonly eval: (context: number) => number;
}

const REQUIRED = [
  ...["builtins", "entrypoints", "opa_malloc", "opa_json_parse", "opa_json_dump", "opa_eval_ctx_new"],
  ...["opa_eval_ctx_set_input", "opa_eval_ctx_set_data", "opa_eval_ctx_set_entrypoint"],
  ...["opa_eval_ctx_get_result", "eval"],
] as const;

/** How an evaluation ended: JSON bytes, or the text of what went wrong. */
export type RegoResult =
  | { readonly kind: "result"; readonly json: Uint8Array }
  | { readonly kind: "failed"; readonly error: string }
  | { readonly kind: "interrupted" };

/** The pieces of a JSON document that policies see as `data`. */
export interface RegoData {
  readonly pieces: readonly Uint8Array[];
  /** Another number for each content that the policy may be given; undefined: it isn't kept. */
  readonly version: number | undefined;
}

/** A document that was read into the guest, and the guest as it was right after. */
type HeldData = {
  readonly version: number;
  readonly value: number;
  readonly snapshot: Snapshot;
  /** Of the pages that reading has filled; undefined where it filled none. */
  readonly seal: Seal | undefined;
  /** Bytes that the snapshot takes at most. */
  readonly bytes: number;
};

/** To read a memory of this size takes long enough that nothing should wait behind it. */
const LARGE = 8 << 20;

/**
 * An instance that is kept and put back after every evaluation: to its first state, or to where it had read its data, for as long as these
 * don't change. Neither has seen a request.
 */
export class RegoModule {
  readonly #host: GuestHost;
  readonly #imported: WebAssembly.Memory;
  #instance!: WebAssembly.Instance;
  #memory!: GuestMemory;
  #exports!: RegoExports;
  #snapshot: Snapshot | undefined;
  #held: HeldData | undefined;
  readonly #prepared: PreparedModule;
  #builtins = new Map<number, { readonly name: string; readonly run: RegoBuiltin }>();
  #entrypoints = "";
  #evaluation: RegoEvaluation | undefined;
  /** What ended the evaluation from within a builtin; remembered, because guests can catch what is thrown through them. */
  #halted: Error | undefined;
  #usable = true;

  private constructor(host: GuestHost, prepared: PreparedModule, memory: WebAssembly.Memory) {
    this.#host = host;
    this.#prepared = prepared;
    this.#imported = memory;
  }

  /** Makes an instance, for `limitMs` at most. Throws {@link InstantiationError}. */
  static async instantiate(prepared: PreparedModule, limitMs: number, host: GuestHost): Promise<RegoModule> {
    if (!prepared.importedMemory) {
      throw new InstantiationError(
        "cannot allocate Rego evaluator: the module imports no memory, so `opa build` did not make it",
      );
    }
    const { min, max } = prepared.importedMemory;
    const memory = new WebAssembly.Memory({ initial: min, maximum: max });
    const module = new RegoModule(host, prepared, memory);
    const instance = await host.link(prepared.module, { env: module.#imports() });
    (instance.exports[GUARD.pages] as WebAssembly.Global).value = min;
    module.#instance = instance;
    module.#memory = new GuestMemory(memory, instance);
    await module.#useBuiltins(module.#start(instance, limitMs));
    if (prepared.restorable) module.#snapshot = new Snapshot(instance, prepared.mode, prepared.room);
    return module;
  }

  #imports(): WebAssembly.ModuleImports {
    const call = (id: number, _context: number, ...operands: number[]) => this.#call(id, operands);
    return {
      memory: this.#imported,
      opa_abort: (at: number) => {
        this.#host.log({
          level: "error",
          message: `Rego evaluation aborted: ${this.#message(at)}`,
          data: undefined,
          rego: "abort",
        });
      },
      opa_println: (at: number) => {
        const message = this.#message(at);
        this.#evaluation?.print(message);
      },
      opa_builtin0: call,
      opa_builtin1: call,
      opa_builtin2: call,
      opa_builtin3: call,
      opa_builtin4: call,
    };
  }

  /** Runs what has to run first. Returns the numbers of the builtins that the module asks for. */
  #start(instance: WebAssembly.Instance, limitMs: number): Readonly<Record<string, number>> {
    const { exports } = instance;
    const missing = REQUIRED.filter((name) => typeof exports[name] !== "function");
    if (missing.length > 0) {
      throw new InstantiationError(
        `cannot allocate Rego evaluator: the module does not export ${missing.join(", ")}`,
      );
    }
    this.#exports = exports as unknown as RegoExports;
    const start = exports[GUARD.start];
    if (typeof start === "function") this.#step(limitMs, () => void start());
    const builtins = this.#step(limitMs, () => this.#list(this.#exports.builtins()));
    this.#entrypoints = this.#step(limitMs, () => this.#list(this.#exports.entrypoints()));
    return this.#names(builtins);
  }

  async #useBuiltins(numbers: Readonly<Record<string, number>>): Promise<void> {
    const names = Object.keys(numbers);
    const implementations = await loadBuiltins(names);
    const unknown = names.filter((name) => !Object.hasOwn(implementations, name)).sort();
    if (unknown.length > 0) {
      const reason = `Missing Rego builtins: ${boundedText(unknown.join(", "), MAX_REASON)}`;
      throw new InstantiationError(
        `cannot allocate Rego evaluator: cannot build Rego engine: ${reason}`,
      );
    }
    for (const [name, id] of Object.entries(numbers)) {
      this.#builtins.set(id, { name, run: implementations[name]! });
    }
  }

  #names(json: string): Readonly<Record<string, number>> {
    try {
      if (jsonExcess(encoder.encode(json)) !== undefined) throw new Error("too large");
      const names = JSON.parse(json);
      if (typeof names === "object" && names !== null && Object.values(names).every(Number.isInteger)) {
        return names;
      }
    } catch {
      // Told below.
    }
    throw new InstantiationError(
      "cannot allocate Rego evaluator: the module's list of builtins can't be read",
    );
  }

  /** One step of the instantiation, which has a limit of its own. */
  #step<T>(limitMs: number, run: () => T): T {
    this.#host.arm(limitMs);
    try {
      return run();
    } catch (error) {
      const reason = this.#host.expired() ? INTERRUPTED : this.#host.trap(error);
      throw new InstantiationError(`cannot allocate Rego evaluator: ${reason}`);
    }
  }

  #text(at: number, limit: GuestLimit): string {
    return decoder.decode(this.#memory.terminated(at, limit));
  }

  /** What the policy says to its operator; cut where it is too long. */
  #message(at: number): string {
    return boundedText(this.#text(at, GUEST_LIMIT.printed), GUEST_LIMIT.logMessage.max);
  }

  #list(value: number): string {
    return this.#text(this.#exports.opa_json_dump(value), GUEST_LIMIT.list);
  }

  /** Copies bytes into the guest. */
  #push(...parts: readonly Uint8Array[]): readonly [at: number, length: number] {
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    const start = this.#exports.opa_malloc(length);
    this.#memory.write(start, parts, GUEST_LIMIT.given);
    return [start, length];
  }

  /** Answers a builtin: 0 makes the expression undefined, as OPA does unless told to be strict. */
  #call(id: number, operands: readonly number[]): number {
    const builtin = this.#builtins.get(id);
    const evaluation = this.#evaluation;
    if (!builtin || !evaluation) throw this.#halted = new BuiltinHalt(`no builtin has the number ${id}`);
    const { opa_value_dump: dump = this.#exports.opa_json_dump, opa_value_parse: parse } = this.#exports;
    let answer: Uint8Array | undefined;
    try {
      const { context } = evaluation;
      const values = operands.map((operand) => {
        const text = this.#text(dump(operand), GUEST_LIMIT.operand);
        return metered(context.check, () => parseRego(text));
      });
      const result = builtin.run(values, context);
      if (result !== undefined) answer = encoder.encode(metered(context.check, () => regoText(result)));
      context.check();
    } catch (error) {
      if (error instanceof BuiltinError) {
        evaluation.builtinFailed(builtin.name, error.message);
        return 0;
      }
      // A stack or string that grew too large is a limit too.
      const reason = error instanceof Error ? error.message : String(error);
      throw this.#halted = new BuiltinHalt(
        `Builtin error ["${builtin.name}"]: ${JSON.stringify(boundedText(reason, MAX_REASON))}`,
      );
    }
    if (answer === undefined) return 0;
    const [at, length] = this.#push(answer);
    return (parse ?? this.#exports.opa_json_parse)(at, length);
  }

  #rethrow(): void {
    if (this.#halted) throw this.#halted;
  }

  #haltReason(): string | undefined {
    return this.#halted?.message;
  }

  /** Which entry points the module has, for errors of answers that aren't what a policy's are. */
  entryPoints(): string {
    return entryPointsText(readEntryPoints(this.#entrypoints));
  }

  /** Whether data of this version may come next: not where others are held that can't be taken back. */
  accepts(version: number | undefined): boolean {
    if (this.#held === undefined || this.#held.version === version) return true;
    this.#held = undefined;
    return this.#snapshot !== undefined && this.#snapshot.restore();
  }

  /** Bytes that held data take besides the guest's memory. */
  heldBytes(): number {
    return this.#held?.bytes ?? 0;
  }

  /**
   * Reads the data, or finds them read. They are held where there is room for them, unless for a long request, whose instance is one more.
   * No evaluation runs meanwhile, so that no builtin's answer is held. Returns the guest's value; 0: they can't be read.
   */
  #load({ pieces, version }: RegoData): number {
    if (this.#held !== undefined) {
      if (this.#held.version !== version) throw new Error("the guest holds other data");
      return this.#held.value;
    }
    const pages = this.#instance.exports[GUARD.pages] as WebAssembly.Global;
    const filledFrom = Number(pages.value) * PAGE;
    const value = this.#exports.opa_json_parse(...this.#push(...pieces));
    this.#rethrow();
    if (value !== 0 && version !== undefined && this.#snapshot !== undefined && !this.#prepared.room) {
      this.#held = this.#hold(version, value, filledFrom);
    }
    return value;
  }

  #hold(version: number, value: number, filledFrom: number): HeldData | undefined {
    const read = wholeMemory(this.#imported);
    if (read.length > LARGE) this.#host.longWork();
    const filled = filledPages(read, filledFrom);
    const bytes = read.length - (filled ? filled.end - filled.start : 0);
    if (!this.#host.mayHold(read.length + bytes)) return undefined;
    const snapshot = new Snapshot(this.#instance, this.#prepared.mode, 0, filled);
    // The snapshot has made the memory larger, which gives it another buffer.
    const seal = filled && new Seal(wholeMemory(this.#imported), filled);
    return { version, value, snapshot, seal, bytes };
  }

  #run(dataValue: number, input: readonly Uint8Array[]): RegoResult {
    const guest = this.#exports;
    const inputValue = dataValue && guest.opa_json_parse(...this.#push(...input));
    if (inputValue === 0) return { kind: "failed", error: "Rego wasm error: Failed to load json in memory" };
    const evaluation = guest.opa_eval_ctx_new();
    guest.opa_eval_ctx_set_input(evaluation, inputValue);
    guest.opa_eval_ctx_set_data(evaluation, dataValue);
    guest.opa_eval_ctx_set_entrypoint(evaluation, 0);
    const status = guest.eval(evaluation);
    this.#rethrow();
    if (status !== 0) return { kind: "failed", error: `wasm engine error: opa_eval returned ${status}` };
    const result = this.#memory.terminated(
      guest.opa_json_dump(guest.opa_eval_ctx_get_result(evaluation)),
      GUEST_LIMIT.response,
    );
    this.#usable = true;
    return { kind: "result", json: result };
  }

  /** Evaluates entry point 0 in the armed call; {@link accepts} must be true of the data. `input` is the pieces of a JSON document. */
  evaluate(data: RegoData, input: readonly Uint8Array[]): RegoResult {
    if (!/[:]0[,}]/.test(this.#entrypoints)) {
      const error = `Rego wasm error: Cannot find the specified entrypoint 0 inside of ${
        boundedText(this.#entrypoints, MAX_REASON)
      }`;
      return { kind: "failed", error: `${error}; ${this.entryPoints()}` };
    }
    this.#halted = undefined;
    // Until the end is known to be good.
    this.#usable = false;
    try {
      const dataValue = this.#load(data);
      this.#evaluation = new RegoEvaluation(
        this.#host.left(),
        (entry) => this.#host.log(entry),
        (call) => this.#host.call(call),
        () => this.#host.turn(),
      );
      return this.#run(dataValue, input);
    } catch (error) {
      if (this.#host.expired() || this.#evaluation?.timeIsUp) return { kind: "interrupted" };
      // Builtins that ran out of stack halt the evaluation; that, too, is for the host to know.
      const trapped = this.#host.trap(error);
      const reason = this.#haltReason() ?? trapped;
      return { kind: "failed", error: `wasm engine error: error invoking opa_eval function: ${reason}` };
    } finally {
      this.#evaluation?.end();
      this.#evaluation = undefined;
    }
  }

  /** Puts the instance back to where it was before its first evaluation, or had read its data. False when it must be dropped. */
  restore(): boolean {
    if (!this.#usable) return false;
    if (this.#held === undefined) return this.#snapshot !== undefined && this.#snapshot.restore();
    const { seal, snapshot } = this.#held;
    return (seal === undefined || seal.holds()) && snapshot.restore();
  }
}
