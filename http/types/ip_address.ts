/** IP addresses as numbers, to compare them with networks. */

/** An IPv4 address in dotted decimals, without leading zeros, which some read as octal; `undefined` for anything else. */
function ipv4(text: string): number | undefined {
  const parts = text.split(".").map((part) => (/^(?:0|[1-9]\d{0,2})$/.test(part) ? Number(part) : 256));
  if (parts.length !== 4 || parts.some((part) => part > 255)) return undefined;
  return parts.reduce((sum, part) => sum * 256 + part, 0);
}

/** An IPv6 address, its end perhaps in dotted decimals; `undefined` for anything else, such as one with a zone. */
function ipv6(text: string): bigint | undefined {
  const [, before = "", dotted] = /^(.*:)(\d+(?:\.\d+){3})$/.exec(text) ?? [];
  if (dotted !== undefined) {
    const end = ipv4(dotted);
    return end === undefined
      ? undefined
      : ipv6(`${before}${Math.floor(end / 0x10000).toString(16)}:${(end % 0x10000).toString(16)}`);
  }
  if (!/^[0-9a-f:]+$/i.test(text) || !text.includes(":")) return undefined;
  const [head = "", tail, more] = text.split("::");
  if (more !== undefined) return undefined;
  const words = (part: string) => (part === "" ? [] : part.split(":"));
  const first = words(head);
  const last = words(tail ?? "");
  const gap = tail === undefined ? 0 : 8 - first.length - last.length;
  // `::` stands for one group of zeros at least.
  if (tail !== undefined && gap < 1) return undefined;
  const all = [...first, ...Array<string>(gap).fill("0"), ...last];
  if (all.length !== 8 || !all.every((word) => /^[0-9a-f]{1,4}$/i.test(word))) return undefined;
  return all.reduce((sum, word) => (sum << 16n) | BigInt(`0x${word}`), 0n);
}

/** An address of either version; of version 4, and what IPv6 maps it to (`::ffff:10.0.0.1`), are the same one. */
export type IpAddress = { readonly bits: 32 | 128; readonly value: bigint };

const mapped = (value: bigint): IpAddress =>
  value >> 32n === 0xffffn ? { bits: 32, value: value & 0xffffffffn } : { bits: 128, value };

/** An address of either version; `undefined` for anything else. */
export function ipAddress(text: string): IpAddress | undefined {
  const [version4, version6] = [ipv4(text), ipv6(text)];
  if (version4 !== undefined) return { bits: 32, value: BigInt(version4) };
  return version6 === undefined ? undefined : mapped(version6);
}

/** Addresses that begin alike. */
type IpNetwork = IpAddress & { readonly length: number };

/** A network as CIDR has it, `10.0.0.0/8`; `undefined` for anything else: a length that is none would be a network of everything. */
export function ipNetwork(text: string): IpNetwork | undefined {
  const [, named = "", given = ""] = /^([^/]*)\/(\d{1,3})$/.exec(text) ?? [];
  const length = Number(given);
  const version4 = ipv4(named);
  if (version4 !== undefined) return length <= 32 ? { bits: 32, value: BigInt(version4), length } : undefined;
  const version6 = ipv6(named);
  if (version6 === undefined || length > 128) return undefined;
  const address = mapped(version6);
  if (length < 96) return { bits: 128, value: version6, length };
  return { ...address, length: address.bits === 32 ? length - 96 : length };
}

/** Whether a network holds an address. */
export function networkHolds(network: IpNetwork, address: IpAddress): boolean {
  const rest = BigInt(network.bits - network.length);
  return network.bits === address.bits && network.value >> rest === address.value >> rest;
}

/** Whether a host, as a URL has it, is this machine itself. */
export function isLoopback(hostname: string): boolean {
  const address = ipAddress(hostname.replace(/^\[|\]$/g, ""));
  if (address === undefined) return hostname === "localhost";
  return address.bits === 32 ? address.value >> 24n === 127n : address.value === 1n;
}
