/** What a WebAssembly module imports and exports, with types: more than `WebAssembly.Module` tells. */
import { Reader, SECTION, sections } from "../../evaluator/render/wasm_binary.ts";
import { readValueType } from "../../evaluator/render/wasm_instructions.ts";

/** Value types as they are encoded. */
export const VALUE = {
  i32: 0x7f,
  i64: 0x7e,
  f32: 0x7d,
  f64: 0x7c,
  v128: 0x7b,
  func: 0x70,
  extern: 0x6f,
} as const;

export interface FunctionType {
  readonly parameters: readonly number[];
  readonly results: readonly number[];
}

interface Limits {
  readonly min: number;
  readonly max: number | undefined;
}
export type Import =
  & { readonly module: string; readonly name: string }
  & (
    | { readonly kind: "function" | "tag"; readonly type: FunctionType }
    | { readonly kind: "table"; readonly type: number; readonly limits: Limits }
    | { readonly kind: "memory"; readonly limits: Limits }
    | { readonly kind: "global"; readonly type: number; readonly mutable: boolean }
  );

export interface ModuleTypes {
  readonly imports: readonly Import[];
  /** The types of exported functions by name. */
  readonly functions: ReadonlyMap<string, FunctionType>;
}

const list = <T>(reader: Reader, item: () => T): T[] => Array.from({ length: reader.u32() }, item);

function limits(reader: Reader): Limits {
  const flags = reader.u8();
  const min = reader.u32();
  return { min, max: flags & 1 ? reader.u32() : undefined };
}

function readImport(reader: Reader, types: readonly FunctionType[]): Import {
  const module = reader.name(), name = reader.name();
  const kind = reader.u8();
  switch (kind) {
    case 0:
      return { module, name, kind: "function", type: types[reader.u32()]! };
    case 1: {
      const type = readValueType(reader);
      return { module, name, kind: "table", type, limits: limits(reader) };
    }
    case 2:
      return { module, name, kind: "memory", limits: limits(reader) };
    case 3: {
      const type = readValueType(reader);
      return { module, name, kind: "global", type, mutable: reader.u8() === 1 };
    }
    default:
      reader.skip(1);
      return { module, name, kind: "tag", type: types[reader.u32()]! };
  }
}

/** Reads a valid module. */
export function moduleTypes(module: Uint8Array): ModuleTypes {
  let types: readonly FunctionType[] = [];
  let imports: readonly Import[] = [];
  const functionTypes: FunctionType[] = [];
  const functions = new Map<string, FunctionType>();
  for (const { id, start, end } of sections(module)) {
    const reader = new Reader(module, start, end);
    if (id === SECTION.type) {
      types = list(reader, () => {
        reader.skip(1);
        return {
          parameters: list(reader, () => readValueType(reader)),
          results: list(reader, () => readValueType(reader)),
        };
      });
    } else if (id === SECTION.import) {
      imports = list(reader, () => readImport(reader, types));
      for (const found of imports) if (found.kind === "function") functionTypes.push(found.type);
    } else if (id === SECTION.function) functionTypes.push(...list(reader, () => types[reader.u32()]!));
    else if (id === SECTION.export) {
      list(reader, () => {
        const name = reader.name();
        const kind = reader.u8();
        const index = reader.u32();
        if (kind === 0) functions.set(name, functionTypes[index]!);
      });
    }
  }
  return { imports, functions };
}
