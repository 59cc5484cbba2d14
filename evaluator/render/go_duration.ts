/** Durations like `1h30m`, as Go's `time.ParseDuration` reads them, with OPA's days, weeks and years. */
import { floatText } from "./go_float.ts";

const UNITS: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1000n,
  "\u00b5s": 1000n,
  "\u03bcs": 1000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
};
const HOURS: Readonly<Record<string, number>> = { d: 24, w: 7 * 24, y: 365 * 24 };
const LIMIT = 2n ** 63n;
const SEGMENT = /(\d*)(?:\.(\d*))?([^\d.]+)/y;

/** The digits behind the point that Go takes into account, and their scale; it computes with them in floating point. */
function leadingFraction(text: string): readonly [digits: bigint, scale: number] {
  let [value, scale] = [0n, 1];
  for (const digit of text) {
    if (value > (LIMIT - 1n) / 10n) break;
    const next = value * 10n + BigInt(digit);
    if (next > LIMIT) break;
    value = next;
    scale *= 10;
  }
  return [value, scale];
}

function goDuration(text: string): bigint | undefined {
  const negative = text.startsWith("-");
  const body = text.replace(/^[+-]/, "");
  if (body === "0") return 0n;
  if (body === "") return undefined;
  let total = 0n;
  SEGMENT.lastIndex = 0;
  while (SEGMENT.lastIndex < body.length) {
    const match = SEGMENT.exec(body);
    if (!match) return undefined;
    const [, whole = "", fraction = "", name = ""] = match;
    const unit = Object.hasOwn(UNITS, name) ? UNITS[name]! : undefined;
    if (unit === undefined || (whole === "" && fraction === "")) return undefined;
    let value = BigInt(whole || "0") * unit;
    const [digits, scale] = leadingFraction(fraction);
    if (digits > 0n) value += BigInt(Math.trunc(Number(digits) * (Number(unit) / scale)));
    total += value;
    if (value > LIMIT || total > LIMIT) return undefined;
  }
  if (!negative && total > LIMIT - 1n) return undefined;
  return negative ? -total : total;
}

/** Days, weeks and years as hours. */
function inHours(text: string): string | undefined {
  const match = /^([+-]?)((?:[\d.]+(?:ms|us|\u00b5s|ns|[a-z]))+)$/.exec(text);
  if (!match) return undefined;
  let valid = true;
  const rewritten = match[2]!.replace(
    /([\d.]+)(ms|us|\u00b5s|ns|[a-z])/g,
    (segment, digits: string, unit: string) => {
      const hours = Object.hasOwn(HOURS, unit) ? HOURS[unit]! : undefined;
      if (hours === undefined) return segment;
      if (!/^(\d+\.?\d*|\.\d+)$/.test(digits) || !Number.isFinite(Number(digits))) valid = false;
      return `${floatText(Number(digits) * hours, "f", -1)}h`;
    },
  );
  return valid ? match[1]! + rewritten : undefined;
}

/** Nanoseconds; undefined for text that is no duration or too long a one. */
export function parseDuration(text: string): bigint | undefined {
  if (!/[dwy]/.test(text)) return goDuration(text);
  const rewritten = inHours(text);
  return rewritten === undefined ? undefined : goDuration(rewritten);
}
