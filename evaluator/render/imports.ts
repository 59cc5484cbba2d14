/**
 * What crosses the border between guest and host: the import section of a module, compared with the list of its execution mode (`types/imports.ts`) before the module is compiled.
 * The engines look imports up by the module's words, on objects whose prototypes know more than a guest may reach; so nothing that
 * isn't on the list, with its kind and its signature, ever gets to them.
 */
import { type ImportList, IMPORTS } from "../types/imports.ts";
import type { ExecutionMode } from "../types/metadata.ts";
import type { ImportedMemory } from "../types/module.ts";
import { boundedText } from "./bounded_text.ts";
import { Reader, SECTION, sections, WasmFormatError } from "./wasm_binary.ts";

/** A module whose imports are on the list takes no more than a hundred; the same may be imported again. */
const MAX_IMPORTS = 1000;
/** Imports that an error names. */
const MAX_NAMED = 10;
/** Characters of a namespace or a name in an error. */
const MAX_NAME = 100;

const KINDS = ["function", "table", "memory", "global", "tag"] as const;

interface Import {
  readonly namespace: string;
  readonly name: string;
  readonly kind: (typeof KINDS)[number];
  /** The type of a function. */
  readonly type: number;
  /** Limits of a memory. */
  readonly min: number;
  readonly max: number | undefined;
}

const REFERENCE = "reference";
const VALUE_TYPES: ReadonlyMap<number, string> = new Map([
  [0x7f, "i32"],
  [0x7e, "i64"],
  [0x7d, "f32"],
  [0x7c, "f64"],
  [0x7b, "v128"],
]);

function valueType(reader: Reader): string {
  const type = reader.u8();
  if (type === 0x63 || type === 0x64) reader.skipLeb();
  return VALUE_TYPES.get(type) ?? REFERENCE;
}

function valueTypes(reader: Reader): readonly string[] {
  const types: string[] = [];
  for (let count = reader.u32(); count > 0; count--) types.push(valueType(reader));
  return types;
}

function readLimits(reader: Reader): { readonly min: number; readonly max: number | undefined } {
  const bounded = (reader.u8() & 1) === 1;
  const min = reader.u32();
  return { min, max: bounded ? reader.u32() : undefined };
}

function readImport(reader: Reader): Import {
  const namespace = reader.name();
  const name = reader.name();
  const code = reader.u8();
  const kind = KINDS[code];
  if (kind === undefined) throw new WasmFormatError(`unknown kind of import ${code} at byte ${reader.at}`);
  const entry = { namespace, name, kind, type: -1, min: 0, max: undefined };
  switch (kind) {
    case "function":
      return { ...entry, type: reader.u32() };
    case "memory":
      return { ...entry, ...readLimits(reader) };
    case "table":
      valueType(reader);
      return { ...entry, ...readLimits(reader) };
    case "global":
      valueType(reader);
      reader.skip(1);
      return entry;
    case "tag":
      reader.skip(1);
      return { ...entry, type: reader.u32() };
  }
}

/** Why an import is refused, with its name; undefined if it is on the list. */
function refusal(
  { namespace, name, kind, type }: Import,
  list: ImportList,
  types: ReadonlyMap<number, string>,
): string | undefined {
  const shown = `${kind} ${boundedText(namespace, MAX_NAME)}.${boundedText(name, MAX_NAME)}`;
  if (kind === "memory") {
    return list.memory?.namespace === namespace && list.memory.name === name ? undefined : shown;
  }
  const expected = kind === "function" ? list.functions.get(namespace)?.get(name) : undefined;
  if (expected === undefined) return shown;
  const found = types.get(type) ?? "unknown";
  return found === expected
    ? undefined
    : `${shown} (${boundedText(found, MAX_NAME)}), expected (${expected})`;
}

/**
 * Compares the imports of a valid module with the list of its execution mode, and sees to it that no function takes or gives a
 * reference across the border. Returns the limits of the memory that it imports, undefined if it imports none. Throws
 * {@link WasmFormatError}, which names the first of those that are refused.
 */
export function checkBorder(
  module: Uint8Array,
  mode: ExecutionMode,
  maxPages: number,
): ImportedMemory | undefined {
  const readers = new Map(sections(module).map(({ id, start, end }) => [id, new Reader(module, start, end)]));
  const imports = readImports(readers.get(SECTION.import));
  const types = readTypes(readers.get(SECTION.type), new Set(imports.map(({ type }) => type)));
  const refused = imports.map((entry) => refusal(entry, IMPORTS[mode], types.signatures)).filter((reason) =>
    reason !== undefined
  );
  if (refused.length > 0) {
    throw new WasmFormatError(
      `the module imports what no host provides: ${listOf(refused)} (execution mode ${mode})`,
    );
  }
  const functions = imports.filter(({ kind }) => kind === "function").map(({ type }) => type);
  const own = readers.get(SECTION.function);
  for (let count = own?.u32() ?? 0; own && count > 0; count--) functions.push(own.u32());
  const giving = exportedFunctions(readers.get(SECTION.export)).filter(({ index }) =>
    types.withReferences.has(functions[index] ?? -1)
  );
  if (giving.length > 0) {
    const names = giving.map(({ name }) => boundedText(name, MAX_NAME));
    throw new WasmFormatError(`the module exports functions that take or give references: ${listOf(names)}`);
  }
  return importedMemory(imports, maxPages);
}

function listOf(names: readonly string[]): string {
  const more = names.length > MAX_NAMED ? ` and ${names.length - MAX_NAMED} more` : "";
  return `${names.slice(0, MAX_NAMED).join(", ")}${more}`;
}

function readImports(reader: Reader | undefined): readonly Import[] {
  if (!reader) return [];
  const count = reader.u32();
  if (count > MAX_IMPORTS) {
    throw new WasmFormatError(`the module has ${count} imports, the limit is ${MAX_IMPORTS}`);
  }
  return Array.from({ length: count }, () => readImport(reader));
}

/** The signatures of the types that are wanted, and which of all types have references. */
function readTypes(
  reader: Reader | undefined,
  wanted: ReadonlySet<number>,
): { readonly signatures: ReadonlyMap<number, string>; readonly withReferences: ReadonlySet<number> } {
  const signatures = new Map<number, string>();
  const withReferences = new Set<number>();
  for (let index = 0, count = reader?.u32() ?? 0; reader && index < count; index++) {
    if (reader.u8() !== 0x60) throw new WasmFormatError("garbage-collected types are not supported");
    const parameters = valueTypes(reader);
    const results = valueTypes(reader);
    if (parameters.includes(REFERENCE) || results.includes(REFERENCE)) withReferences.add(index);
    if (wanted.has(index)) signatures.set(index, [...parameters, "->", ...results].join(" "));
  }
  return { signatures, withReferences };
}

function exportedFunctions(
  reader: Reader | undefined,
): readonly { readonly name: string; readonly index: number }[] {
  const found: { readonly name: string; readonly index: number }[] = [];
  for (let count = reader?.u32() ?? 0; reader && count > 0; count--) {
    const name = reader.name();
    const kind = reader.u8();
    const index = reader.u32();
    if (kind === 0) found.push({ name, index });
  }
  return found;
}

function importedMemory(imports: readonly Import[], maxPages: number): ImportedMemory | undefined {
  const memory = imports.find(({ kind }) => kind === "memory");
  if (!memory) return undefined;
  if (memory.min > maxPages) {
    throw new WasmFormatError(
      `the module asks for ${memory.min / 16} MiB of memory, the limit is ${maxPages / 16} MiB`,
    );
  }
  return { min: memory.min, max: Math.min(memory.max ?? maxPages, maxPages) };
}
