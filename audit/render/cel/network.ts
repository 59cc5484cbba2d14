/** Kubernetes' URLs, IP addresses and CIDRs in CEL. */
import type { Library } from "./library.ts";
import { quoted } from "./values.ts";

/** Longer than any address with its prefix. */
const MAX_ADDRESS = 64;
/** As long as servers take a URL to be; what is beyond ASCII in a host takes more than linear time to parse. */
const MAX_URL = 8_192;

class Ip {
  /** The address as a number. */
  readonly value: bigint;
  readonly bits: 32 | 128;
  constructor(value: bigint, bits: 32 | 128) {
    this.value = value;
    this.bits = bits;
  }
}

class Cidr {
  readonly ip: Ip;
  readonly prefix: number;
  constructor(ip: Ip, prefix: number) {
    this.ip = ip;
    this.prefix = prefix;
  }
}

function parseV4(text: string): bigint | undefined {
  const parts = text.split(".");
  // Leading zeros are refused, as by Kubernetes: some read them as octal.
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256)) {
    return undefined;
  }
  return parts.reduce((value, part) => value * 256n + BigInt(part), 0n);
}

function parseV6(text: string): bigint | undefined {
  if (!/^[0-9a-fA-F:]+$/.test(text)) return undefined;
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const groups = halves.map((half) => half === "" ? [] : half.split(":"));
  if (!groups.flat().every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return undefined;
  const [left = [], right] = groups;
  const missing = 8 - left.length - (right?.length ?? 0);
  if (right === undefined ? missing !== 0 : missing < 1) return undefined;
  const all = right === undefined ? left : [...left, ...Array.from({ length: missing }, () => "0"), ...right];
  return all.reduce((value, group) => value * 65536n + BigInt(`0x${group}`), 0n);
}

function parseIp(text: string): Ip | undefined {
  if (text.length > MAX_ADDRESS) return undefined;
  const v4 = parseV4(text);
  if (v4 !== undefined) return new Ip(v4, 32);
  const v6 = parseV6(text);
  // IPv4 in IPv6 is refused, as by Kubernetes.
  return v6 === undefined || v6 >> 32n === 0xffffn ? undefined : new Ip(v6, 128);
}

function parseCidr(text: string): Cidr | undefined {
  if (text.length > MAX_ADDRESS) return undefined;
  const [, address = "", prefix = ""] = /^(.*)\/(0|[1-9]\d{0,2})$/.exec(text) ?? [];
  const ip = parseIp(address);
  return ip === undefined || Number(prefix) > ip.bits ? undefined : new Cidr(ip, Number(prefix));
}

function ipText({ value, bits }: Ip): string {
  if (bits === 32) return [24n, 16n, 8n, 0n].map((shift) => String((value >> shift) & 255n)).join(".");
  const groups = Array.from(
    { length: 8 },
    (_, index) => ((value >> BigInt(112 - 16 * index)) & 0xffffn).toString(16),
  );
  // The first of the longest runs of zeros is left out.
  const runs = [...groups.join(":").matchAll(/(?:^|:)(0(?::0)+)(?=:|$)/g)]
    .sort((a, b) => b[1]!.length - a[1]!.length || a.index - b.index);
  const run = runs[0];
  if (run === undefined) return groups.join(":");
  const text = groups.join(":");
  return `${text.slice(0, run.index)}::${text.slice(run.index + run[0].length).replace(/^:/, "")}`;
}

function ip(text: string): Ip {
  const parsed = parseIp(text);
  if (parsed === undefined) throw new Error(`${quoted(text)} is no IP address`);
  return parsed;
}

function cidr(text: string): Cidr {
  const parsed = parseCidr(text);
  if (parsed === undefined) throw new Error(`${quoted(text)} is no CIDR`);
  return parsed;
}

const masked = ({ ip: { value, bits }, prefix }: Cidr) => {
  const host = BigInt(bits - prefix);
  return new Cidr(new Ip((value >> host) << host, bits), prefix);
};
const within = (range: Cidr, { value, bits }: Ip) =>
  range.ip.bits === bits &&
  value >> BigInt(bits - range.prefix) === range.ip.value >> BigInt(bits - range.prefix);
const inside = (text: string, address: Ip) => within(cidr(text), address);

const IP = "kubernetes.IP";
const CIDR = "kubernetes.CIDR";
const ADDRESS = "kubernetes.URL";

/** Absolute URLs and absolute paths, as Go's `url.ParseRequestURI` takes them. */
class Address {
  readonly url: URL;
  readonly absolute: boolean;
  constructor(url: URL, absolute: boolean) {
    this.url = url;
    this.absolute = absolute;
  }
}

function parseUrl(text: string): Address | undefined {
  if (text.length > MAX_URL) return undefined;
  const absolute = /^[A-Za-z][A-Za-z0-9+.-]*:\/\//.test(text);
  if (!absolute && !text.startsWith("/")) return undefined;
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x20\x7f]/.test(text)) return undefined;
  const base = absolute ? undefined : "http://relative.invalid";
  return URL.canParse(text, base) ? new Address(new URL(text, base), absolute) : undefined;
}

