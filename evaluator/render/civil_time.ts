/** Moments as years, months, days and hours in a time zone (proleptic Gregorian calendar). */

import { work } from "./work.ts";

/** A time zone: how far its clocks are ahead of UTC at a moment, and how that time is called there. */
export interface Zone {
  readonly name: string;
  /** Seconds. */
  offset(unixSeconds: number): number;
  abbreviation(unixSeconds: number): string;
}

/** A moment on a zone's clocks. */
export interface Civil {
  readonly year: number;
  /** 1 to 12; what is made into a moment may go beyond. */
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
  readonly nanosecond: number;
  /** 0 is Sunday. */
  readonly weekday: number;
  readonly yearDay: number;
  /** Seconds ahead of UTC. */
  readonly offset: number;
  readonly zone: string;
}

export const monthNames = [
  ...["January", "February", "March", "April", "May", "June", "July"],
  ...["August", "September", "October", "November", "December"],
] as const;
export const weekdayNames = [
  ...["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"],
] as const;

const BILLION = 1_000_000_000n;

/** Coordinated universal time. */
export const UTC: Zone = { name: "UTC", offset: () => 0, abbreviation: () => "UTC" };

/** Times that Intl calls by their offset have the name that the time zone database gives them in practice. */
function offsetName(offset: number): string {
  const sign = offset < 0 ? "-" : "+";
  const minutes = Math.floor(Math.abs(offset) / 60);
  const hours = String(Math.floor(minutes / 60)).padStart(2, "0");
  return `${sign}${hours}${minutes % 60 === 0 ? "" : String(minutes % 60).padStart(2, "0")}`;
}

const ABBREVIATION_LOCALES = ["en-US", "en-GB", "en-AU", "en-CA", "en-ZA", "en-IN"];
/** Abbreviations that no locale of Intl knows. */
const ABBREVIATIONS: Readonly<Record<string, readonly [standard: string, summer: string]>> = {
  ...Object.fromEntries(
    [
      ...["Amsterdam", "Andorra", "Belgrade", "Berlin", "Bratislava", "Brussels", "Budapest", "Copenhagen"],
      ...["Gibraltar", "Ljubljana", "Luxembourg", "Madrid", "Malta", "Monaco", "Oslo", "Paris", "Podgorica"],
      ...["Prague", "Rome", "San_Marino", "Sarajevo", "Skopje", "Stockholm", "Tirane", "Vaduz", "Vatican"],
      ...["Vienna", "Warsaw", "Zagreb", "Zurich"],
    ].map((city) => [`Europe/${city}`, ["CET", "CEST"] as const]),
  ),
  ...Object.fromEntries(
    [
      "Athens",
      "Bucharest",
      "Chisinau",
      "Helsinki",
      "Kiev",
      "Kyiv",
      "Mariehamn",
      "Riga",
      "Sofia",
      "Tallinn",
      "Vilnius",
    ]
      .map((city) => [`Europe/${city}`, ["EET", "EEST"] as const]),
  ),
  "Asia/Tokyo": ["JST", "JDT"],
  "Asia/Seoul": ["KST", "KDT"],
  "Asia/Shanghai": ["CST", "CDT"],
  "Asia/Chongqing": ["CST", "CDT"],
  "Asia/Taipei": ["CST", "CDT"],
  "Asia/Hong_Kong": ["HKT", "HKST"],
  "Asia/Macau": ["CST", "CDT"],
  "Asia/Manila": ["PST", "PDT"],
  "Asia/Jakarta": ["WIB", "WIB"],
  "Asia/Karachi": ["PKT", "PKST"],
  "Asia/Jerusalem": ["IST", "IDT"],
  "Asia/Kolkata": ["IST", "IST"],
  "Asia/Calcutta": ["IST", "IST"],
  "Pacific/Auckland": ["NZST", "NZDT"],
  "Pacific/Honolulu": ["HST", "HDT"],
  "Europe/Moscow": ["MSK", "MSD"],
  "Africa/Johannesburg": ["SAST", "SAST"],
  "Africa/Nairobi": ["EAT", "EAT"],
  "Africa/Lagos": ["WAT", "WAT"],
  "Africa/Cairo": ["EET", "EEST"],
};

/** Made once for a thread: a formatter takes a millisecond to make. */
const zones = new Map<string, Zone | undefined>();
/** Each keeps a formatter of the runtime's, of some 50 KB; policies have use for a few. */
const MAX_ZONES = 100;
/** The longest name of a zone (`America/Argentina/ComodRivadavia`) has 32 characters. */
const MAX_ZONE_NAME = 64;

