/** What a plain scalar of YAML means to OPA's YAML library (the core schema of YAML 1.2, and some of 1.1). */
import { RegoNumber } from "../types/rego.ts";
import { floatText } from "./go_float.ts";
import { parseTime } from "./go_time_layout.ts";
import { workOn } from "./work.ts";

/** A resolved scalar: a timestamp stays text, but is no plain string to a writer. */
export type YamlScalar =
  | { readonly kind: "null" | "nan" | "infinity" }
  | { readonly kind: "boolean"; readonly value: boolean }
  | { readonly kind: "number"; readonly value: RegoNumber }
  | { readonly kind: "string" | "timestamp" | "merge" };

const TIMESTAMPS = [
  "2006-1-2T15:4:5.999999999Z07:00",
  "2006-1-2t15:4:5.999999999Z07:00",
  "2006-1-2 15:4:5.999999999",
  "2006-1-2",
];
const FLOAT = /^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$/;

/** A double as Go's encoding/json writes it. */
export function jsonFloat(value: number): RegoNumber {
  const size = Math.abs(value);
  const text = size !== 0 && (size < 1e-6 || size >= 1e21)
    ? floatText(value, "e", -1).replace(/e-0(\d)$/, "e-$1")
    : floatText(value, "f", -1);
  return new RegoNumber(text);
}

/** Sixty-four binary digits, their sign and prefix: no integer of 64 bits is longer but for zeros in front. */
const MAX_INTEGER = 67;

function integer(text: string): bigint | undefined {
  const plain = text.replaceAll("_", "").replace(/^([-+]?0[xXbBoO]?)0+(?=[0-9a-fA-F])/, "$1");
  if (plain.length > MAX_INTEGER) return undefined;
  const match = /^([-+]?)(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9]\d*)$/.exec(plain);
  if (!match) return undefined;
  const [, sign, digits = ""] = match;
  const octal = /^0[oO]?([0-7]+)$/.exec(digits);
  const value = octal ? BigInt(`0o${octal[1]}`) : BigInt(digits);
  const signed = sign === "-" ? -value : value;
  return signed >= -(2n ** 63n) && signed < 2n ** 64n ? signed : undefined;
}

/** What an untagged plain scalar stands for. */
export function resolveScalar(text: string): YamlScalar {
  workOn(4 * text.length);
  if (/^(~|null|Null|NULL)?$/.test(text)) return { kind: "null" };
  if (/^(true|True|TRUE)$/.test(text)) return { kind: "boolean", value: true };
  if (/^(false|False|FALSE)$/.test(text)) return { kind: "boolean", value: false };
  if (text === "<<") return { kind: "merge" };
  if (/^[-+]?\.(inf|Inf|INF)$/.test(text)) return { kind: "infinity" };
  if (/^\.(nan|NaN|NAN)$/.test(text)) return { kind: "nan" };
  if (!/^[-+.0-9]/.test(text)) return { kind: "string" };
  if (/^\d{4}-/.test(text) && TIMESTAMPS.some((layout) => parseTime(layout, text) !== undefined)) {
    return { kind: "timestamp" };
  }
  const whole = integer(text);
  if (whole !== undefined) return { kind: "number", value: new RegoNumber(String(whole)) };
  if (FLOAT.test(text.replaceAll("_", ""))) {
    const value = Number(text.replaceAll("_", ""));
    if (!Number.isFinite(value)) return { kind: "string" };
    return { kind: "number", value: jsonFloat(value) };
  }
  return { kind: "string" };
}
