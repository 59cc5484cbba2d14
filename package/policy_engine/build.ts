/**
 * Builds the engine of policies in TypeScript: QuickJS-NG (`quickjs.wasm` of the package quickjs-wasi) merged with `shim.wat`, which
 * makes it a waPC guest, and optimised. What `reeve build` makes of it holds a policy's snapshot instead of QuickJS's own data.
 *
 * usage: package/policy_engine/build.ts [--check-only]     (writes typescript/apply/engine.wasm and engine.sha256 beside this file)
 *
 * A custom section names the functions that only building needs (among them the compiler of JavaScript), by their indices: a
 * policy's module has empty ones in their places, so that all others keep their numbers.
 */
import "../../program/check_script.ts";
import binaryen from "binaryen";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { customSections, withCustomSection } from "../../evaluator/render/custom_section.ts";
import { ENGINE_SECTION, type EngineFacts, STACK_END } from "../../typescript/types/engine.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const ENGINE = join(root, "typescript/apply/engine.wasm");
const DIGEST = join(root, "package/policy_engine/engine.sha256");

/** What a policy's module exports. */
const GUEST = ["memory", "__guest_call"] as const;
/** What building needs besides. */
const BUILDER = [
  "_initialize",
  "qjs_init2",
  "qjs_get_context_ptr",
  "qjs_get_runtime_ptr",
  "qjs_new_host_function",
  "malloc",
  "free",
  "JS_Eval",
  "JS_EvalFunction",
  "JS_WriteObject",
  "JS_ReadObject",
  "JS_GetGlobalObject",
  "JS_SetPropertyStr",
  "JS_DupValue",
  "JS_FreeValue",
  "JS_GetException",
  "JS_ToCStringLen2",
  "JS_FreeCString",
  "JS_SetMaxStackSize",
  "JS_SetMemoryLimit",
  "JS_SetGCThreshold",
  "JS_RunGC",
  "JS_AddIntrinsicEval",
] as const;
/** What QuickJS is compiled with, and nothing newer, so that every engine of the field reads it. */
const FEATURES = [
  "--mvp-features",
  "--enable-bulk-memory",
  "--enable-bulk-memory-opt",
  "--enable-sign-ext",
  "--enable-nontrapping-float-to-int",
  "--enable-mutable-globals",
  "--enable-multivalue",
  "--enable-reference-types",
];

function tool(name: string, ...words: readonly string[]): void {
  const { status, stderr, error } = spawnSync(
    process.execPath,
    [join(root, "node_modules/.bin", name), ...(name === "asc" ? [] : FEATURES), ...words],
    { encoding: "utf8" },
  );
  if (error) throw error;
  if (status !== 0) throw new Error(`${name} failed: ${stderr}`);
}

