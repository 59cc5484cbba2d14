/** Modules that import what a test says, byte by byte: assemblers refuse names and types that attackers don't. */
import type { ExecutionMode } from "../../evaluator/types/metadata.ts";
import { IMPORTS } from "../../evaluator/types/imports.ts";
import { withMetadata } from "./wasm_text.ts";

/** One import. `signature` is written as in `evaluator/types/imports.ts`, with `externref` and `funcref` besides. */
export interface WantedImport {
  readonly namespace: string;
  readonly name: string;
  readonly kind?: "function" | "table" | "memory" | "global" | "tag";
  readonly signature?: string;
}

const TYPES: Readonly<Record<string, number>> = {
  ...{ i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b, externref: 0x6f, funcref: 0x70 },
};
const encoder = new TextEncoder();

const leb = (value: number): number[] => value < 128 ? [value] : [(value & 127) | 128, ...leb(value >>> 7)];
const text = (value: string): number[] => {
  const bytes = [...encoder.encode(value)];
  return [...leb(bytes.length), ...bytes];
};
const section = (id: number, content: readonly number[]) => [id, ...leb(content.length), ...content];

function functionType(signature: string): number[] {
  const [parameters, results] = signature.split("->").map((side) =>
    side.trim().split(" ").filter((type) => type !== "").map((type) => TYPES[type]!)
  );
  return [0x60, ...leb(parameters!.length), ...parameters!, ...leb(results!.length), ...results!];
}

/** A module of `mode` with these imports, and with no code of its own. */
export function importing(mode: ExecutionMode, wanted: readonly WantedImport[]): Uint8Array {
  const types = wanted.map(({ signature = "->" }) => functionType(signature));
  const imports = wanted.map(({ namespace, name, kind = "function" }, index) => {
    const described = {
      function: [0, ...leb(index)],
      table: [1, 0x70, 0, 0],
      memory: [2, 0, 1],
      global: [3, 0x7f, 0],
      tag: [4, 0, ...leb(index)],
    };
    return [...text(namespace), ...text(name), ...described[kind]];
  });
  // `reeve` tells Rego modules by such an export.
  const isRego = (mode === "opa" || mode === "gatekeeper") && (wanted[0]?.kind ?? "function") === "function";
  const module = Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, [...leb(types.length), ...types.flat()]),
    ...section(2, [...leb(imports.length), ...imports.flat()]),
    ...(isRego ? section(7, [1, ...text("opa_eval"), 0, 0]) : []),
  ]);
  const metadata = {
    protocolVersion: "v1",
    rules: [],
    mutating: false,
    executionMode: mode,
    policyType: "kubernetes",
  };
  return withMetadata(module, JSON.stringify(metadata));
}

/** Everything that is on the list of a mode. */
export function listed(mode: ExecutionMode): readonly WantedImport[] {
  const { functions, memory } = IMPORTS[mode];
  return [
    ...[...functions].flatMap(([namespace, members]) =>
      [...members].map(([name, signature]) => ({ namespace, name, signature }))
    ),
    ...(memory ? [{ ...memory, kind: "memory" as const }] : []),
  ];
}
