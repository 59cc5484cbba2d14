/**
 * JSON whose numbers are to be known as they are written. A reviver of `JSON.parse` is told that, too, but it is called by recursion,
 * which a text of some KiB that nests deep makes overflow the stack (Node 26 from 3,000 levels on, Bun from 5,000; API servers take
 * 10,000), and V8 corrupts its memory when that happens often (`tests/fuzz/found/verdicts/v8-crash-in-a-reviver`). So nothing of
 * the product gives `JSON.parse` a reviver (`tests/json_numbers_test.ts`).
 */

import { setOwn } from "./own.ts";

/** A list, or the members of an object, that is being read; `name` waits for its value. */
type Open =
  | { readonly items: unknown[] }
  | { readonly members: Record<string, unknown>; name: string | undefined };

/** Where the number that begins at `start` ends, in valid JSON. */
function endOfNumber(text: string, start: number): number {
  let end = start + 1;
  for (;; end++) {
    const unit = text.charCodeAt(end);
    // Digits, and of what JSON allows behind a number nothing else than these is a part of one: + - . E e
    if (unit >= 0x30 && unit <= 0x39) continue;
    if (unit !== 0x2b && unit !== 0x2d && unit !== 0x2e && unit !== 0x45 && unit !== 0x65) return end;
  }
}

/** Where the string that begins at `start` ends, in valid JSON. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1);; end = text.indexOf('"', end + 1)) {
    let escapes = 0;
    while (text.charCodeAt(end - 1 - escapes) === 0x5c) escapes++;
    if (escapes % 2 === 0) return end + 1;
  }
}

const NO_STEP = () => {};

/**
 * Parses JSON as `JSON.parse` does, with `number` called for each number, with its text, and `step` before each value and name: it ends the
 * parsing by throwing. It nests as deep as the text does: who goes into the value by recursion bounds its depth first.
 *
 * ```ts
 * parseNumbers('{"a":[1.0,2]}', (source) => source); // { a: ["1.0", "2"] }
 * ```
 *
 * @throws {SyntaxError} as `JSON.parse`
 */
// In one piece: policies in TypeScript run it in an interpreter, where every call and private field is paid for from their budget.
export function parseNumbers(
  text: string,
  number: (source: string) => unknown,
  step: () => void = NO_STEP,
): unknown {
  // Says what is wrong as people know it, and spares what follows all checks.
  JSON.parse(text);
  let root: unknown;
  let open: Open | undefined;
  const outer: (Open | undefined)[] = [];
  const add = (value: unknown) => {
    step();
    if (open === undefined) root = value;
    else if ("items" in open) open.items.push(value);
    else {
      // Members that are called `__proto__` are members like others.
      setOwn(open.members, open.name!, value);
      open.name = undefined;
    }
  };
  for (let at = 0; at < text.length;) {
    switch (text.charCodeAt(at)) {
      case 0x7b: // {
        outer.push(open);
        open = { members: {}, name: undefined };
        at++;
        break;
      case 0x5b: // [
        outer.push(open);
        open = { items: [] };
        at++;
        break;
      case 0x7d: // }
      case 0x5d: { // ]
        const value = "items" in open! ? open.items : open!.members;
        open = outer.pop();
        add(value);
        at++;
        break;
      }
      case 0x22: { // "
        const end = endOfString(text, at);
        const raw = text.slice(at, end);
        const string = raw.includes("\\") ? JSON.parse(raw) as string : raw.slice(1, -1);
        if (open !== undefined && "members" in open && open.name === undefined) {
          step();
          open.name = string;
        } else add(string);
        at = end;
        break;
      }
      case 0x74: // true
        add(true);
        at += 4;
        break;
      case 0x66: // false
        add(false);
        at += 5;
        break;
      case 0x6e: // null
        add(null);
        at += 4;
        break;
      case 0x2d: // -
      case 0x30:
      case 0x31:
      case 0x32:
      case 0x33:
      case 0x34:
      case 0x35:
      case 0x36:
      case 0x37:
      case 0x38:
      case 0x39: {
        const end = endOfNumber(text, at);
        add(number(text.slice(at, end)));
        at = end;
        break;
      }
      default: // White space, commas and colons.
        at++;
    }
  }
  return root;
}