/** `assembly/json.ts` as a module; its file. */
function jsonReader(folder: string): string {
  const file = (name: string) => join(folder, name);
  const source = join(root, "package/policy_engine/assembly/json.ts");
  const options = [
    "--optimizeLevel",
    "3",
    "--shrinkLevel",
    "2",
    "--runtime",
    "stub",
    "--importMemory",
    "--noExportMemory",
    "--noAssert",
    "--textFile",
    file("json.wat"),
  ];
  tool("asc", source, ...options);
  // Its compiler knows other names for where things are imported from.
  const text = readFileSync(file("json.wat"), "utf8").replaceAll(
    /\(import "(?:env|json)" /g,
    '(import "engine" ',
  );
  writeFileSync(file("json.wat"), text);
  tool("wasm-as", file("json.wat"), "-o", file("json.wasm"));
  return file("json.wasm");
}

/** Merged and optimised, with all that building needs. */
function merged(folder: string): Uint8Array {
  const file = (name: string) => join(folder, name);
  const exported = [...GUEST, ...BUILDER];
  writeFileSync(
    file("roots.json"),
    JSON.stringify([
      { name: "root", root: true, reaches: exported },
      ...exported.map((name) => ({ name, export: name })),
    ]),
  );
  tool("wasm-as", join(root, "package/policy_engine/shim.wat"), "-o", file("shim.wasm"));
  const quickjs = join(root, "node_modules/quickjs-wasi/quickjs.wasm");
  tool(
    "wasm-merge",
    quickjs,
    "engine",
    file("shim.wasm"),
    "env",
    jsonReader(folder),
    "json",
    "-o",
    file("merged.wasm"),
  );
  tool("wasm-metadce", file("merged.wasm"), "-f", file("roots.json"), "-o", file("kept.wasm"));
  const strip = ["--strip-debug", "--strip-producers", "--strip-target-features"];
  tool("wasm-opt", "-Oz", ...strip, file("kept.wasm"), "-o", file("engine.wasm"));
  return new Uint8Array(readFileSync(file("engine.wasm")));
}

/** The table's elements, by the slots in which they stand. */
function tableOf(module: binaryen.Module): ReadonlyMap<number, string> {
  const slots = new Map<number, string>();
  for (let index = 0; index < module.getNumElementSegments(); index++) {
    const segment = module.getElementSegmentByIndex(index);
    const { offset, data } = binaryen.getElementSegmentInfo(segment);
    const { value } = binaryen.getExpressionInfo(offset as unknown as number) as unknown as {
      readonly value: number;
    };
    for (const [at, name] of data.entries()) slots.set(value + at, name);
  }
  return slots;
}

/**
 * Where a context keeps the compiler. `JS_AddIntrinsicEval(context)` does nothing but write it there: `context->eval_internal =
 * compiler`.
 */
function compilerOf(text: string): { readonly field: number; readonly slot: number } {
  const name = /\(export "JS_AddIntrinsicEval" \(func (\S+)\)\)/.exec(text)?.[1];
  const start = text.indexOf(`\n (func ${name} `);
  const body = text.slice(start, text.indexOf("\n (func ", start + 1));
  const found = /\(i32\.store offset=(\d+)\s*\(local\.get \$0\)\s*\(i32\.const (\d+)\)\s*\)/.exec(body);
  if (name === undefined || start < 0 || !found) throw new Error("JS_AddIntrinsicEval is not what it was");
  return { field: Number(found[1]), slot: Number(found[2]) };
}

/** The functions that a policy's module never reaches. Functions without a name are called by their index. */
function factsOf(engine: Uint8Array): EngineFacts {
  const module = binaryen.readBinary(engine);
  const names = Array.from(
    { length: module.getNumFunctions() },
    (_, index) => binaryen.getFunctionInfo(module.getFunctionByIndex(index)).name,
  );
  const text = module.emitText();
  const { field, slot } = compilerOf(text);
  const compiler = tableOf(module).get(slot);
  if (compiler === undefined) throw new Error(`the table has no element ${slot}`);
  const info = binaryen.getFunctionInfo(module.getFunction(compiler));
  module.removeFunction(compiler);
  module.addFunction(compiler, info.params, info.results, [], module.unreachable());
  for (const name of BUILDER) module.removeExport(name);
  module.runPasses(["remove-unused-module-elements"]);
  const live = new Set<string>();
  for (let index = 0; index < module.getNumFunctions(); index++) {
    const { name, body } = binaryen.getFunctionInfo(module.getFunctionByIndex(index));
    if (body !== 0 && binaryen.getExpressionId(body) === binaryen.UnreachableId) continue;
    live.add(name);
  }
  return {
    compilerField: field,
    unused: names.flatMap((name, index) => live.has(name) ? [] : [index]),
    unusedTexts: unusedTexts(engine, text, live),
  };
}

/** What is put into memory when an instance is made. */
function staticMemory(engine: Uint8Array): Uint8Array {
  const compiled = new WebAssembly.Module(engine as BufferSource);
  const imports: Record<string, Record<string, () => number>> = {};
  for (const { module, name } of WebAssembly.Module.imports(compiled)) {
    (imports[module] ??= {})[name] = () => 0;
  }
  return new Uint8Array(
    (new WebAssembly.Instance(compiled, imports).exports["memory"] as WebAssembly.Memory).buffer,
  );
}

/**
 * Where texts stand, each up to its zero, that are named by functions for building alone: what the compiler says of code that is
 * wrong. Nothing else may name an address in them, neither a number in the code of other functions nor a word of the memory.
 */
function unusedTexts(
  engine: Uint8Array,
  text: string,
  live: ReadonlySet<string>,
): EngineFacts["unusedTexts"] {
  const named = { byLive: new Set<number>(), byUnused: new Set<number>() };
  for (const code of text.split("\n (func ").slice(1)) {
    const name = /^\$(\S+)/.exec(code)![1]!;
    const addresses = live.has(name) ? named.byLive : named.byUnused;
    for (const [, number] of code.matchAll(/(?:i32\.const |offset=)(\d+)/g)) addresses.add(Number(number));
  }
  const memory = staticMemory(engine);
  for (const word of new Uint32Array(memory.buffer)) named.byLive.add(word);
  const texts: [start: number, end: number][] = [];
  for (const start of [...named.byUnused].sort((a, b) => a - b)) {
    const end = memory.indexOf(0, start);
    const isText = start > STACK_END && end - start >= 8 && memory[start - 1] === 0 &&
      memory.subarray(start, end).every((byte) => byte >= 0x20 && byte < 0x7f);
    let free = isText;
    for (let at = start; free && at < end; at++) free = !named.byLive.has(at);
    if (free) texts.push([start, end]);
  }
  return texts;
}

/** The whole file. */
function build(): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), "portreeve-engine-"));
  try {
    const engine = merged(folder);
    return withCustomSection(
      engine,
      ENGINE_SECTION,
      new TextEncoder().encode(JSON.stringify(factsOf(engine))),
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const built = build();
const digest = createHash("sha256").update(built).digest("hex");
if (process.argv.includes("--check-only")) {
  const committed = readFileSync(DIGEST, "utf8").trim();
  if (committed !== digest) {
    throw new Error(
      `the engine built from its sources is ${digest}, the committed one ${committed}: run package/policy_engine/build.ts`,
    );
  }
} else {
  writeFileSync(ENGINE, built);
  writeFileSync(DIGEST, `${digest}\n`);
}
const { unused } = JSON.parse(
  new TextDecoder().decode(customSections(built, ENGINE_SECTION)[0]),
) as EngineFacts;
console.log(`engine: ${built.length} bytes, ${unused.length} functions for building alone, sha256 ${digest}`);
