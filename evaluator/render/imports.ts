/**
 * The import section of a module, compared with the list of its execution mode (`types/imports.ts`) before the module is compiled.
 * The engines look imports up by the module's words, on objects whose prototypes know more than a guest may reach; so nothing that
 * isn't on the list, with its kind and its signature, ever gets to them.
 */
import { type ImportList, IMPORTS } from "../types/imports.ts";
import type { ExecutionMode } from "../types/metadata.ts";
import type { ImportedMemory } from "../types/module.ts";
import { boundedText } from "./bounded_text.ts";
import { Reader, SECTION, type Section, sections, WasmFormatError } from "./wasm_binary.ts";

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
  return VALUE_TYPES.get(type) ?? "reference";
}

/** A list of value types; undefined, and only passed over, unless it is wanted. */
function valueTypes(reader: Reader, wanted: boolean): readonly string[] | undefined {
  const types: string[] = [];
  for (let count = reader.u32(); count > 0; count--) {
    const type = valueType(reader);
    if (wanted) types.push(type);
  }
  return wanted ? types : undefined;
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
 * Compares the imports of a valid module with the list of its execution mode. Returns the limits of the memory that it imports,
 * undefined if it imports none. Throws {@link WasmFormatError}, which names the first of those that are not on the list.
 */
export function checkImports(
  module: Uint8Array,
  mode: ExecutionMode,
  maxPages: number,
): ImportedMemory | undefined {
  const found = sections(module);
  const importSection = found.find(({ id }) => id === SECTION.import);
  if (!importSection) return undefined;
  const reader = new Reader(module, importSection.start, importSection.end);
  const count = reader.u32();
  if (count > MAX_IMPORTS) {
    throw new WasmFormatError(`the module has ${count} imports, the limit is ${MAX_IMPORTS}`);
  }
  const imports = Array.from({ length: count }, () => readImport(reader));
  const types = signatures(module, found, imports);
  const refused = imports.map((entry) => refusal(entry, IMPORTS[mode], types)).filter((reason) =>
    reason !== undefined
  );
  if (refused.length > 0) {
    const more = refused.length > MAX_NAMED ? ` and ${refused.length - MAX_NAMED} more` : "";
    throw new WasmFormatError(
      `the module imports what no host provides: ${refused.slice(0, MAX_NAMED).join(", ")}${more} ` +
        `(execution mode ${mode})`,
    );
  }
  return importedMemory(imports, maxPages);
}

/** The signatures of the types that imported functions have, by index. */
function signatures(
  module: Uint8Array,
  found: readonly Section[],
  imports: readonly Import[],
): ReadonlyMap<number, string> {
  const wanted = new Set(imports.map(({ type }) => type));
  const signatures = new Map<number, string>();
  const section = found.find(({ id }) => id === SECTION.type);
  if (!section) return signatures;
  const reader = new Reader(module, section.start, section.end);
  const count = reader.u32();
  for (let index = 0; index < count; index++) {
    if (reader.u8() !== 0x60) throw new WasmFormatError("garbage-collected types are not supported");
    const parameters = valueTypes(reader, wanted.has(index));
    const results = valueTypes(reader, wanted.has(index));
    if (parameters && results) signatures.set(index, [...parameters, "->", ...results].join(" "));
  }
  return signatures;
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
