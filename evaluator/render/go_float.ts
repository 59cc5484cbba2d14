/** Doubles as text, as Go's `strconv.FormatFloat` writes them: exact, halves to even. */

/** The digits of a positive number and where its point stands: 0.d1d2d3… × 10^point. */
interface Digits {
  readonly digits: string;
  readonly point: number;
}

function shortestDigits(value: number): Digits {
  const [mantissa = "", exponent = "0"] = value.toExponential().split("e");
  return { digits: mantissa.replace(".", ""), point: Number(exponent) + 1 };
}

/** A positive double as an exact fraction. */
function exactFraction(value: number): { numerator: bigint; denominator: bigint } {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  const bits = view.getBigUint64(0);
  const biased = Number((bits >> 52n) & 0x7ffn);
  const mantissa = bits & 0xfffffffffffffn;
  const significand = biased === 0 ? mantissa : mantissa | 0x10000000000000n;
  const exponent = (biased === 0 ? 1 : biased) - 1075;
  return exponent >= 0
    ? { numerator: significand << BigInt(exponent), denominator: 1n }
    : { numerator: significand, denominator: 1n << BigInt(-exponent) };
}

/** No double has more digits behind its point than 1074, or more digits at all than 767: what is beyond is zeros. */
const MAX_DIGITS = 1100;

/** value × 10^scale, rounded to an integer. A `scale` of thousands takes long. */
function scaled(value: number, scale: number): bigint {
  let { numerator, denominator } = exactFraction(value);
  if (scale >= 0) numerator *= 10n ** BigInt(scale);
  else denominator *= 10n ** BigInt(-scale);
  const quotient = numerator / denominator;
  const twice = (numerator % denominator) * 2n;
  const up = twice > denominator || (twice === denominator && (quotient & 1n) === 1n);
  return up ? quotient + 1n : quotient;
}

/** The first `count` digits. */
function roundedDigits(value: number, count: number): Digits {
  if (value === 0) return { digits: "0".repeat(count), point: 1 };
  if (count > MAX_DIGITS) {
    const { digits, point } = roundedDigits(value, MAX_DIGITS);
    return { digits: digits.padEnd(count, "0"), point };
  }
  const { point } = shortestDigits(value);
  const text = String(scaled(value, count - point));
  return text.length > count
    ? { digits: text.slice(0, count), point: point + 1 }
    : { digits: text.padStart(count, "0"), point };
}

function exponential({ digits, point }: Digits, precision: number, letter: string): string {
  const fraction = digits.slice(1, precision + 1).padEnd(precision, "0");
  const exponent = /^0*$/.test(digits) ? 0 : point - 1;
  const shown = String(Math.abs(exponent)).padStart(2, "0");
  return `${digits[0]}${precision > 0 ? `.${fraction}` : ""}${letter}${exponent < 0 ? "-" : "+"}${shown}`;
}

function positional({ digits, point }: Digits, precision: number): string {
  const whole = point > 0 ? digits.slice(0, point).padEnd(point, "0") : "0";
  if (precision <= 0) return whole;
  const fraction = (point > 0 ? digits.slice(point) : "0".repeat(-point) + digits).slice(0, precision);
  return `${whole}.${fraction.padEnd(precision, "0")}`;
}

function withoutZeros(digits: string): string {
  let end = digits.length;
  while (end > 0 && digits.charCodeAt(end - 1) === 0x30) end--;
  return digits.slice(0, end);
}

