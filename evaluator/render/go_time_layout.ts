/**
 * Times as text in Go's layouts, which show how the reference time `Mon Jan 2 15:04:05 MST 2006` would look.
 *
 * Source: https://pkg.go.dev/time (constants, Parse, Time.Format).
 */
import { work, workOn } from "./work.ts";
import { own } from "../../program/types/own.ts";
import { type Civil, fromCivil, monthNames, UTC, weekdayNames } from "./civil_time.ts";

/** The layouts that OPA knows by name. */
export const LAYOUTS: Readonly<Record<string, string>> = {
  ANSIC: "Mon Jan _2 15:04:05 2006",
  UnixDate: "Mon Jan _2 15:04:05 MST 2006",
  RubyDate: "Mon Jan 02 15:04:05 -0700 2006",
  RFC822: "02 Jan 06 15:04 MST",
  RFC822Z: "02 Jan 06 15:04 -0700",
  RFC850: "Monday, 02-Jan-06 15:04:05 MST",
  RFC1123: "Mon, 02 Jan 2006 15:04:05 MST",
  RFC1123Z: "Mon, 02 Jan 2006 15:04:05 -0700",
  RFC3339: "2006-01-02T15:04:05Z07:00",
  RFC3339Nano: "2006-01-02T15:04:05.999999999Z07:00",
};

/** A piece of a layout: text that stands for itself, or an element of the time. */
type Piece = { readonly literal: string } | { readonly element: string };

const ELEMENT = new RegExp(
  [
    "January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST",
    "002|0[1-6]|15|2006|__2|_2(?!006)|[12345]|PM|pm",
    "[-Z](?:07:00:00|070000|07:00|0700|07)",
    "[.,](?:0+|9+)(?!\\d)",
  ].join("|"),
  "g",
);

/** Layouts are constants of policies: read once for a thread. */
const parsed = new Map<string, readonly Piece[]>();
const MAX_PARSED = 100;
/** Longer layouts are read each time: no layout in use is a tenth of this long. */
const MAX_KEPT = 512;

function pieces(layout: string): readonly Piece[] {
  const known = parsed.get(layout);
  if (known) return known;
  const result: Piece[] = [];
  workOn(16 * layout.length);
  let end = 0;
  for (const match of layout.matchAll(ELEMENT)) {
    if (match.index > end) result.push({ literal: layout.slice(end, match.index) });
    result.push({ element: match[0] });
    end = match.index + match[0].length;
  }
  if (end < layout.length) result.push({ literal: layout.slice(end) });
  if (layout.length > MAX_KEPT) return result;
  if (parsed.size >= MAX_PARSED) parsed.clear();
  parsed.set(layout, result);
  return result;
}

const short = (name: string) => name.slice(0, 3);
const two = (value: number) => String(value).padStart(2, "0");

function year4(year: number): string {
  return year < 0 ? `-${String(-year).padStart(4, "0")}` : String(year).padStart(4, "0");
}

function offsetText(element: string, offset: number): string {
  if (element.startsWith("Z") && offset === 0) return "Z";
  const minutes = Math.trunc(offset / 60);
  const sign = offset < 0 ? "-" : "+";
  const hour = two(Math.trunc(Math.abs(minutes) / 60));
  const minute = two(Math.abs(minutes) % 60);
  const second = two(Math.abs(offset) % 60);
  switch (element.slice(1)) {
    case "07":
      return sign + hour;
    case "0700":
      return sign + hour + minute;
    case "07:00":
      return `${sign}${hour}:${minute}`;
    case "070000":
      return sign + hour + minute + second;
    default:
      return `${sign}${hour}:${minute}:${second}`;
  }
}

function fractionText(element: string, nanosecond: number): string {
  const digits = String(nanosecond).padStart(9, "0").slice(0, element.length - 1).padEnd(
    element.length - 1,
    "0",
  );
  if (element[1] === "0") return element[0]! + digits;
  const trimmed = digits.replace(/0+$/, "");
  return trimmed === "" ? "" : element[0]! + trimmed;
}

/** The length of a zone's abbreviation at the beginning of a text; 0 for none. */
function zoneLength(text: string): number {
  if (/^(ChST|MeST)/.test(text)) return 4;
  const signed = /^(GMT)?([+-]\d+)/.exec(text);
  if (signed && Math.abs(Number(signed[2])) <= 23) return signed[0].length;
  if (text.startsWith("GMT")) return 3;
  const letters = /^[A-Z]{0,6}/.exec(text)![0];
  if (letters.length === 3) return 3;
  if (letters.length === 4) return letters.endsWith("T") || letters === "WITA" ? 4 : 0;
  return letters.length === 5 && letters.endsWith("T") ? 5 : 0;
}

class TimeReader {
  rest: string;
  year = 0;
  month = -1;
  day = -1;
  yearDay = -1;
  hour = 0;
  minute = 0;
  second = 0;
  nanosecond = 0;
  offset: number | undefined;
  #half: string | undefined;

  constructor(text: string) {
    this.rest = text;
  }

  take(pattern: RegExp): RegExpExecArray | undefined {
    const match = pattern.exec(this.rest);
    if (!match) return undefined;
    this.rest = this.rest.slice(match[0].length);
    return match;
  }

