/** Exact arithmetic on the texts of numbers: fractions of big integers, and what Go makes of numbers in text. */

/** A fraction; the denominator is positive. */
export interface Fraction {
  readonly numerator: bigint;
  readonly denominator: bigint;
}

/** Exponents beyond this are refused: `1e999999999` must not be written out. */
const MAX_EXPONENT = 5000;
const DECIMAL = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/;
const INTEGER = /^-?(0|[1-9]\d*)$/;

/** The fraction that a decimal number spells; undefined for other text or an exponent that is out of reach. */
export function fractionOf(text: string): Fraction | undefined {
  const match = DECIMAL.exec(text);
  if (!match) return undefined;
  const [, sign, whole = "", fraction = "", exponentText] = match;
  if (whole === "" && fraction === "") return undefined;
  const exponent = Number(exponentText ?? 0) - fraction.length;
  if (Math.abs(exponent) > MAX_EXPONENT) return undefined;
  const digits = BigInt(`${whole}${fraction}`) * (sign === "-" ? -1n : 1n);
  return exponent >= 0
    ? { numerator: digits * 10n ** BigInt(exponent), denominator: 1n }
    : { numerator: digits, denominator: 10n ** BigInt(-exponent) };
}

/** The integer that a number spells (`12`, `12.0`, `1.2e1`); undefined when it is none. */
export function integerOf(text: string): bigint | undefined {
  if (INTEGER.test(text)) return BigInt(text);
  const value = fractionOf(text);
  if (!value || value.numerator % value.denominator !== 0n) return undefined;
  return value.numerator / value.denominator;
}

/** Compares two numbers by value. */
export function compareNumbers(a: string, b: string): number {
  if (a === b) return 0;
  if (a.length < 16 && b.length < 16 && INTEGER.test(a) && INTEGER.test(b)) {
    return Math.sign(Number(a) - Number(b));
  }
  const left = fractionOf(a);
  const right = fractionOf(b);
  if (!left || !right) return Math.sign(Number(a) - Number(b)) || (a < b ? -1 : 1);
  const difference = left.numerator * right.denominator - right.numerator * left.denominator;
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
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
