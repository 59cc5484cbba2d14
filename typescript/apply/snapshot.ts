/**
 * Runs a policy's bundle once in QuickJS and takes its memory. The module that is made of it (`render/policy_module.ts`) begins where
 * this ended: nothing is started or compiled when it is called.
 *
 * The clock stands at 0 and chance always says the same, so that the same bundle gives the same bytes.
 */
import { readFile } from "node:fs/promises";
import { brotliDecompressSync } from "node:zlib";
import { Deadline } from "../../evaluator/apply/deadline.ts";
import { customSections } from "../../evaluator/render/custom_section.ts";
import { GUARD, instrument } from "../../evaluator/render/instrument.ts";
import { clearFreeMemory, clearTexts } from "../render/free_memory.ts";
import { policyModule } from "../render/policy_module.ts";
import { authorStack, type LineMap } from "../render/stack.ts";
import { PolicyBuildError } from "../types/build_error.ts";
import { ENGINE_SECTION, type EngineFacts, STACK_END } from "../types/engine.ts";
import { engineUrl } from "./own_files.ts";

/** Where the engine's shim reads its state, see `package/policy_engine/shim.wat`. */
const CONTEXT_AT = 16, FUNCTION_AT = 24, FREE_PAGE = 1024;
const PAGE = 65_536;

/** Deeper recursion is a RangeError; a stack of twice this size ends in a trap of some WebAssembly engines. */
const MAX_STACK = 128 * 1024;
/** What a policy may allocate; more is an error that names memory, where the host's limit would be a trap. */
const MAX_HEAP = 64 * 1024 * 1024;
/** What the engine may have while a policy is built: the heap, and what is around it. */
const MAX_PAGES = 128 * 1024 * 1024 / PAGE;
/** A policy that computes for longer before it is asked anything never ends. */
const LIMIT_MS = 10_000;
/** Cycles are collected when so much was allocated. Hosts take all memory back after each request anyway. */
const GC_THRESHOLD = 8 * 1024 * 1024;

/** Which of JavaScript's parts there are (`qjs_init2`): no WeakRef, no performance, which mean nothing where all ends with the request. */
const INTRINSICS = {
  date: 1 << 0,
  eval: 1 << 1,
  regexp: 1 << 2,
  json: 1 << 3,
  proxy: 1 << 4,
  mapSet: 1 << 5,
  typedArrays: 1 << 6,
  promise: 1 << 7,
  bigInt: 1 << 8,
} as const;

const EVAL_COMPILE_ONLY = 1 << 5;
const WRITE_BYTECODE = 1 << 0, WRITE_STRIP_SOURCE = 1 << 4, READ_BYTECODE = 1 << 0;
/** The upper half of the value that says that an exception was thrown. */
const EXCEPTION = 6n;

interface EngineExports {
  readonly memory: WebAssembly.Memory;
  readonly _initialize: () => void;
  readonly qjs_init2: (intrinsics: number) => number;
  readonly qjs_get_context_ptr: () => number;
  readonly qjs_get_runtime_ptr: () => number;
  readonly qjs_new_host_function: (name: number, length: number, parameters: number) => number;
  readonly malloc: (length: number) => number;
  readonly free: (at: number) => void;
  readonly JS_Eval: (context: number, code: number, length: number, file: number, flags: number) => bigint;
  readonly JS_EvalFunction: (context: number, compiled: bigint) => bigint;
  readonly JS_WriteObject: (context: number, length: number, value: bigint, flags: number) => number;
  readonly JS_ReadObject: (context: number, at: number, length: number, flags: number) => bigint;
  readonly JS_GetGlobalObject: (context: number) => bigint;
  readonly JS_SetPropertyStr: (context: number, object: bigint, name: number, value: bigint) => number;
  readonly JS_DupValue: (context: number, value: bigint) => bigint;
  readonly JS_FreeValue: (context: number, value: bigint) => void;
  readonly JS_GetException: (context: number) => bigint;
  readonly JS_ToCStringLen2: (context: number, length: number, value: bigint, cesu8: number) => number;
  readonly JS_FreeCString: (context: number, at: number) => void;
  readonly JS_SetMaxStackSize: (runtime: number, bytes: number) => void;
  readonly JS_SetMemoryLimit: (runtime: number, bytes: number) => void;
  readonly JS_SetGCThreshold: (runtime: number, bytes: number) => void;
  readonly JS_RunGC: (runtime: number) => void;
  /** The number of pages that the engine believes it has. */
  readonly [GUARD.pages]: WebAssembly.Global;
}

/** What is built: the bundle as one script whose value is the function that the shim calls. */
export interface Bundle {
  readonly code: string;
  readonly map: LineMap;
}

/** Compiled once for a process, which may build a policy again and again (`--watch`). */
let engineFile: Promise<
  { readonly bytes: Uint8Array; readonly module: WebAssembly.Module; readonly facts: EngineFacts }
>;