  /** Passes over what may be missing. */
  skip(pattern: RegExp): this {
    this.take(pattern);
    return this;
  }

  /** Literal text; a run of spaces stands for any run of spaces. */
  literal(prefix: string): boolean {
    for (let at = 0; at < prefix.length;) {
      if (prefix[at] === " ") {
        if (this.rest !== "" && this.rest[0] !== " ") return false;
        while (prefix[at] === " ") at++;
        this.rest = this.rest.replace(/^ +/, "");
        continue;
      }
      if (this.rest[0] !== prefix[at]) return false;
      this.rest = this.rest.slice(1);
      at++;
    }
    return true;
  }

  /** Sets a field to what was read of it. False when that is nothing. */
  set(
    field: "year" | "month" | "day" | "yearDay" | "hour" | "minute" | "second",
    value: number | undefined,
  ): boolean {
    if (value === undefined) return false;
    this[field] = value;
    return true;
  }

  digits(pattern: RegExp): number | undefined {
    const match = this.take(pattern);
    return match && Number(match[0]);
  }

  /** A number of two digits, or of one or two. */
  number(fixed: boolean, least: number, most: number): number | undefined {
    const value = this.digits(fixed ? /^\d\d/ : /^\d\d?/) ?? -1;
    return value >= least && value <= most ? value : undefined;
  }

  /** The place of a name in its list, counted from 1; of a name that is cut at a length if one is given. */
  name(names: readonly string[], length?: number): number | undefined {
    const at = names.findIndex((name) => {
      const wanted = name.slice(0, length).toLowerCase();
      return this.rest.slice(0, wanted.length).toLowerCase() === wanted;
    });
    if (at < 0) return undefined;
    this.rest = this.rest.slice(names[at]!.slice(0, length).length);
    return at + 1;
  }

  /** The year of a century whose first year is 1969. */
  shortYear(): number | undefined {
    const value = this.number(true, 0, 99);
    return value === undefined ? undefined : value + (value >= 69 ? 1900 : 2000);
  }

  /** A second, behind which a fraction may follow even where the layout has none. */
  secondOf(fixed: boolean, next: string | undefined): boolean {
    if (!this.set("second", this.number(fixed, 0, 59))) return false;
    if (!/^[.,][09]/.test(next ?? "")) this.#fraction(/^[.,](\d+)/);
    return true;
  }

