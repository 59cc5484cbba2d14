/**
 * Import sections: names that every JavaScript object answers to, real ones doubled, misspelt, of the wrong kind or type. A module
 * is refused or linked with functions of the host; nothing else may ever be reached, and its start function must do no harm.
 *
 * The input is a list of imports, a line each: `mode` first, then `module name kind signature`, names as JSON.
 */
import { InlineEvaluator } from "../../../evaluator/apply/inline.ts";
import { ModuleError, prepareModule } from "../../../evaluator/apply/prepare.ts";
import { Writer } from "../../../evaluator/render/wasm_binary.ts";
import type { ExecutionMode } from "../../../evaluator/types/metadata.ts";
import { HOSTILE_WORDS } from "../mutate.ts";
import type { Random } from "../random.ts";
import { Finding, type Target } from "../target.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

const MODES: readonly ExecutionMode[] = ["kubewarden-wapc", "wasi", "opa", "gatekeeper", "extism"];
const INHERITED = [
  Object.prototype,
  Function.prototype,
  Array.prototype,
  Promise.prototype,
  Map.prototype,
  WebAssembly,
]
  .flatMap((object) => Object.getOwnPropertyNames(object));
const GLOBALS = Object.getOwnPropertyNames(globalThis);
const NAMESPACES = [
  "wapc",
  "wasi_snapshot_preview1",
  "wasi_unstable",
  "env",
  "extism:host/env",
  "extism:host/user",
  "host",
];
/** The namespaces that each mode's host serves. */
const SERVED: Readonly<Record<ExecutionMode, readonly string[]>> = {
  "kubewarden-wapc": ["wapc", "wasi_snapshot_preview1", "wasi_unstable"],
  wasi: ["host", "wasi_snapshot_preview1", "wasi_unstable"],
  opa: ["env"],
  gatekeeper: ["env"],
  extism: ["env", "extism:host/env", "extism:host/user", "wasi_snapshot_preview1", "wasi_unstable"],
};
const REAL = [
  "__guest_request",
  "__guest_response",
  "__guest_error",
  "__host_call",
  "__host_response",
  "__host_response_len",
  "__host_error",
  "__host_error_len",
  "__console_log",
  "fd_write",
  "fd_read",
  "proc_exit",
  "random_get",
  "clock_time_get",
  "environ_get",
  "environ_sizes_get",
  "args_get",
  "poll_oneoff",
  "sched_yield",
  "opa_abort",
  "opa_println",
  "opa_builtin0",
  "opa_builtin1",
  "opa_builtin4",
  "memory",
  "alloc",
  "free",
  "length",
  "load_u8",
  "store_u64",
  "input_length",
  "output_set",
  "error_set",
  "config_get",
  "var_get",
  "http_request",
  "log_info",
  "host_call",
  "call",
  "abort",
];
const KINDS = ["f", "t", "m", "g", "e"];
const SIGNATURES = [
  "",
  "i",
  "ii",
  "iiii:i",
  "iiiiiiii:i",
  ":i",
  "I:I",
  "i:I",
  "II",
  "r:r",
  "rr",
  ":r",
  "x:x",
  "iii:i",
  "iIi:i",
];

function name(random: Random): string {
  switch (random.below(6)) {
    case 0:
      return random.pick(INHERITED);
    case 1:
      return random.pick(GLOBALS);
    case 2:
      return random.pick(HOSTILE_WORDS);
    case 3:
      return random.pick(NAMESPACES);
    default:
      return random.pick(REAL);
  }
}

function generate(random: Random): Uint8Array {
  const lines = [random.pick(MODES) as string];
  for (let left = 1 + random.below(random.oneIn(10) ? 40 : 4); left > 0; left--) {
    const module = random.oneIn(3) ? name(random) : random.pick(NAMESPACES);
    const kind = random.oneIn(4) ? random.pick(KINDS) : "f";
    lines.push(
      `${JSON.stringify(module)} ${JSON.stringify(name(random))} ${kind} ${random.pick(SIGNATURES)}`,
    );
  }
  return encoder.encode(lines.join("\n"));
}

const TYPES: Readonly<Record<string, number>> = { i: 0x7f, I: 0x7e, f: 0x7d, F: 0x7c, x: 0x7b, r: 0x6f };

