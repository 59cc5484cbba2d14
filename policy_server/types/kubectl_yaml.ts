/**
 * What `kubectl` makes of YAML: 1.1, not 1.2 (apimachinery's `YAMLOrJSONDecoder`; sigs.k8s.io/yaml on go-yaml 2, `resolve.go` and
 * `decode.go`). `privileged: yes` is true, `defaultMode: 0644` is 420, and `<<` merges maps: a manifest that is read otherwise is another
 * object than the one that is applied. What can't be read as kubectl does is refused.
 */
import { own } from "../../program/types/own.ts";
import { type DocumentEntry, DocumentError, type DocumentValue } from "./document.ts";

const YES = /^(?:y|Y|yes|Yes|YES|true|True|TRUE|on|On|ON)$/;
const NO = /^(?:n|N|no|No|NO|false|False|FALSE|off|Off|OFF)$/;
const NULL = /^(?:~|null|Null|NULL|)$/;
const NOT_FINITE = /^(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$/;
/** Underscores stand anywhere in what begins with a digit or a sign, and only between digits in what begins with a point. */
const NUMBER_LIKE = /^(?:[-+0-9]|\.[0-9]+(?:_[0-9]+)*(?:[eE]|$))/;
const INTEGER = /^([-+]?)(0|[1-9][0-9]*|0[oO]?[0-7]+|0[xX][0-9a-fA-F]+|0[bB][01]+)$/;
const FLOAT = /^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$/;
/** Longest number that is read; far beyond a double's range, short enough to be converted at no cost. */
const MAX_DIGITS = 400;
const INT64_BOUND = 2n ** 63n;

function integerOf(digits: string): bigint | undefined {
  const [, sign, body] = INTEGER.exec(digits) ?? [];
  if (body === undefined || digits.length > MAX_DIGITS) return undefined;
  const magnitude = BigInt(body.replace(/^0[oO]?(?=[0-7])/, "0o"));
  const value = sign === "-" ? -magnitude : magnitude;
  // To Go what has no sign may be a uint64.
  return value >= -INT64_BOUND && value < (sign === "" ? 2n * INT64_BOUND : INT64_BOUND) ? value : undefined;
}

/** As kubectl sends a number: an integer of 64 bits as it is, all others as doubles, which Go writes as JavaScript does. */
const sent = (value: bigint | number): string =>
  String(typeof value === "bigint" && value < INT64_BOUND ? value : Number(value));

/** A number of JSON as kubectl sends it. */
export const kubectlNumber = (json: string): string => sent(integerOf(json) ?? Number(json));

/** What a scalar without quotes means; `undefined` where it is a text. */
export function kubectlScalar(source: string, at: number): DocumentValue | undefined {
  if (NULL.test(source)) return { kind: "null", at, weight: 4 };
  if (YES.test(source)) return { kind: "boolean", at, weight: 4, value: true };
  if (NO.test(source)) return { kind: "boolean", at, weight: 5, value: false };
  if (NOT_FINITE.test(source)) {
    throw new DocumentError(`${source} can't be written as JSON, expected a finite number`, at);
  }
  if (!NUMBER_LIKE.test(source)) return undefined;
  const digits = source.replaceAll("_", "");
  const integer = integerOf(digits);
  if (integer === undefined && !FLOAT.test(digits)) return undefined;
  if (digits.length > MAX_DIGITS) throw new DocumentError("number with too many digits", at);
  const value = integer ?? Number(digits);
  // What is beyond the range of a double is a text.
  if (value === Infinity || value === -Infinity) return undefined;
  const json = sent(value);
  return { kind: "number", at, weight: json.length, json, integer: integer !== undefined };
}

/** A key as the text that kubectl makes of it; `undefined` where it makes none, or writes a number otherwise. */
export function kubectlKey(key: DocumentValue): string | undefined {
  if (key.kind === "string") return key.value;
  if (key.kind === "boolean") return String(key.value);
  if (key.kind !== "number") return undefined;
  const value = key.integer ? integerOf(key.json) : Number(key.json);
  if (typeof value === "bigint") return value < INT64_BOUND ? key.json : undefined;
  if (value === undefined || Math.abs(value) < 1e-4 || Math.abs(value) >= 1e6) return undefined;
  // Go writes it with the digits of 32 bits: six of them are always right.
  return Number(value.toPrecision(6)) === value ? key.json : undefined;
}

/** The kinds that a tag's scalar may have; of other tags it is a text. */
const TAGGED: Readonly<Record<string, (value: DocumentValue | undefined) => boolean>> = {
  bool: (value) => value?.kind === "boolean",
  null: (value) => value?.kind === "null",
  int: (value) => value?.kind === "number" && value.integer,
  float: (value) => value?.kind === "number",
};

/** What a scalar with a tag means. Throws {@link DocumentError}. */
export function kubectlTagged(source: string, tag: string, at: number): DocumentValue | undefined {
  const prefix = "tag:yaml.org,2002:";
  if (!tag.startsWith(prefix)) return undefined;
  const name = tag.slice(prefix.length);
  if (name === "timestamp") throw new DocumentError(`tag ${tag} is not supported, write a text`, at);
  if (name === "binary") {
    const value = binaryText(source);
    if (value !== undefined) return { kind: "string", at, weight: value.length + 2, value };
    throw new DocumentError(`tag ${tag} does not fit the value, expected a text in base64`, at);
  }
  const fits = own(TAGGED, name);
  if (fits === undefined) return undefined;
  const value = kubectlScalar(source, at);
  if (!fits(value)) throw new DocumentError(`tag ${tag} does not fit the value`, at);
  return value;
}

function binaryText(source: string): string | undefined {
  const base64 = source.replaceAll("\n", "");
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(base64) || base64.length % 4 !== 0) return undefined;
  try {
    const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** The name by which a key of a merged map is the same as another. */
const nameOf = ({ key, keyKind }: DocumentEntry): string => `${keyKind} ${key}`;

export const notMaps = (at: number) =>
  new DocumentError("`<<` merges maps, expected one or a list of them", at);

function mapsIn(value: DocumentValue): readonly (DocumentValue & { readonly kind: "map" })[] {
  const maps = value.kind === "list" ? value.items : [value];
  return maps.map((map) => {
    if (map.kind === "map") return map;
    throw notMaps(map.at);
  });
}

/**
 * The entries of a map with `<<` replaced by what it merges. As go-yaml 2 does, what stands behind a merge wins over it, and it over
 * what stands before; of several maps the first wins.
 *
 * @param isMerge whether an entry's key is a plain `<<`
 * @param spend is told how many entries a merge adds
 */
export function mergedEntries(
  entries: readonly DocumentEntry[],
  isMerge: (index: number) => boolean,
  spend: (count: number, at: number) => void,
): readonly DocumentEntry[] {
  const byName = new Map<string, readonly DocumentEntry[]>();
  /** Names that a merge gave: whoever writes one of them anew says nothing twice. */
  const given = new Set<string>();
  entries.forEach((entry, index) => {
    if (!isMerge(index)) {
      const name = nameOf(entry);
      byName.set(name, given.delete(name) ? [entry] : [...byName.get(name) ?? [], entry]);
      return;
    }
    for (const map of [...mapsIn(entry.value)].reverse()) {
      spend(map.entries.length, entry.keyAt);
      for (const one of map.entries) {
        byName.set(nameOf(one), [one]);
        given.add(nameOf(one));
      }
    }
  });
  return [...byName.values()].flat();
}
