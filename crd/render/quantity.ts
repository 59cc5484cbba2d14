/**
 * Kubernetes quantities (`500m`, `1.5Gi`): exact comparison and the canonical text in which the API server stores them.
 * The arithmetic is on whole numbers of 10⁻⁹, the finest unit that a quantity has.
 */

export type Quantity = {
  /** Value in units of 10⁻⁹. */
  readonly nano: bigint;
  readonly format: "binary" | "decimal" | "exponent";
};

const BINARY = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"] as const;
const DECIMAL: readonly (readonly [suffix: string, exponent: number])[] = [
  ["n", -9],
  ["u", -6],
  ["m", -3],
  ["", 0],
  ["k", 3],
  ["M", 6],
  ["G", 9],
  ["T", 12],
  ["P", 15],
  ["E", 18],
];
const TEXT = /^([+-]?)(\d*)(?:\.(\d*))?(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]|[eE][+-]?\d+)?$/;
/** Exponents beyond this cannot stand for a real resource; refusing them bounds the arithmetic. */
const LARGEST_EXPONENT = 64;

/** Longer than any quantity that is stored; reading a number of many digits takes more than linear time. */
const MAX_LENGTH = 128;

/** Reads a quantity; `undefined` when the text is not one. */
export function parseQuantity(given: string | number): Quantity | undefined {
  const text = String(given);
  const match = text.length > MAX_LENGTH ? null : TEXT.exec(text);
  if (match === null) return undefined;
  const [, sign = "", whole = "", fraction = "", suffix = ""] = match;
  if (whole + fraction === "") return undefined;
  const digits = BigInt(whole + fraction);
  const binary = BINARY.indexOf(suffix as (typeof BINARY)[number]);
  const decimal = DECIMAL.find(([name]) => name === suffix)?.[1];
  let numerator = digits * 1_000_000_000n;
  let denominator = 10n ** BigInt(fraction.length);
  let format: Quantity["format"] = "decimal";
  if (suffix !== "" && binary > 0) {
    numerator *= 1024n ** BigInt(binary);
    format = "binary";
  } else {
    const exponent = decimal ?? Number(suffix.slice(1));
    if (Math.abs(exponent) > LARGEST_EXPONENT) return undefined;
    if (decimal === undefined) format = "exponent";
    if (exponent >= 0) numerator *= 10n ** BigInt(exponent);
    else denominator *= 10n ** BigInt(-exponent);
  }
  // Kubernetes rounds away from zero to the finest unit.
  const nano = (numerator + denominator - 1n) / denominator;
  return { nano: sign === "-" ? -nano : nano, format };
}

function decimalText(nano: bigint, exponentForm: boolean): string {
  let exponent = -9;
  let value = nano;
  while (value !== 0n && value % 1000n === 0n && exponent < 18) {
    value /= 1000n;
    exponent += 3;
  }
  if (value === 0n) return "0";
  if (exponentForm) return exponent === 0 ? `${value}` : `${value}e${exponent}`;
  return `${value}${DECIMAL.find(([, power]) => power === exponent)![0]}`;
}

/** The canonical text of a quantity, as the API server writes it (`0.5` is `500m`, `1024Mi` is `1Gi`). */
export function quantityText(quantity: Quantity): string {
  const { nano, format } = quantity;
  if (format === "binary") {
    const magnitude = nano < 0n ? -nano : nano;
    // Fractions and amounts below 1024 have no binary suffix.
    if (magnitude % 1_000_000_000n !== 0n || magnitude < 1024n * 1_000_000_000n) {
      return decimalText(nano, false);
    }
    let value = nano / 1_000_000_000n;
    let power = 0;
    while (value % 1024n === 0n && power < BINARY.length - 1) {
      value /= 1024n;
      power += 1;
    }
    return `${value}${BINARY[power]}`;
  }
  return decimalText(nano, format === "exponent");
}
