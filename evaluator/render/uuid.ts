/** What a UUID says of itself (RFC 9562, and DCE 1.1 for version 2), as `uuid.parse` tells it. */

/** The parts of a UUID. */
export interface ParsedUuid {
  readonly version: number;
  readonly variant: string;
  /** Of versions 1 and 2, which hold a time and a node. */
  readonly timeBased?: {
    /** Nanoseconds since 1970. */
    readonly nanoseconds: bigint;
    readonly node: string;
    readonly macVariables: string;
    readonly clockSequence: number;
    /** Of version 2. */
    readonly dce?: { readonly id: number; readonly domain: string };
  };
}

/** 100 ns steps from 1582-10-15 to 1970-01-01. */
const EPOCH = 122192928000000000n;

/** The 32 digits of the accepted spellings: plain, with dashes, in braces (of any kind), as a URN. */
function digitsOf(text: string): string | undefined {
  let body = text;
  if (text.length === 45) {
    if (text.slice(0, 9).toLowerCase() !== "urn:uuid:") return undefined;
    body = text.slice(9);
  } else if (text.length === 38) {
    body = text.slice(1, 37);
  }
  if (body.length === 36) {
    if (![8, 13, 18, 23].every((at) => body[at] === "-")) return undefined;
    body = body.slice(0, 8) + body.slice(9, 13) + body.slice(14, 18) + body.slice(19, 23) + body.slice(24);
  } else if (body.length !== 32) return undefined;
  return /^[0-9a-fA-F]{32}$/.test(body) ? body : undefined;
}

function variantOf(byte: number): string {
  if ((byte & 0xc0) === 0x80) return "RFC4122";
  if ((byte & 0xe0) === 0xc0) return "Microsoft";
  return (byte & 0xe0) === 0xe0 ? "Future" : "Reserved";
}

function domainName(domain: number): string {
  return ["Person", "Group", "Org"][domain] ?? `Domain${domain}`;
}

function macVariables(byte: number): string {
  return `${byte & 2 ? "local" : "global"}:${byte & 1 ? "multicast" : "unicast"}`;
}

/** Reads a UUID; undefined for text that is none. */
export function parseUuid(text: string): ParsedUuid | undefined {
  const digits = digitsOf(text);
  if (digits === undefined) return undefined;
  const bytes = Uint8Array.from(digits.match(/../g)!, (pair) => parseInt(pair, 16));
  const version = bytes[6]! >> 4;
  const variant = variantOf(bytes[8]!);
  if (version !== 1 && version !== 2) return { version, variant };
  const low = BigInt(`0x${digits.slice(0, 8)}`);
  const middle = BigInt(`0x${digits.slice(8, 12)}`);
  const high = BigInt(`0x${digits.slice(12, 16)}`) & 0xfffn;
  const time = low | (middle << 32n) | (high << 48n);
  return {
    version,
    variant,
    timeBased: {
      nanoseconds: (time - EPOCH) * 100n,
      node: digits.slice(20).toLowerCase().match(/../g)!.join("-"),
      macVariables: macVariables(bytes[10]!),
      clockSequence: ((bytes[8]! << 8) | bytes[9]!) & 0x3fff,
      ...(version === 2 && { dce: { id: Number(low), domain: domainName(bytes[9]!) } }),
    },
  };
}
