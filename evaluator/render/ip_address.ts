/** IP addresses and networks as Go's `net` package reads and writes them. */
import { work } from "./work.ts";

/** An address: 4 or 6, and its bits as one number. */
export interface IpAddress {
  readonly version: 4 | 6;
  readonly bits: bigint;
}

/** A network: its first address and how many bits are fixed. */
export interface IpNetwork extends IpAddress {
  readonly prefix: number;
}

/** Bits of an address. */
export function width(version: 4 | 6): number {
  return version === 4 ? 32 : 128;
}

function parse4(text: string): bigint | undefined {
  const parts = text.split(".");
  // Go refuses leading zeros, which other readers take for octal numbers.
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256)) {
    return undefined;
  }
  return parts.reduce((bits, part) => (bits << 8n) | BigInt(part), 0n);
}

function parse6(text: string): bigint | undefined {
  let source = text;
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  if (dotted) {
    const bits = parse4(dotted[2]!);
    if (bits === undefined) return undefined;
    source = `${dotted[1]}${(bits >> 16n).toString(16)}:${(bits & 0xffffn).toString(16)}`;
  }
  const halves = source.split("::");
  if (halves.length > 2) return undefined;
  const groups = halves.map((half) => half === "" ? [] : half.split(":"));
  const count = groups.reduce((sum, half) => sum + half.length, 0);
  if (halves.length === 1 ? count !== 8 : count > 7) return undefined;
  if (!groups.flat().every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return undefined;
  const [head = [], tail = []] = groups;
  const whole = [...head, ...Array<string>(8 - count).fill("0"), ...tail];
  return whole.reduce((bits, group) => (bits << 16n) | BigInt(`0x${group}`), 0n);
}

const MAPPED = 0xffffn << 32n;
/** `0000:0000:0000:0000:0000:ffff:255.255.255.255`: no address is written in more characters. */
const MAX_LENGTH = 45;

/** Reads an address; an IPv4 address written as `::ffff:1.2.3.4` is that IPv4 address. */
export function parseAddress(text: string): IpAddress | undefined {
  work();
  if (text.length > MAX_LENGTH) return undefined;
  const bits4 = parse4(text);
  if (bits4 !== undefined) return { version: 4, bits: bits4 };
  const bits = text.includes(":") ? parse6(text) : undefined;
  if (bits === undefined) return undefined;
  return bits >> 32n === 0xffffn ? { version: 4, bits: bits & 0xffffffffn } : { version: 6, bits };
}

/** Reads `address/prefix`; the bits behind the prefix become zero. */
export function parseNetwork(text: string): IpNetwork | undefined {
  work();
  if (text.length > MAX_LENGTH + 4) return undefined;
  const slash = text.indexOf("/");
  if (slash < 0) return undefined;
  const address = text.slice(0, slash);
  const bits4 = parse4(address);
  const bits = bits4 ?? (address.includes(":") ? parse6(address) : undefined);
  const length = text.slice(slash + 1);
  if (bits === undefined || !/^\d{1,3}$/.test(length)) return undefined;
  const version = bits4 === undefined ? 6 : 4;
  const prefix = Number(length);
  if (prefix > width(version)) return undefined;
  return { version, bits: masked(bits, version, prefix), prefix };
}

function masked(bits: bigint, version: 4 | 6, prefix: number): bigint {
  const host = BigInt(width(version) - prefix);
  return (bits >> host) << host;
}

/** The last address of a network. */
export function lastAddress({ version, bits, prefix }: IpNetwork): bigint {
  return bits | ((1n << BigInt(width(version) - prefix)) - 1n);
}

/** Whether the network holds the address. */
export function networkHas(network: IpNetwork, address: IpAddress): boolean {
  // An IPv6 network of mapped addresses holds no IPv4 address to Go, and the other way round.
  return network.version === address.version &&
    masked(address.bits, network.version, network.prefix) === network.bits;
}

function text6(bits: bigint): string {
  const groups: number[] = [];
  for (let at = 7; at >= 0; at--) groups.push(Number((bits >> BigInt(16 * at)) & 0xffffn));
  let [start, length] = [-1, 1];
  for (let at = 0; at < 8; at++) {
    let end = at;
    while (end < 8 && groups[end] === 0) end++;
    if (end - at > length) [start, length] = [at, end - at];
    if (end > at) at = end;
  }
  const shown = (list: readonly number[]) => list.map((group) => group.toString(16)).join(":");
  if (start < 0) return shown(groups);
  return `${shown(groups.slice(0, start))}::${shown(groups.slice(start + length))}`;
}

/** An address as text. */
export function addressText({ version, bits }: IpAddress): string {
  const mapped = version === 6 && (bits >> 32n) === MAPPED >> 32n;
  if (version === 6 && !mapped) return text6(bits);
  return [24n, 16n, 8n, 0n].map((shift) => String((bits >> shift) & 0xffn)).join(".");
}
