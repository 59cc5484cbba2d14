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
import { checkCount } from "../rego_size.ts";
import { work } from "../work.ts";

/** More addresses than this could not be handed to the guest. */
const MAX_ADDRESSES = 1n << 16n;

function networkOf(text: string): IpNetwork {
  return parseNetwork(text) ?? fail(`invalid CIDR address: ${text.slice(0, 100)}`);
}

function cidrContains(network: IpNetwork, inner: RegoValue): boolean {
  work(4);
  if (typeof inner !== "string") return fail("operand 2 must be string");
  const address = parseAddress(inner);
  if (address) return networkHas(network, address);
  const other = parseNetwork(inner) ??
    fail(`not a valid textual representation of an IP address or CIDR: ${inner.slice(0, 100)}`);
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
    work(width(version));
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
    work(4);
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
  // From the last range down, each joined with the one above it where they touch.
  const joined: Range[] = [];
  for (const previous of ranges.reverse()) {
    work();
    const current = joined.at(-1);
    const touches = current !== undefined && current.version === previous.version &&
      (current.first === 0n ? 0n : current.first - 1n) <= previous.last;
    if (!touches) {
      joined.push(previous);
      continue;
    }
    const first = previous.first < current.first ? previous.first : current.first;
    joined[joined.length - 1] = { version: current.version, first, last: current.last, network: undefined };
  }
  return joined.reverse().flatMap((range) => range.network ? [range.network] : cover(range))
    .map((network) => `${addressText(network)}/${network.prefix}`);
}

export const NET_BUILTINS: RegoBuiltins = {
  "net.cidr_is_valid": ([text = null]) => typeof text === "string" && parseNetwork(text) !== undefined,
  "net.cidr_expand": (operands) => {
    const network = networkOf(stringAt(operands, 0));
    const last = lastAddress(network);
    if (last - network.bits >= MAX_ADDRESSES) halt(`net.cidr_expand: more than ${MAX_ADDRESSES} addresses`);
    const addresses: string[] = [];
    for (let bits = network.bits; bits <= last; bits++) {
      work(4);
      addresses.push(addressText({ version: network.version, bits }));
    }
    return setOf(addresses);
  },
  "net.cidr_contains_matches": ([outer = null, inner = null]) => {
    const pairs: RegoValue[] = [];
    const others = candidates(inner);
    for (const [text, index] of candidates(outer)) {
      work();
      if (others.length === 0) continue;
      const network = networkOf(typeof text === "string" ? text : fail("operand 1 must be string"));
      for (const [other, otherIndex] of others) {
        if (cidrContains(network, other)) {
          checkCount("net.cidr_contains_matches", pairs.push([index, otherIndex]));
        }
      }
    }
    return setOf(pairs);
  },
  "net.lookup_ip_addr": (operands, { remember, resolve }) => {
    const name = stringAt(operands, 0);
    return remember(`net.lookup_ip_addr ${name}`, () => setOf(resolve(name)));
  },
  "net.cidr_merge": (operands) => setOf(merged(membersAt(operands, 0).map(mergeable))),
};
