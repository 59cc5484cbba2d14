/**
 * One guest for every execution mode, in Wasm text, that keeps what it can from one call to the next: a global, a byte of its
 * memory, the size of its memory. Where it finds any of it again, it refuses. A request that holds `SPIN` is
 * never answered, one that holds `TRAP` ends in a trap, both with the state left behind.
 */
import type { ExecutionMode } from "../../evaluator/types/metadata.ts";
import { policyText, wasm, withMetadata } from "./wasm_text.ts";

/** A comment where more can be put into `$judge`. */
export const BEFORE_JUDGING = ";; before judging";

/** `$judge` takes where the request stands and says whether an earlier call left anything (1) or not (0). */
const judge = (pages: number) =>
  `(global $calls (mut i32) (i32.const 0))
  (func $holds (param $at i32) (param $length i32) (param $word i32) (result i32)
    (local $end i32)
    (local.set $end (i32.sub (i32.add (local.get $at) (local.get $length)) (i32.const 3)))
    (loop $next
      (if (i32.lt_s (local.get $at) (local.get $end))
        (then
          (if (i32.eq (i32.load align=1 (local.get $at)) (local.get $word)) (then (return (i32.const 1))))
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (br $next))))
    (i32.const 0))
  (func $judge (param $at i32) (param $length i32) (result i32)
    (local $left i32)
    ${BEFORE_JUDGING}
    (local.set $left
      (i32.or
        (i32.or (global.get $calls) (i32.load8_u (i32.const 60000)))
        (i32.ne (memory.size) (i32.const ${pages}))))
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (i32.store8 (i32.const 60000) (i32.const 1))
    (drop (memory.grow (i32.const 1)))
    (if (call $holds (local.get $at) (local.get $length) (i32.const 0x4e495053))
      (then (loop $spin (br $spin))))
    (if (call $holds (local.get $at) (local.get $length) (i32.const 0x50415254)) (then unreachable))
    (i32.ne (local.get $left) (i32.const 0)))`;

/** The text of a mode's guest. */
export function statefulText(mode: ExecutionMode): string {
  return TEXTS[mode]!;
}

const REFUSAL = '{"accepted":false,"message":"left over"}';
const quoted = (text: string): string => text.replaceAll('"', '\\"');

const WAPC = policyText(
  `(call $request (i32.const 4000) (i32.const 4096))
   (if (call $judge (i32.const 4096) (local.get $length))
     (then (call $respond (i32.const 128) (i32.const ${REFUSAL.length})) (return (i32.const 1))))`,
  `(data (i32.const 128) "${quoted(REFUSAL)}")
   ${judge(1)}`,
);

const WASI = `(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "{\\"accepted\\":true,\\"valid\\":true}")
  (data (i32.const 128) "${quoted(REFUSAL)}")
  ${judge(1)}
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 4096))
    (i32.store (i32.const 4) (i32.const 8192))
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 16)))
    (i32.store (i32.const 0) (i32.const 64))
    (i32.store (i32.const 4) (i32.const 30))
    (if (call $judge (i32.const 4096) (i32.load (i32.const 16)))
      (then (i32.store (i32.const 0) (i32.const 128)) (i32.store (i32.const 4) (i32.const ${REFUSAL.length}))))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))))`;

/** What `opa build` makes of a policy, from outside: values are texts, input is what was parsed last. */
const rego = (accepted: string, refused: string) =>
  `(module
  (import "env" "memory" (memory 2 100))
  (data (i32.const 16) "{}\\00")
  (data (i32.const 32) "{\\"a/main\\":0}\\00")
  (data (i32.const 64) "${quoted(accepted)}\\00")
  (data (i32.const 256) "${quoted(refused)}\\00")
  (global $heap (mut i32) (i32.const 4096))
  (global $input (mut i32) (i32.const 0))
  (global $length (mut i32) (i32.const 0))
  (global $result (mut i32) (i32.const 64))
  ${judge(2)}
  (func (export "builtins") (result i32) (i32.const 16))
  (func (export "entrypoints") (result i32) (i32.const 32))
  (func (export "opa_malloc") (param $length i32) (result i32)
    (global.get $heap)
    (global.set $heap (i32.add (global.get $heap) (local.get $length))))
  (func (export "opa_json_parse") (param $at i32) (param $length i32) (result i32)
    (global.set $input (local.get $at))
    (global.set $length (local.get $length))
    (local.get $at))
  (func (export "opa_json_dump") (param $value i32) (result i32) (local.get $value))
  (func (export "opa_eval_ctx_new") (result i32) (i32.const 8))
  (func (export "opa_eval_ctx_set_input") (param i32 i32))
  (func (export "opa_eval_ctx_set_data") (param i32 i32))
  (func (export "opa_eval_ctx_set_entrypoint") (param i32 i32))
  (func (export "opa_eval_ctx_get_result") (param i32) (result i32) (global.get $result))
  (func (export "eval") (param i32) (result i32)
    (if (call $judge (global.get $input) (global.get $length)) (then (global.set $result (i32.const 256))))
    (i32.const 0)))`;

