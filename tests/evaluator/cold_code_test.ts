// Code that runs once is dear by being compiled, when it is first called; no payment interrupts that. Bytes that never run allow a
// module more of it (`checkTracking`), so what it costs must be paid where it is called.
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Deadline } from "../../evaluator/apply/deadline.ts";
import { instrument } from "../../evaluator/render/instrument.ts";
import { Writer } from "../../evaluator/render/wasm_binary.ts";

/** Processor time after which a guest is stopped. */
const RUN_MS = 300;
/** What the issue allows, and the grain of the processor's clock. */
const LATE_MS = 110;
const PADDING = 1_000_000;
const I32 = 0x7f;
const F64 = 0x7c, V128 = 0x7b, FUNCREF = 0x70;
/** The type of a block without parameters and results. */
const EMPTY = 0x40;

/** What functions are full of: instructions that leave the stack as it was. */
interface Form {
  readonly code: readonly number[];
  readonly times: number;
  readonly locals: number;
  readonly type?: number;
  readonly functions: number;
}

const FORMS: Readonly<Record<string, Form>> = {
  ...Object.fromEntries(
    Object.entries({
      "branches out of blocks": { code: [0x02, EMPTY, 0x20, 0, 0x0d, 0, 0x0b], times: 1_300 },
      "ifs with an else": { code: [0x20, 0, 0x04, EMPTY, 0x05, 0x0b], times: 800 },
      loops: { code: [0x03, EMPTY, 0x0b], times: 580 },
    }).map(([name, form]) => [`5,000 variables and many ${name}`, { ...form, locals: 5_000, functions: 20 }]),
  ),
  // Node's first compiler writes much code for each of these.
  ...Object.fromEntries(
    Object.entries<Pick<Form, "code" | "times" | "type">>({
      "indirect calls": { code: [0x41, 0, 0x11, 0, 0], times: 45_000 },
      throws: { code: [0x20, 0, 0x04, EMPTY, 0x08, 0, 0x0b], times: 45_000 },
      "saturating truncations": { code: [0x20, 0, 0xfc, 7, 0x1a], times: 45_000, type: F64 },
      "truncations to u64": { code: [0x20, 0, 0xb1, 0x1a], times: 70_000, type: F64 },
      "table.grow": { code: [0xd0, FUNCREF, 0x41, 0, 0xfc, 15, 0, 0x1a], times: 40_000 },
      "stores": { code: [0x41, 0, 0x41, 0, 0x36, 0, 0], times: 110_000 },
      "data.drop": { code: [0xfc, 9, 0], times: 110_000 },
      "i8x16.popcnt": { code: [0x20, 0, 0xfd, 0x62, 0x1a], times: 70_000, type: V128 },
      "i8x16.shuffle": {
        code: [0x20, 0, 0x20, 0, 0xfd, 13, ...Array.from({ length: 16 }, (_, lane) => lane * 7 % 32), 0x1a],
        times: 35_000,
        type: V128,
      },
    }).map(([name, form]) => [`many ${name}`, { ...form, locals: 1, functions: 40 }]),
  ),
  "short ones with truncations, which pay nothing": {
    code: [0x20, 0, 0xfc, 7, 0x1a],
    times: 90,
    locals: 1,
    type: F64,
    functions: 20_000,
  },
};

function writer(...bytes: readonly number[]): Writer {
  const content = new Writer();
  content.raw(...bytes);
  return content;
}

/** A function full of the form, behind a branch that leaves at once: what is measured is that it is compiled, not that it runs. */
function coldBody({ code, times, locals, type = I32 }: Form): Writer {
  const body = writer(1);
  body.u32(locals);
  body.u8(type);
  if (locals === 1) body.raw(0x41, 1, 0x0d, 0);
  for (let count = 0; count < times; count++) body.raw(...code);
  body.u8(0x0b);
  return body;
}

/**
 * Calls functions of the form, each of which it has in a copy of its own, and then loops; behind those with many variables are 20 MB that
 * never run.
 */
function guest(form: Form): Uint8Array {
  const COLD = form.functions;
  const padded = form.locals > 1 ? COLD : 0;
  const out = new Writer(24 << 20);
  out.raw(0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
  out.section(1, writer(1, 0x60, 0, 0));
  const functions = new Writer();
  functions.u32(1 + COLD + padded);
  for (let index = 0; index < 1 + COLD + padded; index++) functions.u8(0);
  out.section(3, functions);
  out.section(4, writer(1, FUNCREF, 0, 1));
  out.section(5, writer(1, 0, 1));
  out.section(13, writer(1, 0, 0));
  const exports = writer(1);
  exports.name("run");
  exports.raw(0, 0);
  out.section(7, exports);
  out.section(12, writer(1));
  const main = writer(0);
  for (let index = 0; index < COLD; index++) {
    main.u8(0x10);
    main.u32(1 + index);
  }
  main.raw(0x03, EMPTY, 0x0c, 0, 0x0b, 0x0b);
  const padding = new Uint8Array(PADDING).fill(0x01);
  padding.set([0, 0x00]);
  padding[PADDING - 1] = 0x0b;
  const code = new Writer(22 << 20);
  code.u32(1 + COLD + padded);
  const cold = coldBody(form);
  code.u32(main.length);
  code.append(main);
  for (let index = 0; index < COLD; index++) {
    code.u32(cold.length);
    code.append(cold);
  }
  for (let index = 0; index < padded; index++) {
    code.u32(PADDING);
    code.copy(padding, 0, PADDING);
  }
  out.section(10, code);
  out.section(11, writer(1, 1, 0));
  return out.view();
}

/** Milliseconds that this thread has used a processor. Some kernels count in steps of 4 ms. */
function used(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

for (const [name, form] of Object.entries(FORMS)) {
  test(`functions: ${name}, each called once, are stopped in time`, async () => {
    const { bytes } = instrument(guest(form), { maxPages: 16, recordsWrites: true });
    const instance = await WebAssembly.instantiate(await WebAssembly.compile(bytes as BufferSource));
    const start = used();
    let last = start, longest = 0;
    const deadline = new Deadline(() => {
      const now = used();
      longest = Math.max(longest, now - last);
      last = now;
      if (now - start > RUN_MS) deadline.expire();
    });
    deadline.attach(instance);
    deadline.arm(Infinity);
    assert.throws(() => (instance.exports["run"] as () => void)(), /unreachable/i);
    longest = Math.max(longest, used() - last);
    assert.ok(longest <= LATE_MS, `${longest.toFixed(0)} ms between two looks at the clock`);
  });
}

test.run();
