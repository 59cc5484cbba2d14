// Code that runs once is dear by being compiled, when it is first called; no payment interrupts that. Bytes that never run allow a
// module more of it (`checkTracking`), so what it costs must be paid where it is called.
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { InlineEvaluator } from "../../evaluator/apply/inline.ts";
import { wholeRequest } from "../../evaluator/apply/pool.ts";
import { prepareModule } from "../../evaluator/apply/prepare.ts";
import { Writer } from "../../evaluator/render/wasm_binary.ts";
import { TEXT } from "../../evaluator/types/evaluation.ts";

const LIMIT_MS = 300;
/** What the issue allows, what it takes to make the guest, and the grain of the processor's clock. */
const LATE_MS = 160;
const PADDING = 1_000_000;
const encoder = new TextEncoder();
const I32 = 0x7f;

const FORMS: Readonly<Record<string, { readonly code: readonly number[]; readonly times: number }>> = {
  "branches out of blocks": { code: [0x02, 0x40, 0x20, 0, 0x0d, 0, 0x0b], times: 1_800 },
  "ifs with an else": { code: [0x20, 0, 0x04, 0x40, 0x05, 0x0b], times: 1_200 },
  loops: { code: [0x03, 0x40, 0x0b], times: 800 },
};

function writer(...bytes: readonly number[]): Writer {
  const content = new Writer();
  content.raw(...bytes);
  return content;
}

/** A function of 5,000 variables, full of the form. */
function coldBody({ code, times }: { readonly code: readonly number[]; readonly times: number }): Writer {
  const body = writer(1);
  body.u32(5_000);
  body.u8(I32);
  for (let count = 0; count < times; count++) body.raw(...code);
  body.u8(0x0b);
  return body;
}

/** Calls 20 functions, each of which it has in a copy of its own, and then loops; behind them are 20 MB that never run. */
function policy(form: (typeof FORMS)[string]): Uint8Array {
  const COLD = 20;
  const out = new Writer(24 << 20);
  out.raw(0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
  out.section(1, writer(3, 0x60, 0, 0, 0x60, 2, I32, I32, 1, I32, 0x60, 2, I32, I32, 0));
  const imports = writer(1);
  imports.name("wapc");
  imports.name("__guest_response");
  imports.raw(0, 2);
  out.section(2, imports);
  out.section(3, writer(1 + 2 * COLD, 1, ...Array<number>(2 * COLD).fill(0)));
  out.section(5, writer(1, 0, 1));
  const exports = writer(2);
  exports.name("memory");
  exports.raw(2, 0);
  exports.name("__guest_call");
  exports.raw(0, 1);
  out.section(7, exports);
  const main = writer(0, 0x20, 0, 0x41, 8, 0x47, 0x04, 0x40, 0x41, 0, 0x41, 14, 0x10, 0, 0x41, 1, 0x0f, 0x0b);
  for (let index = 0; index < COLD; index++) main.raw(0x10, 2 + index);
  main.raw(0x03, 0x40, 0x0c, 0, 0x0b, 0x41, 1, 0x0b);
  const padding = new Uint8Array(PADDING).fill(0x01);
  padding.set([0, 0x00]);
  padding[PADDING - 1] = 0x0b;
  const code = new Writer(22 << 20);
  code.u32(1 + 2 * COLD);
  const cold = coldBody(form);
  for (const body of [main, ...Array<Writer>(COLD).fill(cold)]) {
    code.u32(body.length);
    code.append(body);
  }
  for (let index = 0; index < COLD; index++) {
    code.u32(PADDING);
    code.copy(padding, 0, PADDING);
  }
  out.section(10, code);
  const data = writer(1, 0, 0x41, 0, 0x0b);
  data.name('{"valid":true}');
  out.section(11, data);
  return out.view();
}

function used(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

for (const [name, form] of Object.entries(FORMS)) {
  test(`functions of 5,000 variables and many ${name}, each called once, are stopped in time`, async () => {
    const evaluator = new InlineEvaluator();
    const module = evaluator.addModule(
      await prepareModule(policy(form), { memoryMib: 64 }, "kubewarden-wapc"),
    );
    const id = evaluator.addPolicy(
      { id: name, module, settings: encoder.encode("{}"), limitMs: LIMIT_MS },
      () => ({ ok: false, error: "no host calls" }),
    );
    assert.is((await evaluator.validateSettings(id)).kind, "settings");
    const before = used();
    const outcome = await evaluator.validate(
      id,
      wholeRequest({ json: encoder.encode("{}"), object: [0, 2] }),
    );
    const late = used() - before - LIMIT_MS;
    assert.ok(outcome.kind === "verdict");
    assert.is(outcome.verdict.status?.message, TEXT.interrupted);
    assert.ok(late <= LATE_MS, `${late.toFixed(0)} ms over the limit of ${LIMIT_MS} ms`);
    await evaluator.close();
  });
}

test.run();