const isUrl = (text: string) => parseUrl(text) !== undefined;
const loopback = ({ value, bits }: Ip) => bits === 32 ? value >> 24n === 127n : value === 1n;
const linkLocal = (address: Ip) => inside(address.bits === 32 ? "169.254.0.0/16" : "fe80::/10", address);
const multicast = (address: Ip) => inside(address.bits === 32 ? "224.0.0.0/4" : "ff00::/8", address);
const linkLocalMulticast = (address: Ip) =>
  inside(address.bits === 32 ? "224.0.0.0/24" : "ff02::/16", address);
const unspecified = ({ value }: Ip) => value === 0n;
const broadcast = ({ value, bits }: Ip) => bits === 32 && value === 0xffffffffn;

const sameIp = (a: Ip, b: Ip) => a.bits === b.bits && a.value === b.value;

export const NETWORK: Library = {
  types: { [IP]: Ip, [CIDR]: Cidr, [ADDRESS]: Address },
  namespaces: { ip: "kubernetes.IPFunctions" },
  equality: {
    [IP]: sameIp,
    [CIDR]: (a: Cidr, b: Cidr) => sameIp(a.ip, b.ip) && a.prefix === b.prefix,
    [ADDRESS]: (a: Address, b: Address) => a.url.href === b.url.href,
  },
  functions: {
    "isIP(string): bool": (text: string) => parseIp(text) !== undefined,
    [`ip(string): ${IP}`]: ip,
    "kubernetes.IPFunctions.isCanonical(string): bool": (_: unknown, text: string) =>
      ipText(ip(text)) === text,
    [`string(${IP}): string`]: ipText,
    [`${IP}.family(): int`]: ({ bits }: Ip) => bits === 32 ? 4n : 6n,
    [`${IP}.isUnspecified(): bool`]: unspecified,
    [`${IP}.isLoopback(): bool`]: loopback,
    [`${IP}.isLinkLocalUnicast(): bool`]: linkLocal,
    [`${IP}.isLinkLocalMulticast(): bool`]: linkLocalMulticast,
    [`${IP}.isGlobalUnicast(): bool`]: (address: Ip) =>
      !(unspecified(address) || broadcast(address) || loopback(address) || multicast(address) ||
        linkLocal(address)),
    "isCIDR(string): bool": (text: string) => parseCidr(text) !== undefined,
    [`cidr(string): ${CIDR}`]: cidr,
    [`string(${CIDR}): string`]: ({ ip: address, prefix }: Cidr) => `${ipText(address)}/${prefix}`,
    [`${CIDR}.ip(): ${IP}`]: ({ ip: address }: Cidr) => address,
    [`${CIDR}.prefixLength(): int`]: ({ prefix }: Cidr) => BigInt(prefix),
    [`${CIDR}.masked(): ${CIDR}`]: masked,
    [`${CIDR}.containsIP(${IP}): bool`]: within,
    [`${CIDR}.containsIP(string): bool`]: (range: Cidr, text: string) => within(range, ip(text)),
    [`${CIDR}.containsCIDR(${CIDR}): bool`]: (range: Cidr, other: Cidr) =>
      other.prefix >= range.prefix && within(range, other.ip),
    [`${CIDR}.containsCIDR(string): bool`]: (range: Cidr, text: string) => {
      const other = cidr(text);
      return other.prefix >= range.prefix && within(range, other.ip);
    },
    "isURL(string): bool": isUrl,
    [`url(string): ${ADDRESS}`]: (text: string) => {
      const parsed = parseUrl(text);
      if (parsed === undefined) throw new Error(`${quoted(text)} is no URL`);
      return parsed;
    },
    [`${ADDRESS}.getScheme(): string`]: ({ url, absolute }: Address) =>
      absolute ? url.protocol.slice(0, -1) : "",
    [`${ADDRESS}.getHost(): string`]: ({ url, absolute }: Address) => absolute ? url.host : "",
    [`${ADDRESS}.getHostname(): string`]: ({ url, absolute }: Address) =>
      absolute ? url.hostname.replace(/^\[|\]$/g, "") : "",
    [`${ADDRESS}.getPort(): string`]: ({ url, absolute }: Address) => absolute ? url.port : "",
    [`${ADDRESS}.getEscapedPath(): string`]: ({ url }: Address) => url.pathname,
    [`${ADDRESS}.getQuery(): map`]: ({ url }: Address) => {
      const query = new Map<string, string[]>();
      for (const [name, value] of url.searchParams) query.set(name, [...query.get(name) ?? [], value]);
      return query;
    },
  },
};
