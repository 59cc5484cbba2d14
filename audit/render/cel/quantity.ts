/** Kubernetes' quantities and semantic versions in CEL. */
import { parseQuantity } from "../../../crd/render/quantity.ts";
import type { Library } from "./library.ts";
import { quoted } from "./values.ts";

const UNIT = 1_000_000_000n;
const MOST = 2n ** 63n;

class Quantity {
  /** In units of 10⁻⁹. */
  readonly nano: bigint;
  constructor(nano: bigint) {
    this.nano = nano;
  }
}

function quantity(text: string): Quantity {
  const parsed = parseQuantity(text);
  if (parsed === undefined) throw new Error(`${quoted(text)} is no quantity`);
  return new Quantity(parsed.nano);
}

const sign = (value: bigint) => value < 0n ? -1n : value > 0n ? 1n : 0n;
const integer = ({ nano }: Quantity) => nano % UNIT === 0n && nano / UNIT < MOST && nano / UNIT >= -MOST;
const nanoOf = (value: Quantity | bigint) => typeof value === "bigint" ? value * UNIT : value.nano;

class Semver {
  readonly parts: readonly [bigint, bigint, bigint];
  readonly pre: readonly string[];
  constructor(parts: readonly [bigint, bigint, bigint], pre: readonly string[]) {
    this.parts = parts;
    this.pre = pre;
  }
}

const NUMBER = "(0|[1-9]\\d{0,18})";
const SEMVER = new RegExp(
  `^${NUMBER}\\.${NUMBER}\\.${NUMBER}(?:-([0-9A-Za-z-]+(?:\\.[0-9A-Za-z-]+)*))?(?:\\+[0-9A-Za-z.-]+)?$`,
);

/** No version is longer; numbers of many digits take more than linear time. */
const MAX_SEMVER = 1_024;

function parseSemver(text: string): Semver | undefined {
  if (text.length > MAX_SEMVER) return undefined;
  const match = SEMVER.exec(text);
  if (match === null) return undefined;
  const pre = match[4]?.split(".") ?? [];
  if (pre.some((part) => /^0\d+$/.test(part))) return undefined;
  return new Semver([BigInt(match[1]!), BigInt(match[2]!), BigInt(match[3]!)], pre);
}

/** `v1`, `1.2` and `01.2.3` made whole, as `semver(text, true)` takes them. */
function normalisedSemver(text: string): string {
  if (text.length > MAX_SEMVER) return text;
  const [, numbers = "", rest = ""] = /^v?([^-+]*)(.*)$/.exec(text) ?? [];
  const parts = numbers.split(".").map((part) => part.replace(/^0+(?=\d)/, ""));
  while (parts.length < 3) parts.push("0");
  return parts.join(".") + rest;
}

function semver(text: string): Semver {
  const parsed = parseSemver(text);
  if (parsed === undefined) throw new Error(`${quoted(text)} is no semantic version`);
  return parsed;
}

function compareSemver(a: Semver, b: Semver): bigint {
  for (let index = 0; index < 3; index++) {
    const difference = sign(a.parts[index]! - b.parts[index]!);
    if (difference !== 0n) return difference;
  }
  if (a.pre.length === 0 || b.pre.length === 0) return sign(BigInt(b.pre.length - a.pre.length));
  for (let index = 0;; index++) {
    const left = a.pre[index];
    const right = b.pre[index];
    if (left === undefined || right === undefined) {
      return left === right ? 0n : left === undefined ? -1n : 1n;
    }
    if (left === right) continue;
    const [leftNumber, rightNumber] = [/^\d+$/.test(left), /^\d+$/.test(right)];
    if (leftNumber && rightNumber) return sign(BigInt(left) - BigInt(right));
    if (leftNumber !== rightNumber) return leftNumber ? -1n : 1n;
    return left < right ? -1n : 1n;
  }
}

const Q = "kubernetes.Quantity";
const S = "kubernetes.Semver";

export const QUANTITIES: Library = {
  types: { [Q]: Quantity, [S]: Semver },
  equality: {
    [Q]: (a: Quantity, b: Quantity) => a.nano === b.nano,
    [S]: (a: Semver, b: Semver) => compareSemver(a, b) === 0n,
  },
  functions: {
    "isQuantity(string): bool": (text: string) => parseQuantity(text) !== undefined,
    [`quantity(string): ${Q}`]: quantity,
    [`${Q}.sign(): int`]: ({ nano }: Quantity) => sign(nano),
    [`${Q}.isInteger(): bool`]: integer,
    [`${Q}.asInteger(): int`]: (value: Quantity) => {
      if (!integer(value)) throw new Error("the quantity is no 64-bit integer");
      return value.nano / UNIT;
    },
    [`${Q}.asApproximateFloat(): double`]: ({ nano }: Quantity) => Number(nano) / Number(UNIT),
    [`${Q}.add(${Q}): ${Q}`]: (a: Quantity, b: Quantity) => new Quantity(a.nano + b.nano),
    [`${Q}.add(int): ${Q}`]: (a: Quantity, b: bigint) => new Quantity(a.nano + nanoOf(b)),
    [`${Q}.sub(${Q}): ${Q}`]: (a: Quantity, b: Quantity) => new Quantity(a.nano - b.nano),
    [`${Q}.sub(int): ${Q}`]: (a: Quantity, b: bigint) => new Quantity(a.nano - nanoOf(b)),
    [`${Q}.isLessThan(${Q}): bool`]: (a: Quantity, b: Quantity) => a.nano < b.nano,
    [`${Q}.isGreaterThan(${Q}): bool`]: (a: Quantity, b: Quantity) => a.nano > b.nano,
    [`${Q}.compareTo(${Q}): int`]: (a: Quantity, b: Quantity) => sign(a.nano - b.nano),
    "isSemver(string): bool": (text: string) => parseSemver(text) !== undefined,
    "isSemver(string, bool): bool": (text: string, normalise: boolean) =>
      parseSemver(normalise ? normalisedSemver(text) : text) !== undefined,
    [`semver(string): ${S}`]: semver,
    [`semver(string, bool): ${S}`]: (text: string, normalise: boolean) =>
      semver(normalise ? normalisedSemver(text) : text),
    [`${S}.major(): int`]: ({ parts }: Semver) => parts[0],
    [`${S}.minor(): int`]: ({ parts }: Semver) => parts[1],
    [`${S}.patch(): int`]: ({ parts }: Semver) => parts[2],
    [`${S}.isLessThan(${S}): bool`]: (a: Semver, b: Semver) => compareSemver(a, b) < 0n,
    [`${S}.isGreaterThan(${S}): bool`]: (a: Semver, b: Semver) => compareSemver(a, b) > 0n,
    [`${S}.compareTo(${S}): int`]: compareSemver,
  },
};
