/**
 * JSON to QuickJS's values, in AssemblyScript. It does what `JS_ParseJSON` does, in two thirds of its time: names that QuickJS knows
 * are looked up where they stand, and texts are copied as a whole. What is rare (escapes, texts that are not ASCII, numbers that
 * are no short integers) `JS_ParseJSON` reads, piece by piece; what can't be read it is given as a whole, for its error.
 */
declare function JS_NewObject(context: usize): i64;
declare function JS_NewArray(context: usize): i64;
declare function JS_NewStringLen(context: usize, at: usize, length: usize): i64;
declare function JS_NewAtomLen(context: usize, at: usize, length: usize): u32;
declare function JS_ValueToAtom(context: usize, value: i64): u32;
declare function JS_FreeAtom(context: usize, atom: u32): void;
declare function JS_FreeValue(context: usize, value: i64): void;
declare function JS_DefinePropertyValue(context: usize, object: i64, atom: u32, value: i64, flags: i32): i32;
declare function JS_DefinePropertyValueUint32(
  context: usize,
  array: i64,
  index: u32,
  value: i64,
  flags: i32,
): i32;
declare function JS_ParseJSON(context: usize, text: usize, length: usize, name: usize): i64;

// What values are made of: a tag in the upper half.
const BOOLEAN: i64 = 1 << 32;
const NULL: i64 = 2 << 32;
const EXCEPTION: i64 = 6 << 32;
/** Configurable, writable, enumerable. */
const ORDINARY: i32 = 7;
/** What is nested more deeply is left to `JS_ParseJSON`, which watches its stack. */
const MAX_DEPTH: i32 = 64;
const MAX_DIGITS: usize = 9;
/** "null", "true" and "alse" as they stand in memory. */
const N_U_L_L: u32 = 0x6c6c756e, T_R_U_E: u32 = 0x65757274, A_L_S_E: u32 = 0x65736c61;

let context: usize = 0;
/** Where the text's name is, for errors. */
let name: usize = 0;
/** Where the next character is. Behind the text's end is a zero. */
let at: usize = 0;

/** The text of `length` bytes at `text`, behind which a zero stands; an exception as `JS_ParseJSON` throws it. */
export function parse(inContext: usize, text: usize, length: usize, textName: usize): i64 {
  context = inContext;
  name = textName;
  at = text;
  const value = readValue(0);
  if (value != EXCEPTION) {
    skipSpace();
    if (at == text + length) return value;
    JS_FreeValue(context, value);
  }
  return JS_ParseJSON(context, text, length, name);
}

function skipSpace(): void {
  while (true) {
    const byte = load<u8>(at);
    if (byte != 0x20 && byte != 0x0a && byte != 0x0d && byte != 0x09) return;
    at++;
  }
}

function readValue(depth: i32): i64 {
  skipSpace();
  const byte = load<u8>(at);
  if (byte == 0x22) return readString();
  if (byte == 0x7b) return depth < MAX_DEPTH ? readObject(depth) : EXCEPTION;
  if (byte == 0x5b) return depth < MAX_DEPTH ? readArray(depth) : EXCEPTION;
  if (byte == 0x2d || byte - 0x30 < 10) return readNumber();
  if (byte == 0x6e && load<u32>(at) == N_U_L_L) return literal(4, NULL);
  if (byte == 0x74 && load<u32>(at) == T_R_U_E) return literal(4, BOOLEAN | 1);
  if (byte == 0x66 && load<u32>(at + 1) == A_L_S_E) return literal(5, BOOLEAN);
  return EXCEPTION;
}

function literal(length: usize, value: i64): i64 {
  at += length;
  return value;
}

/** What stands from `start` to where we are, read by `JS_ParseJSON`. */
function readBefore(start: usize): i64 {
  const next = load<u8>(at);
  store<u8>(at, 0);
  const value = JS_ParseJSON(context, start, at - start, name);
  store<u8>(at, next);
  return value;
}

