/**
 * One guest of every execution mode that serves short requests as any policy does and runs `$hostile` for long ones (and, where
 * its mode has such, for long settings). So each attack can come from a policy that has been proven quick.
 */
import type { ExecutionMode } from "../../evaluator/types/metadata.ts";

/** What a guest does with a long request, as WebAssembly text. */
export interface AttackText {
  /** What stands beside `$hostile` in the module. */
  readonly declarations?: string;
  /** Local variables of `$hostile`. */
  readonly locals?: string;
  /** What `$hostile` runs; when it returns, the request is accepted. */
  readonly hostile: string;
  /** Pages of memory at the start. */
  readonly pages?: number;
}

/** Requests of more bytes are attacks; the ones that `pod` of `attacks.ts` makes without padding are far shorter. */
export const LONG_REQUEST = 6_000;
/** Where the answers stand. What `$hostile` overwrites below them is its own affair. */
const ACCEPTED = '{"accepted":true,"valid":true}';
const escaped = (text: string) => text.replaceAll('"', '\\"');
const data = (at: number, text: string) => `(data (i32.const ${at}) "${escaped(text)}")`;
const whenLong = (length: string) =>
  `(if (i32.gt_u ${length} (i32.const ${LONG_REQUEST})) (then (call $hostile)))`;
const hostileFunction = ({ declarations = "", locals = "", hostile }: AttackText) =>
  `${declarations} (func $hostile ${locals} ${hostile})`;

const wapc = (text: AttackText): string =>
  `(module
    (import "wapc" "__guest_request" (func $request (param i32 i32)))
    (import "wapc" "__guest_response" (func $respond (param i32 i32)))
    (import "wapc" "__guest_error" (func $error (param i32 i32)))
    (import "wapc" "__console_log" (func $log (param i32 i32)))
    (import "wapc" "__host_call" (func $host_call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") ${text.pages ?? 1})
    ${data(64, ACCEPTED)}
    (global $responded (mut i32) (i32.const 0))
    ${hostileFunction(text)}
    (func (export "__guest_call") (param $operation i32) (param $length i32) (result i32)
      ${whenLong("(local.get $length)")}
      (if (i32.eqz (global.get $responded)) (then (call $respond (i32.const 64) (i32.const ${ACCEPTED.length}))))
      (i32.const 1)))`;

const wasi = (text: AttackText): string =>
  `(module
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") ${text.pages ?? 1})
    ${data(64, ACCEPTED)}
    ${hostileFunction(text)}
    (func (export "_start")
      (i32.store (i32.const 0) (i32.const 16384))
      (i32.store (i32.const 4) (i32.const 16384))
      (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 16)))
      ${whenLong("(i32.load (i32.const 16))")}
      (i32.store (i32.const 0) (i32.const 64))
      (i32.store (i32.const 4) (i32.const ${ACCEPTED.length}))
      (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))))`;

/** What `opa build` makes of a policy, from outside: values are texts, input is what was parsed last. */
const rego = (result: string) => (text: AttackText): string =>
  `(module
    (import "env" "memory" (memory ${Math.max(2, text.pages ?? 2)} 65536))
    (import "env" "opa_println" (func $println (param i32)))
    (data (i32.const 16) "{}\\00")
    (data (i32.const 32) "{\\"a/main\\":0}\\00")
    (data (i32.const 64) "${escaped(result)}\\00")
    (global $heap (mut i32) (i32.const 4096))
    (global $length (mut i32) (i32.const 0))
    ${hostileFunction(text)}
    (func (export "builtins") (result i32) (i32.const 16))
    (func (export "entrypoints") (result i32) (i32.const 32))
    (func (export "opa_malloc") (param $length i32) (result i32)
      (global.get $heap)
      (global.set $heap (i32.add (global.get $heap) (local.get $length))))
    (func (export "opa_json_parse") (param $at i32) (param $length i32) (result i32)
      (global.set $length (local.get $length))
      (local.get $at))
    (func (export "opa_json_dump") (param $value i32) (result i32) (local.get $value))
    (func (export "opa_eval_ctx_new") (result i32) (i32.const 8))
    (func (export "opa_eval_ctx_set_input") (param i32 i32))
    (func (export "opa_eval_ctx_set_data") (param i32 i32))
    (func (export "opa_eval_ctx_set_entrypoint") (param i32 i32))
    (func (export "opa_eval_ctx_get_result") (param i32) (result i32) (i32.const 64))
    (func (export "eval") (param i32) (result i32)
      ${whenLong("(global.get $length)")}
      (i32.const 0)))`;

const extism = (text: AttackText): string =>
  `(module
    (import "extism:host/env" "alloc" (func $alloc (param i64) (result i64)))
    (import "extism:host/env" "store_u8" (func $store (param i64 i32)))
    (import "extism:host/env" "output_set" (func $output (param i64 i64)))
    (import "extism:host/env" "input_length" (func $input_length (result i64)))
    (memory (export "memory") ${text.pages ?? 1})
    ${data(64, ACCEPTED)}
    ${hostileFunction(text)}
    (func (export "validate") (export "validate_settings") (result i32)
      (local $block i64) (local $index i32)
      ${whenLong("(i32.wrap_i64 (call $input_length))")}
      (local.set $block (call $alloc (i64.const ${ACCEPTED.length})))
      (loop $next
        (call $store (i64.add (local.get $block) (i64.extend_i32_u (local.get $index)))
          (i32.load8_u (i32.add (i32.const 64) (local.get $index))))
        (br_if $next (i32.lt_u (local.tee $index (i32.add (local.get $index) (i32.const 1)))
          (i32.const ${ACCEPTED.length}))))
      (call $output (local.get $block) (i64.const ${ACCEPTED.length}))
      (i32.const 0)))`;

const GUESTS: Readonly<Record<string, (text: AttackText) => string>> = {
  "kubewarden-wapc": wapc,
  wasi,
  opa: rego('[{"result":{"response":{"uid":"","allowed":true}}}]'),
  gatekeeper: rego('[{"result":[]}]'),
  extism,
};

/** All execution modes. */
export const ATTACK_MODES = Object.keys(GUESTS) as readonly ExecutionMode[];

/** The text of the guest of a mode. */
export function attackGuest(mode: ExecutionMode, text: AttackText): string {
  return GUESTS[mode]!(text);
}
