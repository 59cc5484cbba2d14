/** Builtins on numbers and quantities: `numbers.range_step`, `rand.intn`, `units.*`, `semver.*`, `cast_*`. */
import { type RegoBuiltins, RegoNumber, RegoObject, type RegoValue } from "../../types/rego.ts";
import { digitsValue, fixedText, type Fraction, fractionOf } from "../rego_number.ts";
import { bigintAt, fail, halt, membersAt, stringAt } from "../rego_operands.ts";
import { number, setOf, typeName } from "../rego_value.ts";
import { MAX_TEXT, MAX_VALUES } from "../../types/rego_limits.ts";
import { work } from "../work.ts";

const KIBI = 1024n;
const KILO = 1000n;
const BYTE_UNITS: Readonly<Record<string, bigint>> = Object.fromEntries(
  ["k", "m", "g", "t", "p", "e"].flatMap((letter, at) => {
    const power = BigInt(at + 1);
    return [
      [letter, KILO ** power],
      [`${letter}b`, KILO ** power],
      [`${letter}i`, KIBI ** power],
      [`${letter}ib`, KIBI ** power],
    ];
  }),
);
const UNITS: Readonly<Record<string, Fraction>> = Object.fromEntries([
  ["", { numerator: 1n, denominator: 1n }],
  // OPA's milli is the double nearest to a thousandth.
  ["m", { numerator: 1152921504606847n, denominator: 1152921504606846976n }],
  ...["k", "m", "g", "t", "p", "e"].flatMap((letter, at) => {
    const power = BigInt(at + 1);
    const upper = letter.toUpperCase();
    const whole = (numerator: bigint) => ({ numerator, denominator: 1n });
    return [
      ...(letter === "m" ? [] : [[letter, whole(KILO ** power)] as const]),
      [upper, whole(KILO ** power)] as const,
      [`${letter}i`, whole(KIBI ** power)] as const,
      [`${upper}i`, whole(KIBI ** power)] as const,
    ];
  }),
]);

/** Where the number ends and the unit begins; an `e` belongs to the number when an exponent follows. */
function amountAndUnit(text: string, builtin: string): readonly [amount: string, unit: string] {
  let at = 0;
  while (at < text.length) {
    work();
    const rest = text.slice(at);
    const exponent = /^[eE](?=[0-9+-])[+-]?([0-9]*)/.exec(rest);
    if (exponent) {
      if (exponent[1]!.length > 6) fail(`${builtin}: exponent too large`);
      at += /^[eE][+-]?/.exec(rest)![0].length;
    } else if (/^[0-9.+-]/.test(rest)) at++;
    else break;
  }
  return [text.slice(0, at), text.slice(at)];
}

function amountOf(text: string, builtin: string): readonly [Fraction, unit: string] {
  if (text.includes(" ")) fail(`${builtin}: spaces not allowed in resource strings`);
  const [amount, unit] = amountAndUnit(text, builtin);
  if (amount === "") fail(`${builtin}: no amount provided`);
  return [fractionOf(amount) ?? fail(`${builtin}: could not parse amount to a number`), unit];
}

/** A fraction as a big.Float of 64 bits' precision holds it: OPA computes bytes with such. */
function rounded({ numerator, denominator }: Fraction): Fraction {
  if (numerator === 0n) return { numerator, denominator };
  const negative = numerator < 0n;
  const magnitude = negative ? -numerator : numerator;
  let shift = 64 - (magnitude.toString(2).length - denominator.toString(2).length);
  const at = (by: number) =>
    by >= 0
      ? [magnitude << BigInt(by), denominator] as const
      : [magnitude, denominator << BigInt(-by)] as const;
  if (at(shift)[0] / at(shift)[1] >= 1n << 64n) shift--;
  const [above, below] = at(shift);
  let mantissa = above / below;
  const twice = (above % below) * 2n;
  if (twice > below || (twice === below && (mantissa & 1n) === 1n)) mantissa++;
  if (negative) mantissa = -mantissa;
  return shift >= 0
    ? { numerator: mantissa, denominator: 1n << BigInt(shift) }
    : { numerator: mantissa << BigInt(-shift), denominator: 1n };
}

interface Version {
  readonly numbers: readonly bigint[];
  readonly preRelease: string;
}

