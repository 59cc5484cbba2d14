// What ends a guest is told in the same words on every runtime.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { trapText } from "../../evaluator/apply/trap_text.ts";
import { wasm } from "./wasm_text.ts";

const TRAPS: readonly (readonly [body: string, text: string])[] = [
  ["(unreachable)", "unreachable instruction executed"],
  ["(drop (i32.div_s (i32.const 1) (global.get $zero)))", "integer divide by zero"],
  ["(drop (i32.rem_u (i32.const 1) (global.get $zero)))", "integer divide by zero"],
  [
    "(drop (i32.div_s (i32.const -2147483648) (i32.sub (global.get $zero) (i32.const 1))))",
    "integer overflow",
  ],
  ["(drop (i32.trunc_f32_s (f32.const 1e30)))", "invalid conversion to integer"],
  ["(drop (i64.trunc_f64_u (f64.const nan)))", "invalid conversion to integer"],
  ["(drop (i32.load (i32.const -4)))", "out of bounds memory access"],
  ["(memory.fill (i32.const 65000) (i32.const 0) (i32.const 65000))", "out of bounds memory access"],
  [
    "(drop (table.get $t (i32.const 100)))",
    "undefined element: out of bounds table access",
  ],
  ["(throw_ref (ref.null exn))", "null reference"],
  ["(throw $thrown)", "an exception of the guest that nothing caught"],
];

for (const [body, text] of TRAPS) {
  test(body, () => {
    const module = wasm(
      `(module (memory 1) (table $t 1 funcref) (global $zero (mut i32) (i32.const 0)) (tag $thrown) (func (export "f") ${body}))`,
    );
    const { f } = new WebAssembly.Instance(new WebAssembly.Module(module as BufferSource)).exports;
    try {
      (f as () => void)();
    } catch (error) {
      return assert.is(trapText(error), `error while executing: wasm trap: ${text}`);
    }
    assert.unreachable("the guest came to its end");
  });
}

test("of a trap without words of ours, what called the guest is left out", () => {
  const error = new WebAssembly.RuntimeError("Something new (evaluating 'call(`x`, ...\n)')");
  assert.is(trapText(error), "error while executing: wasm trap: Something new");
});

test.run();
