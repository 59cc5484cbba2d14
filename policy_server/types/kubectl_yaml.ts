/**
 * What `kubectl` makes of YAML: 1.1, not 1.2 (sigs.k8s.io/yaml on go-yaml 2, `resolve.go` and `decode.go`). `privileged: yes` is true,
 * `defaultMode: 0644` is 420, and `<<` merges maps: a manifest that is read otherwise is another object than the one that is applied.
 */
import { type DocumentEntry, DocumentError, type DocumentValue } from "./document.ts";

const YES = /^(?:y|Y|yes|Yes|YES|true|True|TRUE|on|On|ON)$/;
const NO = /^(?:n|N|no|No|NO|false|False|FALSE|off|Off|OFF)$/;
/** Digits that are written otherwise than JSON writes them: underscores, and other bases than ten. */
const DIGITS = /^([-+]?)(?:0[oO]?([0-7]+)|0[xX]([0-9a-fA-F]+)|0[bB]([01]+))$/;
const DECIMAL = /^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$/;
/** Longest number in another base that is read; far beyond 64 bits, short enough to be converted at no cost. */
const MAX_DIGITS = 64;

/** A plain scalar of YAML 1.1 as YAML 1.2 writes the same; the text itself where there is no difference. */
export function kubectlScalar(source: string, at: number): string {
  if (YES.test(source)) return "true";
  if (NO.test(source)) return "false";
  if (!/^[-+]?[0-9]/.test(source)) return source;
  const digits = source.replaceAll("_", "");
  const [, sign, octal, hexadecimal, binary] = DIGITS.exec(digits) ?? [];
  const prefixed = octal !== undefined
    ? `0o${octal}`
    : hexadecimal !== undefined
    ? `0x${hexadecimal}`
    : binary && `0b${binary}`;
  if (prefixed !== undefined) {
    if (digits.length > MAX_DIGITS) throw new DocumentError("number with too many digits", at);
    const value = BigInt(prefixed);
    return String(sign === "-" ? -value : value);
  }
  // `08` is no number of base eight, and the decimal 8.
  return DECIMAL.test(digits) ? digits.replace(/^([-+]?)0+(?=[0-9])/, "$1") : source;
}

/** The name by which a key of a merged map is the same as another. */
const nameOf = ({ key, keyKind }: DocumentEntry): string => `${keyKind} ${key}`;

function mapsIn(value: DocumentValue): readonly (DocumentValue & { readonly kind: "map" })[] {
  const maps = value.kind === "list" ? value.items : [value];
  return maps.map((map) => {
    if (map.kind === "map") return map;
    throw new DocumentError("`<<` merges maps, expected one or a list of them", map.at);
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
