/** Exact arithmetic on the texts of numbers: fractions of big integers, and what Go makes of numbers in text. */
import { halt, work, workOn } from "./work.ts";

/** A fraction; the denominator is positive. */
export interface Fraction {
  readonly numerator: bigint;
  readonly denominator: bigint;
}

/** Exponents beyond this are refused where the number has to be written out: `1e999999999` must not. */
const MAX_EXPONENT = 5000;
/** Digits of a number that is computed with. Runtimes take quadratic time for longer ones (2 ms for these). */
const MAX_DIGITS = 20_000;
/** Digits of an exponent: far beyond what can be written out, and exact as a double. */
const MAX_EXPONENT_DIGITS = 15;
const DECIMAL = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/;
const INTEGER = /^-?(0|[1-9]\d*)$/;
const PLAIN_INTEGER = /^-?\d+$/;

/** The integer that plain digits spell. Throws BuiltinHalt for too many of them. */
export function digitsValue(text: string): bigint {
  if (text.length > MAX_DIGITS) halt(`a number of ${text.length} digits: the limit is ${MAX_DIGITS}`);
  work(1 + ((text.length * text.length) >> 12));
  return BigInt(text);
}

function exponentOf(text: string): number {
  const digits = text.replace(/^[+-]?0*/, "");
  if (digits.length > MAX_EXPONENT_DIGITS) halt(`an exponent of ${digits.length} digits`);
  return Number(text);
}

/** The fraction that a decimal number spells; undefined for other text. Throws BuiltinHalt for one that is out of reach. */
export function fractionOf(text: string): Fraction | undefined {
  workOn(text.length);
  const match = DECIMAL.exec(text);
  if (!match) return undefined;
  const [, sign, whole = "", fraction = "", exponentText = "0"] = match;
  if (whole === "" && fraction === "") return undefined;
  const written = exponentOf(exponentText);
  if (Math.abs(written) > MAX_EXPONENT) {
    halt(`a number with the exponent ${written}: the limit is ${MAX_EXPONENT}`);
  }
  const exponent = written - fraction.length;
  const magnitude = digitsValue(`${whole}${fraction}`);
  const digits = sign === "-" ? -magnitude : magnitude;
  return exponent >= 0
    ? { numerator: digits * 10n ** BigInt(exponent), denominator: 1n }
    : { numerator: digits, denominator: 10n ** BigInt(-exponent) };
}

/** The integer that a number spells (`12`, `12.0`, `1.2e1`); undefined when it is none. Throws BuiltinHalt as above. */
export function integerOf(text: string): bigint | undefined {
  if (text.length < 16 && INTEGER.test(text)) return BigInt(text);
  workOn(text.length);
  if (INTEGER.test(text)) return digitsValue(text);
  const value = fractionOf(text);
  if (!value || value.numerator % value.denominator !== 0n) return undefined;
  return value.numerator / value.denominator;
}

/** A number's digits without zeros at either end, and where its point stands: 0.d1d2d3… × 10^point. */
interface Decimal {
  readonly sign: -1 | 0 | 1;
  readonly digits: string;
  readonly point: number;
}

function trimmedZeros(text: string): string {
  let [start, end] = [0, text.length];
  while (start < end && text.charCodeAt(start) === 0x30) start++;
  while (end > start && text.charCodeAt(end - 1) === 0x30) end--;
  return text.slice(start, end);
}

function decimalOf(text: string): Decimal | undefined {
  workOn(2 * text.length);
  const match = DECIMAL.exec(text);
  if (!match) return undefined;
  const [, sign, whole = "", fraction = "", exponentText = "0"] = match;
  const all = whole + fraction;
  const digits = trimmedZeros(all);
  if (digits === "") return { sign: 0, digits, point: 0 };
  let zeros = 0;
  while (all.charCodeAt(zeros) === 0x30) zeros++;
  return { sign: sign === "-" ? -1 : 1, digits, point: exponentOf(exponentText) + whole.length - zeros };
}

/** Compares two numbers by value, digit by digit: nothing is written out, whatever the exponents. */
export function compareNumbers(a: string, b: string): number {
  if (a === b) return 0;
  if (a.length < 16 && b.length < 16 && PLAIN_INTEGER.test(a) && PLAIN_INTEGER.test(b)) {
    return Math.sign(Number(a) - Number(b));
  }
  const left = decimalOf(a);
  const right = decimalOf(b);
  if (!left || !right) return a < b ? -1 : 1;
  if (left.sign !== right.sign) return left.sign < right.sign ? -1 : 1;
  if (left.point !== right.point) return left.point < right.point ? -left.sign : left.sign;
  if (left.digits === right.digits) return 0;
  return left.digits < right.digits ? -left.sign : left.sign;
}

/** A fraction as decimal text with `digits` digits behind the point, halves rounded away from zero. */
export function fixedText({ numerator, denominator }: Fraction, digits: number): string {
  const negative = numerator < 0n;
  const scaled = (negative ? -numerator : numerator) * 10n ** BigInt(digits);
  let rounded = scaled / denominator;
  if ((scaled % denominator) * 2n >= denominator) rounded++;
  const text = String(rounded).padStart(digits + 1, "0");
  const whole = text.slice(0, text.length - digits);
  return `${negative && rounded !== 0n ? "-" : ""}${whole}${digits > 0 ? `.${text.slice(-digits)}` : ""}`;
}