const engine = () =>
  engineFile ??= (async () => {
    const url = engineUrl();
    const file = await readFile(url);
    const bytes = new Uint8Array(url.pathname.endsWith(".br") ? brotliDecompressSync(file) : file);
    const [section] = customSections(bytes, ENGINE_SECTION);
    const facts = JSON.parse(new TextDecoder().decode(section)) as EngineFacts;
    const instrumented = instrument(bytes, { maxPages: MAX_PAGES }).bytes;
    return { bytes, module: await WebAssembly.compile(instrumented as BufferSource), facts };
  })();

/** What the policy must not do while it is built. */
class ForbiddenCall extends Error {}

const failed = (value: bigint) => BigInt.asUintN(64, value) >> 32n === EXCEPTION;

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** The message of a log entry; the whole entry where its author's code has made something else of it. */
function messageOf(entry: string): string {
  try {
    return String(JSON.parse(entry).message);
  } catch {
    return entry;
  }
}

/** What the engine asks of its host while a policy is built: nothing, but to write down what the policy logs. */
function hostOf(memory: () => ArrayBuffer, log: (line: string) => void): WebAssembly.Imports {
  const text = (at: number, length: number) => decoder.decode(new Uint8Array(memory(), at, length));
  const nothing = () => 0;
  const hostCall = (
    _binding: number,
    _bindingLength: number,
    namespaceAt: number,
    namespaceLength: number,
    operationAt: number,
    operationLength: number,
    at: number,
    length: number,
  ) => {
    const namespace = text(namespaceAt, namespaceLength);
    if (namespace !== "tracing") {
      const call = `${namespace}/${text(operationAt, operationLength)}`;
      throw new ForbiddenCall(
        `${call} is asked of the host while the policy is built: ask inside of validate`,
      );
    }
    log(messageOf(text(at, length)));
    return 1;
  };
  return {
    wapc: {
      __guest_request: nothing,
      __guest_response: nothing,
      __guest_error: nothing,
      __host_call: hostCall,
      __host_response_len: nothing,
      __host_response: nothing,
      __host_error_len: nothing,
      __host_error: nothing,
    },
    wasi_snapshot_preview1: {
      clock_time_get: (_clock: number, _precision: bigint, at: number) => {
        new DataView(memory()).setBigUint64(at, 0n, true);
        return 0;
      },
      random_get: (at: number, length: number) => {
        new Uint8Array(memory(), at, length).fill(0x5a);
        return 0;
      },
      fd_write: nothing,
      fd_seek: nothing,
      fd_close: nothing,
      fd_fdstat_get: nothing,
    },
  };
}

/** QuickJS while a policy is built. */
class Building {
  readonly #exports: EngineExports;
  readonly #context: number;
  /** Where the first chunk of the heap begins. */
  readonly #heap: number;

  constructor(module: WebAssembly.Module, deadline: Deadline, log: (line: string) => void) {
    const memory = () => this.#exports.memory.buffer;
    const instance = new WebAssembly.Instance(module, hostOf(memory, log));
    deadline.attach(instance);
    this.#exports = instance.exports as unknown as EngineExports;
    this.#exports._initialize();
    const { malloc, free } = this.#exports;
    const first = malloc(16);
    free(first);
    this.#heap = first - 8;
    const parts = Object.values(INTRINSICS).reduce((all, one) => all | one, 0);
    if (this.#exports.qjs_init2(parts) !== 0) throw new Error("QuickJS can't be started");
    this.#context = this.#exports.qjs_get_context_ptr();
    const runtime = this.#exports.qjs_get_runtime_ptr();
    this.#exports.JS_SetMaxStackSize(runtime, MAX_STACK);
    this.#exports.JS_SetMemoryLimit(runtime, MAX_HEAP);
    // The shim finds it in host calls.
    new DataView(memory()).setUint32(CONTEXT_AT, this.#context, true);
  }

  /** Calls `use` with the address of a text that ends with a zero, and its length in bytes. */
  #withText<T>(text: string, use: (at: number, length: number) => T): T {
    const bytes = encoder.encode(text);
    const at = this.#exports.malloc(bytes.length + 1);
    const memory = new Uint8Array(this.#exports.memory.buffer);
    memory.set(bytes, at);
    memory[at + bytes.length] = 0;
    try {
      return use(at, bytes.length);
    } finally {
      this.#exports.free(at);
    }
  }

  #textOf(value: bigint): string {
    const length = this.#exports.malloc(4);
    const at = this.#exports.JS_ToCStringLen2(this.#context, length, value, 0);
    const view = new DataView(this.#exports.memory.buffer);
    const text = at === 0
      ? "an error that has no text"
      : decoder.decode(new Uint8Array(view.buffer, at, view.getUint32(length, true)));
    this.#exports.JS_FreeCString(this.#context, at);
    this.#exports.free(length);
    return text;
  }

  #setGlobal(name: string, value: bigint): void {
    const global = this.#exports.JS_GetGlobalObject(this.#context);
    this.#withText(name, (at) => this.#exports.JS_SetPropertyStr(this.#context, global, at, value));
    this.#exports.JS_FreeValue(this.#context, global);
  }

  /** Makes a function of the engine's shim a global one. */
  define(name: string, served: "call" | "payload"): void {
    const { qjs_new_host_function: make, JS_DupValue: dup, memory } = this.#exports;
    const box = this.#withText(served, (at, length) => make(at, length, 0));
    this.#setGlobal(name, dup(this.#context, new DataView(memory.buffer).getBigInt64(box, true)));
  }

  /** Throws the pending exception as an error that shows the author's own lines. */
  #raise(map: LineMap): never {
    this.#setGlobal("__portreeveError", this.#exports.JS_GetException(this.#context));
    // An error is the author's as well: to ask for its text may throw.
    const described = this.#run(
      `(() => {
        const text = (of) => { try { return String(of()); } catch { return "an error that has no text"; } };
        return JSON.stringify([text(() => __portreeveError), text(() => __portreeveError?.stack ?? "")]);
      })()`,
      "error.js",
    );
    const [message, stack] = JSON.parse(this.#textOf(described)) as [string, string];
    throw new PolicyBuildError([message, ...authorStack(stack, map).map((line) => `    ${line}`)].join("\n"));
  }

