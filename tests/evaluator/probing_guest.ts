/**
 * Guests, one for each execution mode, that do to their memory what the request tells them and find out what they can of it; and policies
 * of theirs that are asked in this thread. They tell a kept instance from a new one wherever there is a difference.
 */
import { InlineEvaluator } from "../../evaluator/apply/inline.ts";
import { wholeRequest } from "../../evaluator/apply/pool.ts";
import type { HostCallHandler } from "../../evaluator/types/evaluation.ts";
import type { ExecutionMode } from "../../evaluator/types/metadata.ts";
import type { PreparedModule } from "../../evaluator/types/module.ts";
import { statefulText } from "./stateful_guests.ts";
import { wasm, withMetadata } from "./wasm_text.ts";

/** The modes whose guests get documents. */
export const REGO_MODES: readonly ExecutionMode[] = ["opa", "gatekeeper"];
/** Bytes of a page. */
export const PAGE = 65536;
const encoder = new TextEncoder();

/** Does what stands behind the `@` of the request: a letter and a number. Refuses to say yes. */
const probe = (touch: string) =>
  `(func $judge (param $at i32) (param $length i32) (result i32)
    (local $end i32) (local $do i32) (local $n i32) (local $digit i32)
    (local.set $end (i32.add (local.get $at) (local.get $length)))
    (block $found (loop $next
      (br_if $found (i32.eq (i32.load8_u (local.get $at)) (i32.const 64)))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $at) (local.get $end)))
      (return (i32.const 0))))
    (local.set $do (i32.load8_u (i32.add (local.get $at) (i32.const 1))))
    (local.set $at (i32.add (local.get $at) (i32.const 2)))
    (block $read (loop $next
      (local.set $digit (i32.sub (i32.load8_u (local.get $at)) (i32.const 48)))
      (br_if $read (i32.gt_u (local.get $digit) (i32.const 9)))
      (local.set $n (i32.add (i32.mul (local.get $n) (i32.const 10)) (local.get $digit)))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br $next)))
    (if (i32.eq (local.get $do) (i32.const 76)) ;; L: is anything there?
      (then (return (i32.ne (i32.load8_u (local.get $n)) (i32.const 0)))))
    (if (i32.eq (local.get $do) (i32.const 87)) ;; W: leaves something
      (then (i32.store8 (local.get $n) (i32.const 255)) (return (i32.const 0))))
    (if (i32.eq (local.get $do) (i32.const 71)) ;; G: grows and leaves something everywhere
      (then
        (local.set $at (memory.grow (local.get $n)))
        (if (i32.eq (local.get $at) (i32.const -1)) (then (return (i32.const 1))))
        (memory.fill (i32.mul (local.get $at) (i32.const ${PAGE})) (i32.const 255)
          (i32.mul (local.get $n) (i32.const ${PAGE})))
        (return (i32.const 0))))
    (if (i32.eq (local.get $do) (i32.const 83)) ;; S: another size?
      (then (return (i32.ne (memory.size) (local.get $n)))))
    (if (i32.eq (local.get $do) (i32.const 82)) ;; R: refused?
      (then (return (i32.eq (memory.grow (local.get $n)) (i32.const -1)))))
    (if (i32.eq (local.get $do) (i32.const 72)) ;; H: what does a host function say to the pointer?
      (then (return ${touch})))
    (i32.const 0))`;

const RANDOM = '(import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))';
const PRINT = '(import "env" "opa_println" (func $print (param i32)))';

/** `opa_malloc` takes the pages that it needs. */
const GROW = `    (loop $more
      (if (i32.gt_u (global.get $heap) (i32.mul (memory.size) (i32.const ${PAGE})))
        (then (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable)) (br $more))))`;

/** The guest of a mode. */
export function probingGuest(mode: ExecutionMode, pages = 2): Uint8Array {
  const isRego = REGO_MODES.includes(mode);
  const imports = isRego ? PRINT : mode === "kubewarden-wapc" ? "" : RANDOM;
  const touch = isRego
    ? "(block (result i32) (call $print (local.get $n)) (i32.const 0))"
    : "(call $random (local.get $n) (i32.const 8))";
  const text = statefulText(mode)
    .replace("(module", `(module ${imports}`)
    .replace("(memory 2 100)", `(memory ${pages} 1000)`)
    .replace(/(\(memory (?:\$memory )?\(export "memory"\)) 1\)/, `$1 ${pages === 2 ? 1 : pages})`)
    .replace(/(\(func \(export "opa_malloc"\)[^]*?)\)\n {2}\(func/, `$1\n${GROW})\n  (func`)
    .replace("(func $judge", "(func $left_over")
    .replace(/\)\s*$/, `${probe(touch)})`);
  const metadata = {
    protocolVersion: "v1",
    rules: [],
    mutating: false,
    executionMode: mode,
    policyType: "kubernetes",
  };
  return withMetadata(wasm(text), JSON.stringify(metadata));
}

/**
 * A policy in an evaluator of its own: takes what the guest is told, gives `yes` or what was refused. With `onHostCall` it has a view of
 * the cluster.
 */
export function policyOf(
  prepared: PreparedModule,
  onHostCall?: HostCallHandler,
): (told: string) => Promise<string> {
  const evaluator = new InlineEvaluator();
  const policy = evaluator.addPolicy(
    {
      id: "p",
      module: evaluator.addModule(prepared),
      settings: encoder.encode("{}"),
      limitMs: 60_000,
      ...(onHostCall && { contextAwareResources: [{ apiVersion: "v1", kind: "Service" }] }),
    },
    onHostCall ?? (() => ({ ok: false, error: "none" })),
  );
  return async (told) => {
    const json = encoder.encode(JSON.stringify({ uid: "u", object: { told } }));
    const outcome = await evaluator.validate(policy, wholeRequest({ json, object: [1, 2] }));
    if (outcome.kind !== "verdict") return JSON.stringify(outcome);
    return outcome.verdict.allowed ? "yes" : outcome.verdict.status?.message ?? "no";
  };
}