  #fraction(pattern: RegExp): boolean {
    const match = this.take(pattern);
    if (match) this.nanosecond = Number(match[1]!.slice(0, 9).padEnd(9, "0"));
    return match !== undefined;
  }

  fraction(element: string): boolean {
    if (element[1] === "0") return this.#fraction(new RegExp(`^[.,](\\d{${element.length - 1}})`));
    return this.#fraction(/^[.,](\d+)/) || element[1] === "9";
  }

  halfOfDay(pattern: RegExp): boolean {
    const match = this.take(pattern);
    if (match) this.#half = match[0].toLowerCase();
    return match !== undefined;
  }

  zone(): boolean {
    if (this.take(/^UTC/)) {
      this.offset = 0;
      return true;
    }
    // Go knows no offset of an abbreviation: the time is taken as UTC.
    const length = zoneLength(this.rest);
    this.rest = this.rest.slice(length);
    return length > 0;
  }

  zoneOffset(element: string): boolean {
    if (element.startsWith("Z") && this.take(/^Z/)) {
      this.offset = 0;
      return true;
    }
    const patterns: Readonly<Record<string, RegExp>> = {
      "07": /^([+-])(\d\d)/,
      "0700": /^([+-])(\d\d)(\d\d)/,
      "07:00": /^([+-])(\d\d):(\d\d)/,
      "070000": /^([+-])(\d\d)(\d\d)(\d\d)/,
      "07:00:00": /^([+-])(\d\d):(\d\d):(\d\d)/,
    };
    const match = this.take(own(patterns, element.slice(1))!);
    if (!match) return false;
    const [, sign, hour = "0", minute = "0", second = "0"] = match;
    if (Number(hour) > 24 || Number(minute) > 60 || Number(second) > 60) return false;
    this.offset = (Number(hour) * 3600 + Number(minute) * 60 + Number(second)) * (sign === "-" ? -1 : 1);
    return true;
  }

  /** Nanoseconds since 1970; undefined when there is no such day. */
  moment(): bigint | undefined {
    let { hour, month, day } = this;
    if (this.#half === "pm" && hour < 12) hour += 12;
    else if (this.#half === "am" && hour === 12) hour = 0;
    const leap = (this.year % 4 === 0 && this.year % 100 !== 0) || this.year % 400 === 0;
    const lengths = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    if (this.yearDay >= 0) {
      if (this.yearDay < 1 || this.yearDay > (leap ? 366 : 365)) return undefined;
      let [found, left] = [0, this.yearDay];
      while (left > lengths[found]!) left -= lengths[found++]!;
      if ((month >= 0 && month !== found + 1) || (day >= 0 && day !== left)) return undefined;
      [month, day] = [found + 1, left];
    } else {
      if (month < 0) month = 1;
      if (day < 0) day = 1;
    }
    if (day < 1 || day > lengths[month - 1]!) return undefined;
    const { year, minute, second, nanosecond } = this;
    const utc = fromCivil({ year, month, day, hour, minute, second, nanosecond }, UTC);
    return utc - BigInt(this.offset ?? 0) * 1_000_000_000n;
  }
}

/** An element's text in a time. */
type Show = (at: Civil) => string;
/** Reads an element; `next` is the one behind it. False when the text is another. */
type Read = (from: TimeReader, next: string | undefined) => boolean;

/** All elements but fractions and offsets. */
const ELEMENTS: readonly (readonly [element: string, show: Show, read: Read])[] = [
  ["2006", ({ year }) => year4(year), (from) => from.set("year", from.digits(/^\d{4}/))],
  ["06", ({ year }) => two(Math.max(year, 0) % 100), (from) => from.set("year", from.shortYear())],
  ["January", ({ month }) => monthNames[month - 1]!, (from) => from.set("month", from.name(monthNames))],
  [
    "Jan",
    ({ month }) => short(monthNames[month - 1]!),
    (from) => from.set("month", from.name(monthNames, 3)),
  ],
  ["1", ({ month }) => String(month), (from) => from.set("month", from.number(false, 1, 12))],
  ["01", ({ month }) => two(month), (from) => from.set("month", from.number(true, 1, 12))],
  ["Monday", ({ weekday }) => weekdayNames[weekday]!, (from) => from.name(weekdayNames) !== undefined],
  ["Mon", ({ weekday }) => short(weekdayNames[weekday]!), (from) => from.name(weekdayNames, 3) !== undefined],
  ["2", ({ day }) => String(day), (from) => from.set("day", from.number(false, 0, 99))],
  [
    "_2",
    ({ day }) => String(day).padStart(2),
    (from) => from.skip(/^ /).set("day", from.number(false, 0, 99)),
  ],
  ["02", ({ day }) => two(day), (from) => from.set("day", from.number(true, 0, 99))],
  [
    "__2",
    ({ yearDay }) => String(yearDay).padStart(3),
    (from) => from.skip(/^ {1,2}/).set("yearDay", from.digits(/^\d{1,3}/)),
  ],
  [
    "002",
    ({ yearDay }) => String(yearDay).padStart(3, "0"),
    (from) => from.set("yearDay", from.digits(/^\d{3}/)),
  ],
  ["15", ({ hour }) => two(hour), (from) => from.set("hour", from.number(false, 0, 23))],
  ["3", ({ hour }) => String(hour % 12 || 12), (from) => from.set("hour", from.number(false, 0, 12))],
  ["03", ({ hour }) => two(hour % 12 || 12), (from) => from.set("hour", from.number(true, 0, 12))],
  ["4", ({ minute }) => String(minute), (from) => from.set("minute", from.number(false, 0, 59))],
  ["04", ({ minute }) => two(minute), (from) => from.set("minute", from.number(true, 0, 59))],
  ["5", ({ second }) => String(second), (from, next) => from.secondOf(false, next)],
  ["05", ({ second }) => two(second), (from, next) => from.secondOf(true, next)],
  ["PM", ({ hour }) => hour >= 12 ? "PM" : "AM", (from) => from.halfOfDay(/^[AP]M/)],
  ["pm", ({ hour }) => hour >= 12 ? "pm" : "am", (from) => from.halfOfDay(/^[ap]m/)],
  ["MST", ({ zone }) => zone, (from) => from.zone()],
];
const SHOW: ReadonlyMap<string, Show> = new Map(ELEMENTS.map(([element, show]) => [element, show]));
const READ: ReadonlyMap<string, Read> = new Map(ELEMENTS.map(([element, , read]) => [element, read]));

const isFraction = (element: string): boolean => /^[.,]/.test(element);

function elementText(element: string, at: Civil): string {
  const show = SHOW.get(element);
  if (show) return show(at);
  return isFraction(element) ? fractionText(element, at.nanosecond) : offsetText(element, at.offset);
}

function readElement(from: TimeReader, element: string, next: string | undefined): boolean {
  const read = READ.get(element);
  if (read) return read(from, next);
  return isFraction(element) ? from.fraction(element) : from.zoneOffset(element);
}

/** A time in a layout. */
export function formatTime(at: Civil, layout: string): string {
  return pieces(layout).map((piece) => "literal" in piece ? piece.literal : elementText(piece.element, at))
    .join("");
}

/** Reads a time in a layout: nanoseconds since 1970, or undefined when the text is of another shape. */
export function parseTime(layout: string, text: string): bigint | undefined {
  const reader = new TimeReader(text);
  const list = pieces(layout);
  for (const [at, piece] of list.entries()) {
    work(4);
    if ("literal" in piece) {
      if (!reader.literal(piece.literal)) return undefined;
      continue;
    }
    const next = list[at + 1];
    if (!readElement(reader, piece.element, next && "element" in next ? next.element : undefined)) {
      return undefined;
    }
  }
  return reader.rest === "" ? reader.moment() : undefined;
}
