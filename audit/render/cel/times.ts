/** CEL's timestamps and durations. */
import type { Library } from "./library.ts";
import type { Meter } from "./meter.ts";
import { duration, timestamp } from "./operators.ts";
import { type Duration, quoted } from "./values.ts";

const T = "google.protobuf.Timestamp";
const D = "google.protobuf.Duration";

const RFC3339 = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)$/;

function parseTimestamp(text: string): Date {
  if (!RFC3339.test(text)) throw new Error(`${quoted(text)} is no timestamp`);
  // JavaScript keeps milliseconds.
  return timestamp(Date.parse(text.toUpperCase().replace(/(\.\d{3})\d+/, "$1")));
}

const UNITS: ReadonlyMap<string, bigint> = new Map([
  ["ns", 1n],
  ["us", 1_000n],
  ["µs", 1_000n],
  ["ms", 1_000_000n],
  ["s", 1_000_000_000n],
  ["m", 60_000_000_000n],
  ["h", 3_600_000_000_000n],
]);
/** Go's are shorter; whatever is longer names nothing that fits into 64 bits. */
const MAX_DURATION_TEXT = 256;
const PART = /(\d{0,20})(?:\.(\d*))?(ns|us|µs|ms|s|m|h)/y;

/** Go's `time.ParseDuration`. */
function parseDuration(text: string): Duration {
  const wrong = () => new Error(`${quoted(text)} is no duration`);
  if (text.length > MAX_DURATION_TEXT) throw wrong();
  const negative = text.startsWith("-");
  let at = /^[+-]/.test(text) ? 1 : 0;
  if (text.slice(at) === "0") return duration(0n);
  if (at === text.length) throw wrong();
  let nanos = 0n;
  while (at < text.length) {
    PART.lastIndex = at;
    const match = PART.exec(text);
    if (match === null || (match[1] ?? "") + (match[2] ?? "") === "") throw wrong();
    const [whole, fraction = "", unit = ""] = match.slice(1);
    const worth = UNITS.get(unit)!;
    nanos += BigInt(whole === "" ? 0 : whole!) * worth +
      BigInt(fraction.slice(0, 18).padEnd(18, "0")) * worth / 10n ** 18n;
    at = PART.lastIndex;
  }
  return duration(negative ? -nanos : nanos);
}

/** Go's `time.Duration.String` of whole and broken seconds, as CEL's `string(duration)` writes it. */
function durationText({ nanos }: Duration): string {
  const magnitude = nanos < 0n ? -nanos : nanos;
  const fraction = String(magnitude % 1_000_000_000n).padStart(9, "0").replace(/0+$/, "");
  return `${nanos < 0n ? "-" : ""}${magnitude / 1_000_000_000n}${fraction === "" ? "" : `.${fraction}`}s`;
}

/** What loading a time zone's rules costs, against the price of a step. */
const ZONE_COST = 1_000;
const MAX_ZONE_NAME = 64;

/** The time as a clock in that zone shows it, as if it were UTC. */
function inZone(time: Date, zone: string, meter: Meter): Date {
  const offset = /^([+-]?)(\d\d):(\d\d)$/.exec(zone);
  if (offset !== null) {
    const minutes = Number(offset[2]) * 60 + Number(offset[3]);
    return new Date(time.getTime() + (offset[1] === "-" ? -minutes : minutes) * 60_000);
  }
  meter.charge(ZONE_COST);
  if (zone.length > MAX_ZONE_NAME) throw new Error(`${quoted(zone)} is no time zone`);
  let parts: Intl.DateTimeFormatPart[];
  try {
    parts = new Intl.DateTimeFormat("en-US", {
      timeZone: zone,
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    }).formatToParts(time);
  } catch {
    throw new Error(`${quoted(zone)} is no time zone`);
  }
  const part = (name: string) => Number(parts.find(({ type }) => type === name)?.value);
  const seconds = Date.UTC(
    part("year"),
    part("month") - 1,
    part("day"),
    part("hour"),
    part("minute"),
    part("second"),
  );
  return new Date(seconds + ((time.getTime() % 1000) + 1000) % 1000);
}

const GETTERS: { readonly [name: string]: (time: Date) => number } = {
  getFullYear: (time) => time.getUTCFullYear(),
  getMonth: (time) => time.getUTCMonth(),
  getDate: (time) => time.getUTCDate(),
  getDayOfMonth: (time) => time.getUTCDate() - 1,
  getDayOfWeek: (time) => time.getUTCDay(),
  getDayOfYear: (time) => Math.floor((time.getTime() - Date.UTC(time.getUTCFullYear(), 0, 1)) / 86_400_000),
  getHours: (time) => time.getUTCHours(),
  getMinutes: (time) => time.getUTCMinutes(),
  getSeconds: (time) => time.getUTCSeconds(),
  getMilliseconds: (time) => time.getUTCMilliseconds(),
};

export const TIMES: Library = {
  functions: {
    [`timestamp(string): ${T}`]: parseTimestamp,
    [`timestamp(${T}): ${T}`]: (time: Date) => time,
    [`timestamp(int): ${T}`]: (seconds: bigint) => timestamp(Number(seconds) * 1000),
    [`string(${T}): string`]: (time: Date) => time.toISOString().replace(/\.000Z$/, "Z"),
    ...Object.fromEntries(
      Object.entries(GETTERS).flatMap(([name, getter]) => [
        [`${T}.${name}(): int`, (time: Date) => BigInt(getter(time))],
        [
          `${T}.${name}(string): int`,
          (time: Date, zone: string, meter: Meter) => BigInt(getter(inZone(time, zone, meter))),
        ],
      ]),
    ),
    [`duration(string): ${D}`]: parseDuration,
    [`duration(${D}): ${D}`]: (value: Duration) => value,
    [`string(${D}): string`]: durationText,
    [`${D}.getHours(): int`]: ({ nanos }: Duration) => nanos / 3_600_000_000_000n,
    [`${D}.getMinutes(): int`]: ({ nanos }: Duration) => nanos / 60_000_000_000n,
    [`${D}.getSeconds(): int`]: ({ nanos }: Duration) => nanos / 1_000_000_000n,
    [`${D}.getMilliseconds(): int`]: ({ nanos }: Duration) => nanos / 1_000_000n,
  },
};