/** Goes behind the text that begins here. Whether it can be copied as it is. */
function skipString(): bool {
  let bits: u8 = 0;
  while (true) {
    const byte = load<u8>(++at);
    if (byte == 0x22 || byte == 0x5c || byte < 0x20) break;
    bits |= byte;
  }
  let plain = bits < 0x80;
  while (load<u8>(at) != 0x22) {
    plain = false;
    const byte = load<u8>(at);
    if (byte < 0x20) return false; // nothing ends it: what reads it says so
    at += byte == 0x5c && load<u8>(at + 1) != 0 ? 2 : 1;
  }
  at++;
  return plain;
}

function readString(): i64 {
  const start = at;
  return skipString() ? JS_NewStringLen(context, start + 1, at - start - 2) : readBefore(start);
}

/** The name of a member; 0 where there is none. */
function readName(): u32 {
  if (load<u8>(at) != 0x22) return 0;
  const start = at;
  if (skipString()) return JS_NewAtomLen(context, start + 1, at - start - 2);
  const text = readBefore(start);
  if (text == EXCEPTION) return 0;
  const atom = JS_ValueToAtom(context, text);
  JS_FreeValue(context, text);
  return atom;
}

function readNumber(): i64 {
  const start = at;
  const negative = load<u8>(at) == 0x2d;
  if (negative) at++;
  const first = at;
  let value: i32 = 0;
  while (load<u8>(at) - 0x30 < 10) {
    value = value * 10 + load<u8>(at) - 0x30;
    at++;
  }
  const digits = at - first;
  const byte = load<u8>(at) | 0x20; // "e" for "E"; what a "." becomes nothing else does that may follow
  const whole = byte != 0x65 && load<u8>(at) != 0x2e;
  // Zero has a sign, and no number begins with it.
  if (whole && digits > 0 && digits <= MAX_DIGITS && (load<u8>(first) != 0x30 || digits == 1 && !negative)) {
    return <i64> <u32> (negative ? -value : value);
  }
  while (isOfNumber(load<u8>(at))) at++;
  return readBefore(start);
}

function isOfNumber(byte: u8): bool {
  return byte - 0x30 < 10 || byte == 0x2b || byte == 0x2d || byte == 0x2e || (byte | 0x20) == 0x65;
}

function readObject(depth: i32): i64 {
  const object = JS_NewObject(context);
  if (object == EXCEPTION) return EXCEPTION;
  at++;
  skipSpace();
  if (load<u8>(at) == 0x7d) {
    at++;
    return object;
  }
  while (true) {
    skipSpace();
    if (!readMember(object, depth)) break;
    skipSpace();
    const byte = load<u8>(at++);
    if (byte == 0x7d) return object;
    if (byte != 0x2c) break;
  }
  JS_FreeValue(context, object);
  return EXCEPTION;
}

function readMember(object: i64, depth: i32): bool {
  const atom = readName();
  if (atom == 0) return false;
  skipSpace();
  let done = false;
  if (load<u8>(at) == 0x3a) {
    at++;
    const value = readValue(depth + 1);
    done = value != EXCEPTION && JS_DefinePropertyValue(context, object, atom, value, ORDINARY) >= 0;
  }
  JS_FreeAtom(context, atom);
  return done;
}

function readArray(depth: i32): i64 {
  const array = JS_NewArray(context);
  if (array == EXCEPTION) return EXCEPTION;
  at++;
  skipSpace();
  if (load<u8>(at) == 0x5d) {
    at++;
    return array;
  }
  for (let index: u32 = 0;; index++) {
    const value = readValue(depth + 1);
    if (value == EXCEPTION || JS_DefinePropertyValueUint32(context, array, index, value, ORDINARY) < 0) break;
    skipSpace();
    const byte = load<u8>(at++);
    if (byte == 0x5d) return array;
    if (byte != 0x2c) break;
  }
  JS_FreeValue(context, array);
  return EXCEPTION;
}
