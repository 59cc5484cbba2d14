/** Builtins on time: `time.*` and `trace`. */
import { type RegoBuiltins, RegoNumber, type RegoValue } from "../../types/rego.ts";
import { type Civil, civil, fromCivil, weekdayNames, type Zone, zoneNamed } from "../civil_time.ts";
import { formatTime, LAYOUTS, parseTime } from "../go_time_layout.ts";
import { parseDuration } from "../go_duration.ts";
import { integerOf } from "../rego_number.ts";
import { fail, integerAt, stringAt } from "../rego_operands.ts";
import { isList, number } from "../rego_value.ts";

const INT64_MIN = -(2n ** 63n), INT64_MAX = 2n ** 63n - 1n;

interface Moment {
  readonly nanoseconds: bigint;
  readonly zone: Zone;
  readonly layout: string;
}

/** A moment as builtins take it: nanoseconds, or `[nanoseconds, zone, layout]` with the last one or two left out. */
function momentAt(operands: readonly RegoValue[], at: number): Moment {
  const operand = operands[at]!;
  const [value, zoneName = "", layout = ""] = isList(operand) ? operand : [operand];
  if (!(value instanceof RegoNumber)) return fail("either number (ns) or [number (ns), string (tz)]");
  if (typeof zoneName !== "string" || typeof layout !== "string") {
    return fail("zone and layout must be strings");
  }
  const nanoseconds = integerOf(value.text);
  if (nanoseconds === undefined || nanoseconds < INT64_MIN || nanoseconds > INT64_MAX) {
    return fail("timestamp too big");
  }
  return { nanoseconds, zone: zoneNamed(zoneName) ?? fail(`unknown time zone ${zoneName}`), layout };
}

function civilAt(operands: readonly RegoValue[], at: number): Civil {
  const { nanoseconds, zone } = momentAt(operands, at);
  return civil(nanoseconds, zone);
}

function inRange(nanoseconds: bigint): RegoNumber {
  if (nanoseconds < INT64_MIN || nanoseconds > INT64_MAX) return fail("time outside of valid range");
  return number(nanoseconds);
}

function layoutNamed(name: string): string {
  return Object.hasOwn(LAYOUTS, name) ? LAYOUTS[name]! : name;
}

/** Years, months, days, hours, minutes and seconds between two moments. */
function difference(operands: readonly RegoValue[]): number[] {
  const { nanoseconds: a, zone } = momentAt(operands, 0);
  const { nanoseconds: b } = momentAt(operands, 1);
  const [from, to] = [civil(a < b ? a : b, zone), civil(a < b ? b : a, zone)];
  let year = to.year - from.year;
  let month = to.month - from.month;
  let day = to.day - from.day;
  let hour = to.hour - from.hour;
  let minute = to.minute - from.minute;
  let second = to.second - from.second;
  if (second < 0) [second, minute] = [second + 60, minute - 1];
  if (minute < 0) [minute, hour] = [minute + 60, hour - 1];
  if (hour < 0) [hour, day] = [hour + 24, day - 1];
  if (day < 0) {
    const daysInMonth = new Date(Date.UTC(2000 + (from.year % 400), from.month, 0)).getUTCDate();
    [day, month] = [day + daysInMonth, month - 1];
  }
  if (month < 0) [month, year] = [month + 12, year - 1];
  return [year, month, day, hour, minute, second];
}

export const TIME_BUILTINS: RegoBuiltins = {
  "time.now_ns": (_operands, context) => number(context.now()),
  "time.parse_ns": (operands) =>
    inRange(
      parseTime(layoutNamed(stringAt(operands, 0)), stringAt(operands, 1)) ??
        fail("the text is not of that layout"),
    ),
  "time.parse_rfc3339_ns": (operands) =>
    inRange(parseTime(LAYOUTS["RFC3339"]!, stringAt(operands, 0)) ?? fail("not a time as RFC 3339 has it")),
  "time.parse_duration_ns": (operands) => {
    const text = stringAt(operands, 0);
    return number(parseDuration(text) ?? fail(`time: invalid duration ${JSON.stringify(text)}`));
  },
  "time.format": (operands) => {
    const { nanoseconds, zone, layout } = momentAt(operands, 0);
    return formatTime(civil(nanoseconds, zone), layoutNamed(layout || "RFC3339Nano"));
  },
  "time.date": (operands) => {
    const { year, month, day } = civilAt(operands, 0);
    return [number(year), number(month), number(day)];
  },
  "time.clock": (operands) => {
    const { hour, minute, second } = civilAt(operands, 0);
    return [number(hour), number(minute), number(second)];
  },
  "time.weekday": (operands) => weekdayNames[civilAt(operands, 0).weekday]!,
  "time.add_date": (operands) => {
    const { nanoseconds, zone } = momentAt(operands, 0);
    const at = civil(nanoseconds, zone);
    const [years, months, days] = [1, 2, 3].map((index) => integerAt(operands, index));
    if ([years!, months!, days!].some((count) => Math.abs(count) > 10_000_000)) {
      return fail("time outside of valid range");
    }
    return inRange(
      fromCivil({ ...at, year: at.year + years!, month: at.month + months!, day: at.day + days! }, zone),
    );
  },
  "time.diff": (operands) => difference(operands).map((part) => number(part)),
  trace: (operands, context) => {
    context.note(stringAt(operands, 0));
    return true;
  },
};
