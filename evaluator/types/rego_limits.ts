/**
 * How large the operands and the result of each builtin may be. A builtin that gets more ends the evaluation: the request is
 * refused, and no verdict rests on a part of the data.
 *
 * Time is limited besides (`render/work.ts`). These limits are for memory, and for calls into the runtime that can't be
 * interrupted: one such call on the largest operand takes less than about 50 ms on a slow machine.
 */
import { REGO_BUILTINS } from "./rego_builtin_names.ts";

/** Bounds of one builtin. */
export interface RegoLimit {
  /** UTF-16 units of all texts and numbers in all operands. */
  readonly characters: number;
  /** Values in all operands, at every level. */
  readonly values: number;
  readonly why: string;
}

/** The longest text that a builtin may make, in UTF-16 units: larger than any object that Kubernetes stores (1.5 MiB). */
export const MAX_TEXT = 16 * 1024 * 1024;
/** The most values that a builtin may take or make: about 50 MB here, and more in the guest. */
export const MAX_VALUES = 500_000;
/** The deepest nesting of operands and results; every walk over values is recursive, and the call stack is shared with the guest. */
export const MAX_NESTING = 500;

const LINEAR: RegoLimit = {
  characters: MAX_TEXT,
  values: MAX_VALUES,
  why: "one pass over the operands, interrupted when the time is up: only memory counts",
};
const DOCUMENT: RegoLimit = {
  characters: 4 * 1024 * 1024,
  values: 250_000,
  why: "operands become documents of several times their size in memory",
};
const CERTIFICATE: RegoLimit = {
  characters: 1024 * 1024,
  values: 10_000,
  why:
    "the runtime reads and verifies certificates and keys, which can't be interrupted; a bundle of all public roots has 250 KiB",
};
const SHORT: RegoLimit = {
  characters: 16 * 1024,
  values: 1_000,
  why:
    "names, dates, versions and quantities: read with regular expressions, written with integers of any size",
};
const PATTERN: RegoLimit = {
  characters: MAX_TEXT,
  values: 1_000,
  why: "a text and a pattern; the pattern has limits of its own (`render/regex_cost.ts`)",
};

const LIMITS: readonly (readonly [names: RegExp, limit: RegoLimit])[] = [
  [/^(base64url|hex|urlquery|crypto\.hmac)\./, LINEAR],
  [/^crypto\.(md5|sha1|sha256)$/, LINEAR],
  [/^cast_/, LINEAR],
  [/^(sprintf|indexof_n|strings\.(any_\w+|count|split_n)|glob\.quote_meta|trace)$/, LINEAR],
  [/^(json\.patch|json\.marshal_with_options|object\.subset|graph\.reachable_paths)$/, LINEAR],
  [/^net\.cidr_(contains_matches|merge)$/, LINEAR],
  [/^regex\.(find_n|replace|split|template_match)$/, PATTERN],
  [/^(yaml\.|json\.(match|verify)_schema$|strings\.render_template$|providers\.aws\.)/, DOCUMENT],
  [/^io\.jwt\./, CERTIFICATE],
  [/^crypto\.(x509|parse_private_keys)/, CERTIFICATE],
  [/^(time|units|semver|uuid|uri|rand|numbers|opa)\./, SHORT],
  [/^(net\.(cidr_expand|cidr_is_valid|lookup_ip_addr)|regex\.globs_match)$/, SHORT],
];

function limitOf(name: string): RegoLimit {
  const found = LIMITS.filter(([names]) => names.test(name));
  if (found.length !== 1) {
    throw new Error(`${name} needs one row in the table of limits, it has ${found.length}`);
  }
  return found[0]![1];
}

/** The limits of every builtin. */
export const REGO_LIMITS: ReadonlyMap<string, RegoLimit> = new Map(
  REGO_BUILTINS.map((name) => [name, limitOf(name)]),
);
