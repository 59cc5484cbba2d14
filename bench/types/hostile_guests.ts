/**
 * Guests that never end, one for each family of instructions: each spends as much time as it can for what it pays. The bench of
 * prices measures how long they run between two looks at the clock, and the test of lateness how late they are stopped.
 */

/** What a family runs, as WebAssembly text. */
export interface HostileGuest {
  /** One round: it is repeated for ever. */
  readonly body: string;
  /** What stands beside the function. */
  readonly declarations?: string;
  /** Runs once, before the rounds. */
  readonly before?: string;
  /** Local variables of the function that runs the rounds. */
  readonly locals?: string;
  /** Pages of memory; 1 unless given. */
  readonly pages?: number;
  /** Exceptions as they were before `try_table`. */
  readonly legacy?: boolean;
}

const repeat = (count: number, text: string | ((index: number) => string)): string =>
  Array.from({ length: count }, (_, index) => typeof text === "string" ? text : text(index)).join(" ");

const I32_SINK = "(global $i32 (mut i32) (i32.const 1))";
const I64_SINK = "(global $i64 (mut i64) (i64.const -1))";
const F64_SINK = "(global $f64 (mut f64) (f64.const 2))";
const V128_SINK = "(global $v128 (mut v128) (v128.const i64x2 -1 3))";
/** Pages: 256 MiB. */
const LARGE = 4096;
const TABLE = 100_000;

/** Passes what `sink` holds through `text`, 300 times, and that 20 times. */
const chain = (sink: string, text: string): string =>
  repeat(20, `(global.set ${sink} (global.get ${sink}) ${repeat(300, text)})`);

/** Nests `count` times what `wrap` puts around. */
function nest(count: number, innermost: string, wrap: (inner: string, depth: number) => string): string {
  let text = innermost;
  for (let depth = 0; depth < count; depth++) text = wrap(text, depth);
  return text;
}

const MANY = 900;
/** The assembler makes six local variables of each. */
const THROWN = 700;
const types = (count: number, type = "i64") => repeat(count, type);
const zeros = (count: number) => repeat(count, "(i64.const 0)");
const drops = (count: number) => repeat(count, "(drop)");

/** Throws at the end of a chain of calls, with a handler in each function of it that does not fit. */
const DEEP_THROW = (depth: number) => `
  (tag $e) (tag $other (param i32))
  (func $deep (param i32)
    (if (local.get 0) (then (call $deep (i32.sub (local.get 0) (i32.const 1)))) (else (throw $e)))
    (global.set $i32 (local.get 0)))
  ${I32_SINK}
  (func $catching (block $c (try_table (catch_all $c) (call $deep (i32.const ${depth})))))`;

/** Far places of a large memory, one after the other, each depending on the last. */
const CHASE = (instruction: string) =>
  `(local.set $at (i32.and (i32.add (i32.mul (local.get $at) (i32.const 1664525)) (i32.const 1013904223)) (i32.const 268435448)))
   ${instruction}`;

