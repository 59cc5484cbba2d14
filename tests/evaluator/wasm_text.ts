/** Modules for tests, from WebAssembly text. */
import binaryen from "binaryen";
import { withCustomSection } from "../../evaluator/render/custom_section.ts";

const { Features } = binaryen;
/** What both runtimes have; more would make the assembler write forms that they don't read. */
const FEATURES = Features.BulkMemory | Features.ExceptionHandling | Features.Multivalue |
  Features.MutableGlobals |
  Features.ReferenceTypes | Features.SIMD128 | Features.SignExt | Features.TailCall |
  Features.NontrappingFPToInt;

/** Besides {@link FEATURES}: references to functions of a known type, and atomic operations. */
export const MORE_FEATURES = FEATURES | Features.GC | Features.Atomics;

/** The binary of a module's text, unoptimised: every instruction stands as it is written. */
export function wasm(text: string, features: number = FEATURES): Uint8Array {
  const module = binaryen.parseText(text);
  try {
    module.setFeatures(features);
    return module.emitBinary();
  } finally {
    module.dispose();
  }
}

const METADATA = JSON.stringify({
  protocolVersion: "v1",
  executionMode: "kubewarden-wapc",
  rules: [],
  mutating: false,
  backgroundAudit: true,
  policyType: "kubernetes",
  contextAwareResources: [],
});

/** A module that a policy server takes: with metadata. */
export function withMetadata(module: Uint8Array, metadata: string = METADATA): Uint8Array {
  return withCustomSection(module, "io.kubewarden.metadata", new TextEncoder().encode(metadata));
}

/**
 * A waPC policy whose `validate` runs `body` and then accepts. `declarations` stand beside it. The answer is at address 64
 * of a memory of `pages` pages; `body` may return 1 early after a response of its own.
 */
export function policyText(body: string, declarations = "", pages = 1): string {
  return `(module
    (import "wapc" "__guest_request" (func $request (param i32 i32)))
    (import "wapc" "__guest_response" (func $respond (param i32 i32)))
    (import "wapc" "__console_log" (func $log (param i32 i32)))
    (import "wapc" "__host_call" (func $host_call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory $memory (export "memory") ${pages})
    (data (i32.const 0) "{\\"valid\\":true}")
    (data (i32.const 64) "{\\"accepted\\":true}")
    ${declarations}
    (func (export "__guest_call") (param $operation i32) (param $length i32) (result i32)
      (if (i32.ne (local.get $operation) (i32.const 8))
        (then (call $respond (i32.const 0) (i32.const 14)) (return (i32.const 1))))
      ${body}
      (call $respond (i32.const 64) (i32.const 17))
      (i32.const 1)))`;
}
