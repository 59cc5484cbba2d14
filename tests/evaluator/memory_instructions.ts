/** Every instruction with a memory argument that this runtime has, found by trying which bytes are valid, so that none is left out of a list. */
import { SECTION, Writer } from "../../evaluator/render/wasm_binary.ts";

const I32 = 0x7f;
/** Types, and how a constant of each is written whose bits are all the same. */
const CONSTANTS: readonly (readonly [type: number, write: (out: Writer, bits: 0 | 1) => void])[] = [
  [I32, (out, bits) => out.raw(0x41, bits ? 0x7f : 0)],
  [0x7e, (out, bits) => out.raw(0x42, bits ? 0x7f : 0)],
  [0x7d, (out, bits) => out.raw(0x43, ...Array<number>(4).fill(bits ? 255 : 0))],
  [0x7c, (out, bits) => out.raw(0x44, ...Array<number>(8).fill(bits ? 255 : 0))],
  [0x7b, (out, bits) => out.raw(0xfd, 12, ...Array<number>(16).fill(bits ? 255 : 0))],
];

/** How the address gets onto the stack, and at which offset from it the instruction stands. */
export interface AddressForm {
  readonly name: string;
  readonly push: readonly number[];
  readonly offset: number;
}

/** An instruction with what it needs to be valid. */
export interface MemoryInstruction {
  readonly name: string;
  readonly opcode: readonly number[];
  readonly align: number;
  readonly lane: boolean;
  readonly operands: readonly ((out: Writer, bits: 0 | 1) => void)[];
  readonly gives: boolean;
}

/**
 * A module whose functions `0`, `1` … take an address and do the instruction there in one of the forms: first its operands are all zeros
 * but for the last, which is all ones, then the other way round.
 */
export function moduleOf(
  instruction: MemoryInstruction,
  forms: readonly AddressForm[],
  pages = 5,
): Uint8Array {
  const { opcode, align, lane, operands, gives } = instruction;
  const out = new Writer(1024);
  out.raw(0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
  const section = (id: number, write: (content: Writer) => void) => {
    const content = new Writer(256);
    write(content);
    out.section(id, content);
  };
  const count = 2 * forms.length;
  section(SECTION.type, (content) => content.raw(1, 0x60, 1, I32, 0));
  section(SECTION.function, (content) => content.raw(count, ...Array<number>(count).fill(0)));
  section(SECTION.memory, (content) => content.raw(1, 0, pages));
  section(SECTION.export, (content) => {
    content.u8(count);
    for (let index = 0; index < count; index++) {
      content.name(String(index));
      content.raw(0, index);
    }
  });
  section(SECTION.code, (content) => {
    content.u8(count);
    for (let index = 0; index < count; index++) {
      const { push, offset } = forms[index >> 1]!;
      const body = new Writer(64);
      body.raw(0, ...push);
      operands.forEach((write, at) =>
        write(body, (at === operands.length - 1) === (index % 2 === 0) ? 1 : 0)
      );
      body.raw(...opcode, align);
      body.u32(offset);
      if (lane) body.u8(0);
      if (gives) body.u8(0x1a);
      body.u8(0x0b);
      content.u32(body.length);
      content.append(body);
    }
  });
  return out.view().slice();
}

export const PLAIN_FORM: AddressForm = { name: "a local variable", push: [0x20, 0], offset: 0 };

/** In which way an instruction is valid, if in any. */
function find(
  opcode: readonly number[],
  lane: boolean,
  forms: readonly AddressForm[],
): MemoryInstruction | undefined {
  const name = opcode.map((byte) => byte.toString(16)).join(" ");
  const operandLists = [
    [],
    ...CONSTANTS.map(([, write]) => [write]),
    ...CONSTANTS.map(([, write]) => [write, write]),
  ];
  for (const operands of operandLists) {
    for (const gives of [false, true]) {
      for (const align of [0, 1, 2, 3]) {
        const found = { name, opcode, align, lane, operands, gives };
        if (WebAssembly.validate(moduleOf(found, forms) as BufferSource)) return found;
      }
    }
  }
  return undefined;
}

/** All those that are valid in each of the forms. An offset of many bytes among them keeps out what has no memory argument. */
export function memoryInstructions(forms: readonly AddressForm[]): readonly MemoryInstruction[] {
  const range = (from: number, to: number) =>
    Array.from({ length: to - from + 1 }, (_, index) => from + index);
  const leb = (value: number) => value < 128 ? [value] : [(value & 127) | 128, value >> 7];
  const found = [
    ...range(0x28, 0x3e).map((opcode) => find([opcode], false, forms)),
    ...range(0, 0x113).flatMap((opcode) => {
      const bytes = [0xfd, ...leb(opcode)];
      return [find(bytes, false, forms) ?? find(bytes, true, forms)];
    }),
    // Waiting, 1 and 2, is refused.
    ...[0, ...range(3, 0x4e)].map((opcode) => find([0xfe, opcode], false, forms)),
  ];
  return found.filter((instruction) => instruction !== undefined);
}