const response = (allowed: boolean, rest = "") =>
  `[{"result":{"response":{"uid":"","allowed":${allowed}${rest}}}}]`;
const OPA = rego(response(true), response(false, ',"status":{"message":"left over"}'));
const GATEKEEPER = rego('[{"result":[]}]', '[{"result":[{"msg":"left over"}]}]');

const EXTISM = `(module
  (import "extism:host/env" "alloc" (func $alloc (param i64) (result i64)))
  (import "extism:host/env" "store_u8" (func $store (param i64 i32)))
  (import "extism:host/env" "output_set" (func $output (param i64 i64)))
  (import "extism:host/env" "input_length" (func $input_length (result i64)))
  (import "extism:host/env" "input_load_u8" (func $input (param i64) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "{\\"accepted\\":true,\\"valid\\":true}")
  (data (i32.const 128) "${quoted(REFUSAL)}")
  ${judge(1)}
  (func $answer (param $from i32) (param $count i32)
    (local $block i64) (local $index i32)
    (local.set $block (call $alloc (i64.extend_i32_u (local.get $count))))
    (loop $next
      (call $store (i64.add (local.get $block) (i64.extend_i32_u (local.get $index)))
        (i32.load8_u (i32.add (local.get $from) (local.get $index))))
      (br_if $next (i32.lt_u (local.tee $index (i32.add (local.get $index) (i32.const 1))) (local.get $count))))
    (call $output (local.get $block) (i64.extend_i32_u (local.get $count))))
  (func (export "validate") (result i32)
    (local $index i32) (local $length i32)
    (local.set $length (i32.wrap_i64 (call $input_length)))
    (loop $next
      (i32.store8 (i32.add (i32.const 4096) (local.get $index)) (call $input (i64.extend_i32_u (local.get $index))))
      (br_if $next (i32.lt_u (local.tee $index (i32.add (local.get $index) (i32.const 1))) (local.get $length))))
    (if (call $judge (i32.const 4096) (local.get $length))
      (then (call $answer (i32.const 128) (i32.const ${REFUSAL.length})))
      (else (call $answer (i32.const 64) (i32.const 30))))
    (i32.const 0))
  (func (export "validate_settings") (result i32)
    (call $answer (i32.const 64) (i32.const 30))
    (i32.const 0)))`;

const TEXTS: Readonly<Record<string, string>> = {
  "kubewarden-wapc": WAPC,
  wasi: WASI,
  opa: OPA,
  gatekeeper: GATEKEEPER,
  extism: EXTISM,
};

/** The modes that there are guests for: all. */
export const STATEFUL_MODES = Object.keys(TEXTS) as readonly ExecutionMode[];

/**
 * The guest of a mode, with metadata. `imports` stand beside its own, and `before` is run in each call before it judges.
 */
export function statefulGuest(mode: ExecutionMode, imports = "", before = ""): Uint8Array {
  const text = TEXTS[mode]!.replace("(module", `(module ${imports}`).replace(BEFORE_JUDGING, before);
  return withMetadata(wasm(text), metadataOf(mode));
}

/** Metadata of a policy that has nothing but its mode to say. */
export function metadataOf(mode: ExecutionMode): string {
  return JSON.stringify({
    protocolVersion: "v1",
    rules: [],
    mutating: false,
    executionMode: mode,
    policyType: "kubernetes",
  });
}
