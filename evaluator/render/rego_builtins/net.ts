/** Builtins on networks that need no network: `net.cidr_*`. */
import { type RegoBuiltins, RegoObject, RegoSet, type RegoValue } from "../../types/rego.ts";
import {
  addressText,
  type IpNetwork,
  lastAddress,
  networkHas,
  parseAddress,
  parseNetwork,
  width,
} from "../ip_address.ts";
import { fail, halt, membersAt, stringAt } from "../rego_operands.ts";
import { isList, number, setOf } from "../rego_value.ts";

/** More addresses than this could not be handed to the guest. */
const MAX_ADDRESSES = 1n << 16n;

function networkOf(text: string): IpNetwork {
  return parseNetwork(text) ?? fail(`invalid CIDR address: ${text}`);
}

function cidrContains(outer: RegoValue, inner: RegoValue): boolean {
  const network = networkOf(typeof outer === "string" ? outer : fail("operand 1 must be string"));
  if (typeof inner !== "string") return fail("operand 2 must be string");
  const address = parseAddress(inner);
  if (address) return networkHas(network, address);
  const other = parseNetwork(inner) ??
    fail(`not a valid textual representation of an IP address or CIDR: ${inner}`);
  return networkHas(network, other) &&
    networkHas(network, { version: other.version, bits: lastAddress(other) });
}

/** The networks of one operand of `net.cidr_contains_matches`, each with what stands for it in the answer. */
function candidates(value: RegoValue): readonly (readonly [network: RegoValue, index: RegoValue])[] {
  const wrong = "element must be string or non-empty array";
  const network = (element: RegoValue): RegoValue => {
    if (typeof element === "string") return element;
    return isList(element) && element.length > 0 ? element[0]! : fail(wrong);
  };
  if (typeof value === "string") return [[value, value]];
  if (value instanceof RegoSet) return value.members.map((element) => [network(element), element]);
  if (value instanceof RegoObject) return value.entries.map(([key, element]) => [network(element), key]);
  return isList(value) ? value.map((element, at) => [network(element), number(at)]) : [];
}

/** A network given as text or as a plain IPv4 address, which then stands for its historical class. */
function mergeable(value: RegoValue): IpNetwork {
  if (typeof value !== "string") return fail("element must be string");
  const address = parseAddress(value);
  if (!address) return networkOf(value);
  if (address.version === 6) return fail("IPv6 invalid: needs prefix length");
  const first = Number(address.bits >> 24n);
  const prefix = first < 128 ? 8 : first < 192 ? 16 : first < 224 ? 24 : undefined;
  if (prefix === undefined) return fail("not an address of class A, B or C");
  return { ...address, prefix };
}

type Range = { version: 4 | 6; first: bigint; last: bigint; network: IpNetwork | undefined };

/** The fewest networks that cover a range. */
function cover({ version, first, last }: Range): IpNetwork[] {
  const networks: IpNetwork[] = [];
  for (let at = first; at <= last;) {
    let host = 0;
    const bits = width(version);
    while (host < bits) {
      const size = 1n << BigInt(host + 1);
      if (at % size !== 0n || at + size - 1n > last) break;
      host++;
    }
    networks.push({ version, bits: at, prefix: bits - host });
    at += 1n << BigInt(host);
  }
  return networks;
}

function merged(networks: readonly IpNetwork[]): string[] {
  // IPv4 addresses come before all IPv6 addresses but `::/96` and the like, as they do in their 16-byte form.
  const key = (version: 4 | 6, bits: bigint) => version === 4 ? (0xffffn << 32n) | bits : bits;
  const ranges = networks.map((network): Range => {
    const start = network.bits >> BigInt(width(network.version) - network.prefix) <<
      BigInt(width(network.version) - network.prefix);
    return {
      version: network.version,
      first: start,
      last: lastAddress({ ...network, bits: start }),
      network,
    };
  });
  ranges.sort((a, b) => {
    const last = key(a.version, a.last) - key(b.version, b.last);
    const order = last !== 0n ? last : key(a.version, a.first) - key(b.version, b.first);
    return order < 0n ? -1 : order > 0n ? 1 : 0;
  });
  for (let at = ranges.length - 1; at > 0; at--) {
    const current = ranges[at]!;
    const previous = ranges[at - 1]!;
    if (current.version !== previous.version) continue;
    const before = current.first === 0n ? 0n : current.first - 1n;
    if (before > previous.last) continue;
    const first = previous.first < current.first ? previous.first : current.first;
    ranges.splice(at - 1, 2, { version: current.version, first, last: current.last, network: undefined });
  }
  return ranges.flatMap((range) => range.network ? [range.network] : cover(range))
    .map((network) => `${addressText(network)}/${network.prefix}`);
}

export const NET_BUILTINS: RegoBuiltins = {
  "net.cidr_is_valid": ([text = null]) => typeof text === "string" && parseNetwork(text) !== undefined,
  "net.cidr_expand": (operands, context) => {
    const network = networkOf(stringAt(operands, 0));
    const last = lastAddress(network);
    if (last - network.bits >= MAX_ADDRESSES) halt(`net.cidr_expand: more than ${MAX_ADDRESSES} addresses`);
    const addresses: string[] = [];
    for (let bits = network.bits; bits <= last; bits++) {
      if ((addresses.length & 0xfff) === 0) context.check();
      addresses.push(addressText({ version: network.version, bits }));
    }
    context.check();
    return setOf(addresses);
  },
  "net.cidr_contains_matches": ([outer = null, inner = null], context) => {
    const pairs: RegoValue[] = [];
    const others = candidates(inner);
    for (const [network, index] of candidates(outer)) {
      context.check();
      for (const [other, otherIndex] of others) {
        if (cidrContains(network, other)) pairs.push([index, otherIndex]);
      }
    }
    return setOf(pairs);
  },
  "net.lookup_ip_addr": (operands, { memo, resolve }) => {
    const name = stringAt(operands, 0);
    const key = `net.lookup_ip_addr ${name}`;
    const found = memo.get(key) ?? setOf(resolve(name));
    memo.set(key, found);
    return found;
  },
  "net.cidr_merge": (operands) => setOf(merged(membersAt(operands, 0).map(mergeable))),
};