  #run(code: string, file: string): bigint {
    return this.#withText(
      code,
      (at, length) =>
        this.#withText(file, (name) => this.#exports.JS_Eval(this.#context, at, length, name, 0)),
    );
  }

  /** What the policy's script is compiled to, without its text. */
  compile({ code, map }: Bundle): Uint8Array {
    const { JS_Eval: compile, JS_WriteObject: write, malloc, memory } = this.#exports;
    const compiled = this.#withText(
      code,
      (at, length) =>
        this.#withText("policy.js", (name) => compile(this.#context, at, length, name, EVAL_COMPILE_ONLY)),
    );
    if (failed(compiled)) this.#raise(map);
    const lengthAt = malloc(4);
    const at = write(this.#context, lengthAt, compiled, WRITE_BYTECODE | WRITE_STRIP_SOURCE);
    if (at === 0) this.#raise(map);
    return new Uint8Array(memory.buffer, at, new DataView(memory.buffer).getUint32(lengthAt, true)).slice();
  }

  /** Runs what was compiled. Its value is the function that is called. */
  evaluate(compiled: Uint8Array, map: LineMap): bigint {
    const { JS_EvalFunction: run, JS_ReadObject: read, malloc, free } = this.#exports;
    this.#run(`globalThis.__portreeveMap = JSON.parse(${JSON.stringify(JSON.stringify(map))})`, "map.js");
    const at = malloc(compiled.length);
    new Uint8Array(this.#exports.memory.buffer).set(compiled, at);
    const script = read(this.#context, at, compiled.length, READ_BYTECODE);
    free(at);
    if (failed(script)) this.#raise(map);
    const value = run(this.#context, script);
    if (failed(value)) this.#raise(map);
    return value;
  }

  /** The memory as a policy finds it. `called` is the function that it calls. */
  snapshot(called: bigint, { compilerField, unusedTexts }: EngineFacts): Uint8Array {
    const runtime = this.#exports.qjs_get_runtime_ptr();
    this.#exports.JS_RunGC(runtime);
    this.#exports.JS_SetGCThreshold(runtime, GC_THRESHOLD);
    const pages = Number(this.#exports[GUARD.pages].value);
    const memory = new Uint8Array(this.#exports.memory.buffer.slice(0, pages * PAGE));
    memory.fill(0, FREE_PAGE, STACK_END);
    clearFreeMemory(memory, this.#heap);
    clearTexts(memory, unusedTexts);
    const view = new DataView(memory.buffer);
    view.setUint32(CONTEXT_AT, this.#context, true);
    view.setBigInt64(FUNCTION_AT, called, true);
    // Without a compiler `eval` and `new Function` throw, and what is compiled is all there is.
    view.setUint32(this.#context + compilerField, 0, true);
    return memory;
  }
}

/** The module of a policy. `log` gets what it logs while it is built. Throws {@link PolicyBuildError}. */
export async function snapshotModule(bundle: Bundle, log: (line: string) => void): Promise<Uint8Array> {
  const { bytes, module, facts } = await engine();
  const deadline = new Deadline();
  deadline.arm(LIMIT_MS);
  try {
    // Not where it runs: the compiler leaves a heap that is large and full of holes.
    const compiled = new Building(module, deadline, log).compile(bundle);
    const building = new Building(module, deadline, log);
    building.define("__portreeveCall", "call");
    building.define("__portreevePayload", "payload");
    const called = building.evaluate(compiled, bundle.map);
    return policyModule(bytes, facts, building.snapshot(called, facts));
  } catch (error) {
    if (deadline.expired) {
      throw new PolicyBuildError(
        `the policy did not come to its end within ${
          LIMIT_MS / 1000
        } s: what its modules do when they are loaded is done once, ` +
          "while it is built, and has to be short",
      );
    }
    if (error instanceof ForbiddenCall) throw new PolicyBuildError(error.message);
    if (error instanceof WebAssembly.RuntimeError) {
      throw new PolicyBuildError(`the policy crashed the engine while it was built: ${error.message}`);
    }
    throw error;
  }
}