const IDENTIFIERS = /^[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*$/;

function parseVersion(text: string): Version | undefined {
  let version = text.replace(/^v/, "");
  const cut = (separator: string): string | undefined => {
    const at = version.indexOf(separator);
    if (at < 0) return undefined;
    const rest = version.slice(at + 1);
    version = version.slice(0, at);
    return rest;
  };
  const metadata = cut("+");
  if (metadata !== undefined && !IDENTIFIERS.test(metadata)) return undefined;
  const preRelease = cut("-");
  if (preRelease !== undefined) {
    if (!IDENTIFIERS.test(preRelease)) return undefined;
    if (preRelease.split(".").some((part) => /^0\d+$/.test(part))) return undefined;
  }
  const parts = version.split(".");
  if (parts.length !== 3 || !parts.every((part) => /^(0|[1-9]\d*)$/.test(part))) return undefined;
  const numbers = parts.map(digitsValue);
  if (numbers.some((part) => part > 2n ** 63n - 1n)) return undefined;
  return { numbers, preRelease: preRelease ?? "" };
}

function compareVersions(a: Version, b: Version): number {
  for (let at = 0; at < 3; at++) {
    if (a.numbers[at] !== b.numbers[at]) return a.numbers[at]! < b.numbers[at]! ? -1 : 1;
  }
  if (a.preRelease === b.preRelease) return 0;
  if (a.preRelease === "" || b.preRelease === "") return a.preRelease === "" ? 1 : -1;
  const left = a.preRelease.split(".");
  const right = b.preRelease.split(".");
  for (let at = 0; at < Math.min(left.length, right.length); at++) {
    const [one, other] = [left[at]!, right[at]!];
    if (one === other) continue;
    const [oneNumber, otherNumber] = [/^\d+$/.test(one), /^\d+$/.test(other)];
    if (oneNumber !== otherNumber) return oneNumber ? -1 : 1;
    if (!oneNumber) return one < other ? -1 : 1;
    const [oneValue, otherValue] = [digitsValue(one), digitsValue(other)];
    if (oneValue !== otherValue) return oneValue < otherValue ? -1 : 1;
  }
  return Math.sign(left.length - right.length);
}

/** A cast to the type that the value must have already. */
function cast(accepts: (value: RegoValue) => boolean, type: string) {
  return ([value = null]: readonly RegoValue[]): RegoValue =>
    accepts(value) ? value : fail(`operand 1 must be ${type} but got ${typeName(value)}`);
}

export const NUMBER_BUILTINS: RegoBuiltins = {
  "numbers.range_step": (operands) => {
    const [from, to, step] = [bigintAt(operands, 0), bigintAt(operands, 1), bigintAt(operands, 2)];
    if (step <= 0n) fail("numbers.range_step: step must be a positive integer");
    const up = from <= to;
    if ((up ? to - from : from - to) / step >= MAX_VALUES) {
      halt(`numbers.range_step: more than ${MAX_VALUES} numbers`);
    }
    const numbers: RegoValue[] = [];
    let length = 0;
    for (let at = from; up ? at <= to : at >= to; at += up ? step : -step) {
      const text = String(at);
      work(1 + ((text.length * text.length) >> 14));
      length += text.length;
      if (length > MAX_TEXT) halt(`numbers.range_step: numbers of more than ${MAX_TEXT} digits together`);
      numbers.push(new RegoNumber(text));
    }
    return numbers;
  },
  "rand.intn": (operands, context) => {
    const key = stringAt(operands, 0);
    const given = bigintAt(operands, 1);
    if (given === 0n) return number(0);
    const limit = given < 0n ? -given : given;
    return context.remember(`rand ${limit} ${key}`, () => {
      const bits = context.random(24).reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
      return number(bits % limit);
    });
  },
  "units.parse": (operands) => {
    const text = stringAt(operands, 0).replaceAll('"', "");
    const [amount, written] = amountOf(text, "units.parse");
    // Only the first letter's case tells `m` from `M`.
    const unit = written.slice(0, 1) + written.slice(1).toLowerCase();
    const factor = Object.hasOwn(UNITS, unit)
      ? UNITS[unit]!
      : fail(`units.parse: unit ${unit} not recognized`);
    const value = {
      numerator: amount.numerator * factor.numerator,
      denominator: amount.denominator * factor.denominator,
    };
    return value.numerator % value.denominator === 0n
      ? number(value.numerator / value.denominator)
      : new RegoNumber(fixedText(value, 10));
  },
  "units.parse_bytes": (operands) => {
    const text = stringAt(operands, 0).toLowerCase().replaceAll('"', "");
    const [amount, unit] = amountOf(text, "units.parse_bytes");
    const factor = unit === ""
      ? 1n
      : Object.hasOwn(BYTE_UNITS, unit)
      ? BYTE_UNITS[unit]!
      : fail(`units.parse_bytes: byte unit ${unit} not recognized`);
    const exact = rounded(amount);
    const value = rounded({ numerator: exact.numerator * factor, denominator: exact.denominator });
    return number(value.numerator / value.denominator);
  },
  "semver.is_valid": ([text = null]) => typeof text === "string" && parseVersion(text) !== undefined,
  "semver.compare": (operands) => {
    const [a, b] = [0, 1].map((at) => {
      const text = stringAt(operands, at);
      return parseVersion(text) ?? fail(`operand ${at + 1}: string ${text} is not a valid SemVer`);
    });
    return number(compareVersions(a!, b!));
  },
  cast_array: (operands) => membersAt(operands, 0),
  cast_set: (operands) => setOf(membersAt(operands, 0)),
  cast_string: cast((value) => typeof value === "string", "string"),
  cast_boolean: cast((value) => typeof value === "boolean", "boolean"),
  cast_null: cast((value) => value === null, "null"),
  cast_object: cast((value) => value instanceof RegoObject, "object"),
};