/** A module that imports these and calls the functions in its start function, each with zeros. */
function moduleOf(lines: readonly string[]): Uint8Array {
  const types = new Writer(),
    imports = new Writer(),
    body = new Writer(),
    exports = new Writer(),
    out = new Writer();
  types.u32(lines.length + 1);
  let functions = 0;
  imports.u32(lines.length);
  const calls: (readonly [number, readonly string[], number])[] = [];
  lines.forEach((line, index) => {
    const found = /^("(?:[^"\\]|\\.)*") ("(?:[^"\\]|\\.)*") (\w) ?(.*)$/s.exec(line);
    const [module, name, kind, signature] = found
      ? [JSON.parse(found[1]!) as string, JSON.parse(found[2]!) as string, found[3]!, found[4]!]
      : ["wapc", line, "f", ""];
    const [given = "", results = ""] = signature.split(":");
    const known = (letters: string) => [...letters].filter((letter) => letter in TYPES);
    types.u8(0x60);
    types.u32(known(given).length);
    for (const letter of known(given)) types.u8(TYPES[letter]!);
    types.u32(known(results).length);
    for (const letter of known(results)) types.u8(TYPES[letter]!);
    imports.name(module);
    imports.name(name);
    if (kind === "t") imports.raw(1, 0x70, 0, 1);
    else if (kind === "m") imports.raw(2, 0, 1);
    else if (kind === "g") imports.raw(3, 0x7f, 0);
    else if (kind === "e") {
      imports.raw(4, 0);
      imports.u32(index);
    } else {
      imports.u8(0);
      imports.u32(index);
      calls.push([functions++, known(given), known(results).length]);
    }
  });
  types.raw(0x60, 0, 0);
  for (const [index, parameters, results] of calls) {
    for (const letter of parameters) {
      if (letter === "i") body.raw(0x41, 0);
      else if (letter === "I") body.raw(0x42, 0);
      else if (letter === "f") body.raw(0x43, 0, 0, 0, 0);
      else if (letter === "F") body.raw(0x44, 0, 0, 0, 0, 0, 0, 0, 0);
      else if (letter === "x") body.raw(0xfd, 12, ...new Array<number>(16).fill(0));
      else body.raw(0xd0, 0x6f);
    }
    body.u8(0x10);
    body.u32(index);
    for (let left = results; left > 0; left--) body.u8(0x1a);
  }
  body.u8(0x0b);
  const code = new Writer();
  code.u32(2);
  code.u32(body.length + 1);
  code.u8(0);
  code.append(body);
  code.raw(2, 0, 0x0b);
  const names = ["_start", "__guest_call", "validate", "memory"];
  const ownMemory = !lines.some((line) => / m ?/.test(line));
  exports.u32(ownMemory ? 4 : 3);
  names.forEach((exported, index) => {
    if (exported === "memory" && !ownMemory) return;
    exports.name(exported);
    exports.u8(exported === "memory" ? 2 : 0);
    exports.u32(exported === "memory" ? 0 : index === 0 ? functions : functions + 1);
  });
  out.raw(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
  out.section(1, types);
  out.section(2, imports);
  const list = new Writer();
  list.u32(2);
  list.u32(lines.length);
  list.u32(lines.length);
  out.section(3, list);
  if (ownMemory) {
    const memory = new Writer();
    memory.raw(1, 0, 1);
    out.section(5, memory);
  }
  out.section(7, exports);
  out.section(10, code);
  return out.view().slice();
}

const evaluator = new InlineEvaluator();
const SETTINGS = encoder.encode("{}");
const REQUEST = encoder.encode('{"uid":"u"}');

/** What a foreign function would give or do: a global that a guest reached. */
const globalNames = () => Object.getOwnPropertyNames(globalThis).length;

export const target: Target = {
  name: "imports",
  seeds: () =>
    MODES.flatMap((mode) =>
      INHERITED.slice(0, 30).map((name) =>
        encoder.encode(`${mode}\n${JSON.stringify(name)} ${JSON.stringify(name)} f r:r`)
      )
    ),
  generate,
  expected: [ModuleError, WebAssembly.LinkError],
  limitMs: 400,
  run: async (input) => {
    const [mode = "", ...lines] = decoder.decode(input).split("\n");
    if (!MODES.includes(mode as ExecutionMode)) return;
    const before = globalNames();
    const prepared = await prepareModule(moduleOf(lines), { memoryMib: 16 }, mode as ExecutionMode);
    const module = evaluator.addModule(prepared);
    const policy = evaluator.addPolicy(
      { id: "p", module, settings: SETTINGS, limitMs: 50 },
      () => ({ ok: false, error: "no" }),
    );
    try {
      const outcome = await evaluator.validate(policy, {
        pieces: [REQUEST],
        length: REQUEST.length,
        object: undefined,
      } as never);
      if (outcome.kind === "error") {
        if (Buffer.byteLength(outcome.message) > 4096) {
          throw new Finding("long error", "the outcome's error is too long");
        }
        // An import that the host gives no function for never gets as far as to be called.
        if (
          /is not a (function|constructor)|Cannot convert|Class constructor|Illegal/i.test(outcome.message)
        ) {
          throw new Finding("difference", `a guest called a foreign function in ${mode}`);
        }
        throw new ModuleError(outcome.message);
      }
    } finally {
      evaluator.remove([policy], [module]);
    }
    // A policy whose every import is served: all of them must be names of the host's.
    for (const line of lines) {
      const found = /^("(?:[^"\\]|\\.)*") ("(?:[^"\\]|\\.)*")/s.exec(line);
      if (!found) continue;
      const [namespace, imported] = [JSON.parse(found[1]!) as string, JSON.parse(found[2]!) as string];
      // `host.call` is an import of WASI policies, and what functions inherit.
      const inherited = INHERITED.includes(imported) && !(namespace === "host" && imported === "call");
      if (!SERVED[mode as ExecutionMode].includes(namespace) || inherited) {
        throw new Finding("difference", `an import that no host provides was served in ${mode}`);
      }
    }
    if (globalNames() !== before) throw new Finding("pollution", "the global object has new members");
  },
};