function makeZone(name: string): Zone | undefined {
  // Go's names come from the time zone database: with the right case, no offsets like `+02:00`.
  if (!/^[A-Z][A-Za-z0-9_+-]*(\/[A-Z][A-Za-z0-9_+-]*)*$/.test(name) || /[A-Z]{5}/.test(name)) {
    return undefined;
  }
  let format: Intl.DateTimeFormat;
  const options = {
    timeZone: name,
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
    era: "short",
  } as const;
  try {
    format = new Intl.DateTimeFormat("en-US", options);
  } catch {
    return undefined;
  }
  const offset = (unixSeconds: number): number => {
    const parts = new Map(
      format.formatToParts(unixSeconds * 1000).map(({ type, value }) => [type, value] as const),
    );
    const part = (type: Intl.DateTimeFormatPartTypes) => Number(parts.get(type));
    const year = parts.get("era")?.startsWith("B") ? 1 - part("year") : part("year");
    const days = daysFromCivil(year, part("month"), part("day"));
    return days * 86400 + part("hour") * 3600 + part("minute") * 60 + part("second") - unixSeconds;
  };
  const abbreviation = (unixSeconds: number): string => {
    const now = offset(unixSeconds);
    const names = Object.hasOwn(ABBREVIATIONS, name) ? ABBREVIATIONS[name] : undefined;
    if (names) {
      const year = new Date(unixSeconds * 1000).getUTCFullYear();
      const standard = Math.min(
        offset(Date.UTC(year, 0, 1) / 1000),
        offset(Date.UTC(year, 6, 1) / 1000),
      );
      return names[now > standard ? 1 : 0];
    }
    for (const locale of ABBREVIATION_LOCALES) {
      work(500);
      const named = new Intl.DateTimeFormat(locale, { timeZone: name, timeZoneName: "short" });
      const short = named.formatToParts(unixSeconds * 1000).find(({ type }) => type === "timeZoneName")
        ?.value;
      if (short !== undefined && /^[A-Z]{3,5}$/.test(short) && (short !== "GMT" || now === 0)) return short;
    }
    return offsetName(now);
  };
  return { name, offset, abbreviation };
}

/** The zone of the given name; undefined if there is none. `Local` is UTC: policies learn nothing of the host. */
export function zoneNamed(name: string): Zone | undefined {
  if (name === "" || name === "UTC" || name === "Local") return UTC;
  if (name.length > MAX_ZONE_NAME) return undefined;
  if (!zones.has(name)) {
    // Formatters are the most expensive objects that a runtime makes: half a millisecond.
    work(500);
    if (zones.size >= MAX_ZONES) zones.clear();
    zones.set(name, makeZone(name));
  }
  return zones.get(name);
}

/** Days from 1970-01-01 to a date. */
export function daysFromCivil(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146097 + dayOfEra - 719468;
}

/** A moment, in nanoseconds since 1970, on a zone's clocks. */
export function civil(nanoseconds: bigint, zone: Zone): Civil {
  const floor = nanoseconds >= 0n ? nanoseconds / BILLION : -((-nanoseconds + BILLION - 1n) / BILLION);
  const unixSeconds = Number(floor);
  const offset = zone.offset(unixSeconds);
  const local = unixSeconds + offset;
  const days = Math.floor(local / 86400);
  const secondOfDay = local - days * 86400;
  const shifted = days + 719468;
  const era = Math.floor(shifted / 146097);
  const dayOfEra = shifted - era * 146097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36524) - Math.floor(dayOfEra / 146096)) /
      365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const month = shiftedMonth + (shiftedMonth < 10 ? 3 : -9);
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  return {
    year,
    month,
    day: dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1,
    hour: Math.floor(secondOfDay / 3600),
    minute: Math.floor(secondOfDay / 60) % 60,
    second: secondOfDay % 60,
    nanosecond: Number(nanoseconds - floor * BILLION),
    weekday: (((days + 4) % 7) + 7) % 7,
    yearDay: days - daysFromCivil(year, 1, 1) + 1,
    offset,
    zone: zone.abbreviation(unixSeconds),
  };
}

/** The moment of what a zone's clocks show; months and days beyond their range carry over. */
export function fromCivil(
  at: Pick<Civil, "year" | "month" | "day" | "hour" | "minute" | "second" | "nanosecond">,
  zone: Zone,
): bigint {
  const months = at.month - 1;
  const year = at.year + Math.floor(months / 12);
  const month = months - Math.floor(months / 12) * 12 + 1;
  const days = daysFromCivil(year, month, 1) + at.day - 1;
  const local = days * 86400 + at.hour * 3600 + at.minute * 60 + at.second;
  // As Go: the offset of that time taken as UTC, and where that leads across a change of clocks, the offset found there.
  let offset = zone.offset(local);
  if (offset !== 0) offset = zone.offset(local - offset);
  return BigInt(local - offset) * BILLION + BigInt(at.nanosecond);
}
