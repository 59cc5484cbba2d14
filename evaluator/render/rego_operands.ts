/** Operands of builtins, checked: each function gives what it names or throws {@link BuiltinError}. */
import { BuiltinError, RegoNumber, RegoObject, RegoSet, type RegoValue } from "../types/rego.ts";
import { integerOf } from "./rego_number.ts";
import { isList, typeName } from "./rego_value.ts";

export { halt } from "./work.ts";

function refuse(operands: readonly RegoValue[], at: number, expected: string): never {
  throw new BuiltinError(
    `operand ${at + 1} must be ${expected} but got ${typeName(operands[at] ?? null)}`,
  );
}

/** Fails with a text. */
export function fail(message: string): never {
  throw new BuiltinError(message);
}

/** The string at an index. */
export function stringAt(operands: readonly RegoValue[], at: number): string {
  const value = operands[at];
  return typeof value === "string" ? value : refuse(operands, at, "string");
}

/** The number at an index. */
export function numberAt(operands: readonly RegoValue[], at: number): RegoNumber {
  const value = operands[at];
  return value instanceof RegoNumber ? value : refuse(operands, at, "number");
}

/** The integer of any size at an index. */
export function bigintAt(operands: readonly RegoValue[], at: number): bigint {
  return integerOf(numberAt(operands, at).text) ?? refuse(operands, at, "integer number");
}

const INT_MIN = -(2n ** 63n), INT_MAX = 2n ** 63n - 1n;

/** The 64-bit integer at an index, saturated to what JavaScript counts exactly. */
export function integerAt(operands: readonly RegoValue[], at: number): number {
  const value = bigintAt(operands, at);
  if (value < INT_MIN || value > INT_MAX) return refuse(operands, at, "integer number");
  const limit = BigInt(Number.MAX_SAFE_INTEGER);
  return Number(value > limit ? limit : value < -limit ? -limit : value);
}

/** The array at an index. */
export function listAt(operands: readonly RegoValue[], at: number): readonly RegoValue[] {
  const value = operands[at];
  return value !== undefined && isList(value) ? value : refuse(operands, at, "array");
}

/** The object at an index. */
export function objectAt(operands: readonly RegoValue[], at: number): RegoObject {
  const value = operands[at];
  return value instanceof RegoObject ? value : refuse(operands, at, "object");
}

/** The members of the array or set at an index. */
export function membersAt(operands: readonly RegoValue[], at: number): readonly RegoValue[] {
  const value = operands[at];
  if (value instanceof RegoSet) return value.members;
  return value !== undefined && isList(value) ? value : refuse(operands, at, "one of {array, set}");
}