function general(value: number, precision: number, letter: string): string {
  const shortest = precision < 0;
  let found = shortest ? shortestDigits(value) : roundedDigits(value, precision || 1);
  found = { digits: withoutZeros(found.digits) || "0", point: value === 0 ? 1 : found.point };
  const count = value === 0 ? 0 : found.digits.length;
  const point = value === 0 ? 0 : found.point;
  let limit = precision === 0 ? 1 : precision;
  let threshold = limit;
  if (threshold > count && count >= point) threshold = count;
  // The shortest form switches to exponents where six digits would (21 is for %v of fmt, handled by the caller).
  if (shortest) {
    threshold = 6;
    limit = Math.max(count, 1);
  }
  const exponent = point - 1;
  if (exponent < -4 || exponent >= threshold) {
    return exponential(found, Math.min(limit, Math.max(count, 1)) - 1, letter);
  }
  return positional(found, Math.max(Math.max(count, 1) - found.point, 0));
}

function hexadecimal(value: number, precision: number, upper: boolean): string {
  if (value === 0) {
    const zero = `0x0${precision > 0 ? `.${"0".repeat(precision)}` : ""}p+00`;
    return upper ? zero.toUpperCase() : zero;
  }
  let { numerator, denominator } = exactFraction(value);
  let exponent = 0;
  while (numerator >= denominator * 2n) {
    denominator <<= 1n;
    exponent++;
  }
  while (numerator < denominator) {
    numerator <<= 1n;
    exponent--;
  }
  // 1.xxx with 52 bits behind the point.
  let bits = (numerator << 52n) / denominator;
  if (precision >= 0 && precision < 13) {
    const drop = BigInt(52 - 4 * precision);
    const rest = bits & ((1n << drop) - 1n);
    bits >>= drop;
    const half = 1n << (drop - 1n);
    if (rest > half || (rest === half && (bits & 1n) === 1n)) bits++;
    bits <<= drop;
    if (bits >> 53n) {
      bits >>= 1n;
      exponent++;
    }
  }
  let fraction = (bits & ((1n << 52n) - 1n)).toString(16).padStart(13, "0");
  fraction = precision < 0
    ? fraction.replace(/0+$/, "")
    : fraction.slice(0, precision).padEnd(precision, "0");
  const sign = exponent < 0 ? "-" : "+";
  const text = `0x1${fraction ? `.${fraction}` : ""}p${sign}${String(Math.abs(exponent)).padStart(2, "0")}`;
  return upper ? text.toUpperCase() : text;
}

/** How a double is written: Go's format letters. */
export type FloatForm = "e" | "E" | "f" | "g" | "G" | "b" | "x" | "X";

/** A finite double as text; a negative `precision` asks for the shortest text that reads back as the same number. */
export function floatText(value: number, form: FloatForm, precision: number): string {
  const negative = value < 0 || Object.is(value, -0);
  const positive = Math.abs(value);
  const text = (() => {
    switch (form) {
      case "e":
      case "E": {
        const found = precision < 0 ? shortestDigits(positive) : roundedDigits(positive, precision + 1);
        return exponential(found, precision < 0 ? found.digits.length - 1 : precision, form);
      }
      case "f": {
        if (precision < 0) {
          const found = shortestDigits(positive);
          return positional(found, Math.max(found.digits.length - found.point, 0));
        }
        const known = Math.min(precision, MAX_DIGITS);
        const digits = String(scaled(positive, known)).padStart(known + 1, "0");
        const whole = digits.slice(0, digits.length - known);
        return precision > 0 ? `${whole}.${digits.slice(-known).padEnd(precision, "0")}` : whole;
      }
      case "g":
      case "G":
        return general(positive, precision, form === "g" ? "e" : "E");
      case "b": {
        const view = new DataView(new ArrayBuffer(8));
        view.setFloat64(0, positive);
        const bits = view.getBigUint64(0);
        const biased = Number(bits >> 52n);
        const mantissa = (bits & 0xfffffffffffffn) | (biased === 0 ? 0n : 0x10000000000000n);
        const exponent = (biased === 0 ? 1 : biased) - 1075;
        return `${mantissa}p${exponent < 0 ? "-" : "+"}${Math.abs(exponent)}`;
      }
      case "x":
      case "X":
        return hexadecimal(positive, precision, form === "X");
    }
  })();
  return negative ? `-${text}` : text;
}