/** By what each of them runs. */
export const HOSTILE_GUESTS: Readonly<Record<string, HostileGuest>> = {
  "an empty loop": { body: "" },
  "i64.div": {
    declarations: I64_SINK,
    body: repeat(
      400,
      "(global.set $i64 (i64.div_u (i64.const -7) (i64.or (global.get $i64) (i64.const 1))))",
    ),
  },
  "i64.rem": {
    declarations: I64_SINK,
    body: chain("$i64", "(i64.const 3) (i64.or) (local.set $x) (i64.const -3) (local.get $x) (i64.rem_s)"),
    locals: "(local $x i64)",
  },
  "f64.sqrt": {
    declarations: F64_SINK,
    body: chain("$f64", "(f64.sqrt)"),
  },
  "f64.div of subnormal numbers": {
    declarations: F64_SINK,
    before: "(local.set $x (f64.const 1.5)) (global.set $f64 (f64.const 0x1.8p-1060))",
    body: chain("$f64", "(local.get $x) (f64.div) (local.get $x) (f64.mul)"),
    locals: "(local $x f64)",
  },
  "f64.mul of subnormal numbers": {
    declarations: F64_SINK,
    before:
      "(local.set $x (f64.const 0.75)) (local.set $y (f64.const 1.5)) (global.set $f64 (f64.const 0x1.8p-1060))",
    body: chain("$f64", "(local.get $x) (f64.mul) (local.get $y) (f64.mul)"),
    locals: "(local $x f64) (local $y f64)",
  },
  "truncation and conversion": {
    declarations: F64_SINK,
    body: chain("$f64", "(i64.trunc_sat_f64_u) (f64.convert_i64_u)"),
  },
  "SIMD square roots": {
    declarations: V128_SINK,
    body: chain("$v128", "(f64x2.sqrt)"),
  },
  "SIMD shifts, shuffles and conversions": {
    declarations: V128_SINK,
    body: chain(
      "$v128",
      "(i8x16.popcnt) (i32.const 3) (i8x16.shr_s) (f64x2.convert_low_i32x4_u) (i32x4.trunc_sat_f64x2_u_zero) (local.tee $v) (local.get $v) (i64x2.mul)",
    ),
    locals: "(local $v v128)",
  },
  "loads that miss the caches": {
    pages: LARGE,
    declarations: I32_SINK,
    locals: "(local $at i32)",
    body: repeat(500, CHASE("(local.set $at (i32.add (local.get $at) (i32.load (local.get $at))))")),
  },
  "chained loads": {
    pages: LARGE,
    declarations: I32_SINK,
    locals: "(local $at i32)",
    // Each place holds where the next is: a walk over all of the memory.
    before: `(loop $fill
      (i32.store (local.get $at)
        (i32.and (i32.add (i32.mul (local.get $at) (i32.const 1664525)) (i32.const 1013904192)) (i32.const 268431360)))
      (br_if $fill (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 4096))) (i32.const 268435456))))
      (local.set $at (i32.const 4096))`,
    body: repeat(20, `(local.set $at (local.get $at) ${repeat(300, "(i32.load)")})`),
  },
  "first stores to fresh pages": {
    pages: LARGE,
    locals: "(local $at i32)",
    body: repeat(
      2_000,
      "(i32.store8 (local.get $at) (i32.const 1)) (local.set $at (i32.and (i32.add (local.get $at) (i32.const 4096)) (i32.const 268435455)))",
    ),
  },
  "first vector stores to fresh pages": {
    pages: LARGE,
    locals: "(local $at i32)",
    body: repeat(
      2_000,
      "(v128.store (local.get $at) (v128.const i64x2 1 1)) (local.set $at (i32.and (i32.add (local.get $at) (i32.const 4096)) (i32.const 268435455)))",
    ),
  },
  "first loads from fresh pages": {
    pages: LARGE,
    locals: "(local $at i32)",
    body: repeat(
      2_000,
      "(drop (i32.load (local.get $at))) (local.set $at (i32.and (i32.add (local.get $at) (i32.const 4096)) (i32.const 268435455)))",
    ),
  },
  "first stores to grown pages": {
    pages: 1,
    locals: "(local $at i32)",
    before: "(drop (memory.grow (i32.const 4095)))",
    body: repeat(
      2_000,
      "(i32.store8 (local.get $at) (i32.const 1)) (local.set $at (i32.and (i32.add (local.get $at) (i32.const 4096)) (i32.const 268435455)))",
    ),
  },
  "memory.fill of 1 byte": { body: repeat(500, "(memory.fill (i32.const 5) (i32.const 1) (i32.const 1))") },
  "memory.fill of 255 bytes": {
    body: repeat(500, "(memory.fill (i32.const 5) (i32.const 1) (i32.const 255))"),
  },
  "memory.fill of 256 MiB": {
    pages: LARGE,
    body: "(memory.fill (i32.const 0) (i32.const 1) (i32.const 268435456))",
  },
  "memory.copy of 255 bytes": {
    body: repeat(500, "(memory.copy (i32.const 5) (i32.const 777) (i32.const 255))"),
  },
  "memory.copy of 128 MiB": {
    pages: LARGE,
    body:
      "(memory.copy (i32.const 0) (i32.const 134217728) (i32.const 134217728)) (memory.copy (i32.const 4096) (i32.const 0) (i32.const 134217728))",
  },
  "memory.init of 1 MiB": {
    pages: 64,
    declarations: `(data $d "${"x".repeat(1 << 20)}")`,
    body: repeat(20, "(memory.init $d (i32.const 3) (i32.const 0) (i32.const 1048576))"),
  },
  "memory.init of 200 bytes": {
    declarations: `(data $d "${"x".repeat(200)}")`,
    body: repeat(500, "(memory.init $d (i32.const 3) (i32.const 0) (i32.const 200))"),
  },
  "data.drop": { declarations: `(data $d "xx")`, body: repeat(1_000, "(data.drop $d)") },
  "memory.grow by a page, to the limit": {
    body: repeat(100, "(drop (memory.grow (i32.const 1)))"),
  },
  "memory.grow at once": { body: "(drop (memory.grow (i32.const 4000)))" },
  "memory.grow by nothing, of a large memory": {
    pages: LARGE,
    body: repeat(200, "(drop (memory.grow (i32.const 0)))"),
  },
  "memory.grow beyond the limit": { body: repeat(200, "(drop (memory.grow (i32.const 9000)))") },
  "table.fill of 255 elements": {
    declarations: "(table $t 300 funcref) (func $f) (elem declare func $f)",
    body: repeat(200, "(table.fill $t (i32.const 0) (ref.func $f) (i32.const 255))"),
  },
  "table.fill of all elements": {
    declarations: `(table $t ${TABLE} funcref) (func $f) (elem declare func $f)`,
    body: repeat(50, `(table.fill $t (i32.const 0) (ref.func $f) (i32.const ${TABLE}))`),
  },
  "table.fill of no element": {
    declarations: "(table $t 300 funcref)",
    body: repeat(500, "(table.fill $t (i32.const 0) (ref.null func) (i32.const 0))"),
  },
  "table.copy of 255 elements": {
    declarations: "(table $t 600 funcref) (func $f) (elem declare func $f)",
    before: "(table.fill $t (i32.const 0) (ref.func $f) (i32.const 600))",
    body: repeat(200, "(table.copy $t $t (i32.const 0) (i32.const 300) (i32.const 255))"),
  },
  "table.copy of all elements": {
    declarations: `(table $t ${TABLE} funcref) (func $f) (elem declare func $f)`,
    before: `(table.fill $t (i32.const 0) (ref.func $f) (i32.const ${TABLE}))`,
    body: repeat(50, `(table.copy $t $t (i32.const 0) (i32.const 1) (i32.const ${TABLE - 1}))`),
  },
  "table.init of 255 elements": {
    declarations: `(table $t 300 funcref) (func $f) (elem $e func ${repeat(255, "$f")})`,
    body: repeat(200, "(table.init $t $e (i32.const 0) (i32.const 0) (i32.const 255))"),
  },
  "table.grow": {
    declarations: `(table $t 1 funcref)`,
    body: repeat(100, "(drop (table.grow $t (ref.null func) (i32.const 1)))"),
  },
  "table.grow beyond the limit": {
    declarations: `(table $t 1 funcref)`,
    body: repeat(100, `(drop (table.grow $t (ref.null func) (i32.const ${TABLE})))`),
  },
  "table.get, table.set and ref.func": {
    declarations: "(table $t 2 funcref) (func $f) (elem declare func $f)",
    body: repeat(
      500,
      "(table.set $t (i32.const 1) (ref.func $f)) (table.set $t (i32.const 0) (table.get $t (i32.const 1)))",
    ),
  },
  "throw and catch": {
    declarations: "(tag $e (param i32))",
    body: repeat(
      50,
      "(block $c (result i32) (try_table (catch $e $c) (throw $e (i32.const 1))) (i32.const 1)) (drop)",
    ),
  },
  "throw_ref": {
    declarations: "(tag $e)",
    locals: "(local $x exnref)",
    before:
      "(local.set $x (block $c (result exnref) (try_table (catch_all_ref $c) (throw $e)) (unreachable)))",
    body: repeat(50, "(block $c (try_table (catch_all $c) (throw_ref (local.get $x))))"),
  },
  "throw of 700 values": {
    declarations: `(tag $e (param ${types(THROWN)}))`,
    body: repeat(
      3,
      `(block $c (result ${types(THROWN)}) (try_table (catch $e $c) ${
        zeros(THROWN)
      } (throw $e)) (unreachable)) ${drops(THROWN)}`,
    ),
  },
  "throw through one function": {
    declarations: "(tag $e) (func $throws (throw $e))",
    body: repeat(50, "(block $c (try_table (catch_all $c) (call $throws)))"),
  },
  "throw through 5,000 frames": {
    declarations: DEEP_THROW(5_000),
    body: "(call $catching)",
  },
  "throws at the end of a deep stack": {
    declarations: `(tag $e) ${I32_SINK} (func $deep (param i32)
      (if (local.get 0) (then (call $deep (i32.sub (local.get 0) (i32.const 1)))) (else
        (loop $l ${repeat(50, "(block $c (try_table (catch_all $c) (throw $e)))")} (br $l))))
      (global.set $i32 (local.get 0)))`,
    body: "(call $deep (i32.const 5000))",
  },
  "throws past handlers that don't fit": {
    declarations: `(tag $e) (tag $other) (func $f ${
      nest(200, "(throw $e)", (inner, depth) =>
        `(block $c${depth} (try_table (catch $other $c${depth}) ${inner}))`)
    })`,
    body: repeat(20, "(block $c (try_table (catch_all $c) (call $f)))"),
  },
  "legacy throw and catch": {
    legacy: true,
    declarations: "(tag $e)",
    body: repeat(50, "(try (do (throw $e)) (catch $e))"),
  },
  "legacy rethrow": {
    legacy: true,
    declarations: "(tag $e)",
    body: repeat(50, "(try (do (try $l (do (throw $e)) (catch_all (rethrow $l)))) (catch_all))"),
  },
  "legacy delegate": {
    legacy: true,
    declarations: "(tag $e)",
    body: repeat(50, "(try $outer (do (try (do (throw $e)) (delegate $outer))) (catch_all))"),
  },
  "900 results": {
    declarations: `(func $many (result ${types(MANY)}) ${zeros(MANY)})`,
    body: `(call $many) ${drops(MANY)}`,
  },
  "900 parameters": {
    declarations: `(func $many (param ${types(MANY)})) (func $through (param ${types(MANY)}) ${
      repeat(5, `${repeat(MANY, (index) => `(local.get ${index})`)} (call $many)`)
    })`,
    body: `${zeros(MANY)} (call $through)`,
  },
  "900 parameters and results, handed on": {
    declarations: `(func $same (param ${types(MANY)}) (result ${types(MANY)}) ${
      repeat(MANY, (index) => `(local.get ${MANY - 1 - index})`)
    })`,
    body: `${zeros(MANY)} (call $same) ${drops(MANY)}`,
  },
  "900 parameters and results, indirectly": {
    declarations: `(type $s (func (param ${types(MANY)}) (result ${
      types(MANY)
    }))) (table funcref (elem $same))
     (func $same (type $s) ${repeat(MANY, (index) => `(local.get ${MANY - 1 - index})`)})`,
    body: `${zeros(MANY)} (call_indirect (type $s) (i32.const 0)) ${drops(MANY)}`,
  },
  "loops of 900 values": {
    declarations: `(type $b (func (param ${types(MANY)}) (result ${types(MANY)})))`,
    body: `${zeros(MANY)} (loop $x (type $b) (br_if $x (i32.const 1))) ${drops(MANY)}`,
  },
  "br_table": {
    locals: "(local $x i32)",
    body: repeat(
      3,
      `(block $a (block $b (br_table ${
        repeat(3_000, (index) => index % 2 ? "$a" : "$b")
      } (local.tee $x (i32.and (i32.add (local.get $x) (i32.const 977)) (i32.const 2047))))))`,
    ),
  },
  "indirect calls": {
    declarations: `(type $s (func)) (table funcref (elem ${repeat(64, (index) => `$f${index}`)})) ${I32_SINK}
     ${repeat(64, (index) => `(func $f${index} (global.set $i32 (i32.const ${index})))`)}`,
    locals: "(local $x i32)",
    body: repeat(
      200,
      "(call_indirect (type $s) (local.tee $x (i32.and (i32.add (i32.mul (local.get $x) (i32.const 5)) (i32.const 13)) (i32.const 63))))",
    ),
  },
  "call_ref": {
    declarations: `(type $s (func)) (func $f (type $s)) (elem declare func $f)`,
    body: repeat(200, "(call_ref $s (ref.func $f))"),
  },
  "return_call": {
    declarations:
      `${I32_SINK} (func $a (param i32) (result i32) (if (i32.eqz (local.get 0)) (then (return (i32.const 0)))) (return_call $b (i32.sub (local.get 0) (i32.const 1))))
     (func $b (param i32) (result i32) (return_call $a (local.get 0)))`,
    body: "(drop (call $a (i32.const 1000000000)))",
  },
  "deep recursion": {
    declarations: `(func $deep (param i32) (result i64) (local ${types(100)})
      (if (i32.eqz (local.get 0)) (then (return (i64.const 1))))
      (local.set 7 (call $deep (i32.sub (local.get 0) (i32.const 1)))) (i64.add (local.get 7) (local.get 9)))`,
    body: "(drop (call $deep (i32.const 500)))",
  },
  "functions with 4,900 local variables": {
    declarations: `${I64_SINK} (func $leaf (local ${types(4_900)}) (global.set $i64 (local.get 7)))`,
    body: repeat(400, "(call $leaf)"),
  },
  "straight code": {
    declarations: I64_SINK,
    body: repeat(12_000, "(global.set $i64 (i64.add (global.get $i64) (i64.const 77777777777)))"),
  },
  "many functions called once": {
    declarations: `${I32_SINK} ${
      repeat(400, (index) =>
        `(func $f${index} (param i32) (if (local.get 0) (then ${
          repeat(250, `(global.set $i32 (i32.add (global.get $i32) (i32.const ${index})))`)
        })))`)
    }`,
    body: repeat(400, (index) => `(call $f${index} (i32.const 0))`),
  },
  "atomic operations": {
    body: repeat(
      500,
      "(drop (i64.atomic.rmw.add (i32.const 8) (i64.const 1))) (drop (i32.atomic.rmw8.cmpxchg_u (i32.const 16) (i32.const 1) (i32.const 2)))",
    ),
  },
  "memory.atomic.notify": { body: repeat(500, "(drop (memory.atomic.notify (i32.const 8) (i32.const 1)))") },
  "short functions that pay nothing": {
    declarations:
      `${I64_SINK} (func $leaf (param i64) (result i64) (i64.div_u (local.get 0) (i64.or (local.get 0) (i64.const 1))))`,
    body: repeat(400, "(global.set $i64 (call $leaf (global.get $i64)))"),
  },
  "return_call_indirect": {
    declarations: `(type $s (func (param i32))) (table funcref (elem $a)) (func $a (type $s)
      (if (i32.eqz (local.get 0)) (then (return))) (return_call_indirect (type $s) (i32.sub (local.get 0) (i32.const 1)) (i32.const 0)))`,
    body: "(call $a (i32.const 1000000000))",
  },
  "global.get and global.set": {
    declarations: I64_SINK,
    body: repeat(2_000, "(global.set $i64 (global.get $i64))"),
  },
};

/** The function `$hostile` that runs a guest's rounds for ever, and what stands beside it. */
export function hostileText({ body, declarations = "", before = "", locals = "" }: HostileGuest): string {
  return `${declarations} (func $hostile ${locals} ${before} (loop $round ${body} (br $round)))`;
}

/** What was measured of a guest: processor time in milliseconds. */
export interface PriceRow {
  readonly name: string;
  /** Between two looks at the clock, on average and at most. */
  readonly meanMs: number;
  readonly longestMs: number;
  /** After it had run for as long as it was allowed to. */
  readonly lateMs: number;
}
