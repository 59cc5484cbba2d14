/**
 * Names in certificates held against constraints and host names, as Go's `crypto/x509` does it (RFC 5280 §4.2.1.10, RFC 6125,
 * and the leading period that everybody takes for "only below").
 */
import { unsigned } from "./der.ts";
import { addressText, type IpAddress, parseAddress } from "./ip_address.ts";
import { halt, workOn } from "./work.ts";

/** No name that certificates are made for is longer (RFC 5280 has 255 for hosts, RFC 5321 256 for addresses). */
const MAX_NAME = 16 * 1024;

function lower(text: string): string {
  if (text.length > MAX_NAME) halt(`a name of ${text.length} characters in a certificate`);
  workOn(16 * text.length);
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/** Whether Go takes a text for a domain; constraints may begin with a period. */
export function isDomain(text: string, constraint: boolean): boolean {
  workOn(8 * text.length);
  if (text === "") return true;
  if (text.endsWith(".") || /[^!-~]/.test(text)) return false;
  return (constraint && text.startsWith(".") ? text.slice(1) : text).split(".").every((label) =>
    label !== ""
  );
}

// deno-lint-ignore no-control-regex
const QUOTED = /^"((?:\\[\x01-\x09\x0b\x0c\x0e-\x7f]|[\x01-\x08\x0b\x0c\x0e-!#-[\]-\x7f])*)"/;
const ATOMS = /^(?:\\[^]|[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~.])+/;

/** The two parts of a mail address (RFC 2821 §4.1.2), the domain in small letters; undefined for what is none. */
export function mailboxOf(text: string): { readonly local: string; readonly domain: string } | undefined {
  if (text.length > MAX_NAME) halt(`an address of ${text.length} characters in a certificate`);
  workOn(16 * text.length);
  const [whole = "", inner] = QUOTED.exec(text) ?? ATOMS.exec(text) ?? [];
  const local = (inner ?? whole).replace(/\\([^])/g, "$1");
  if (whole === "" || text[whole.length] !== "@") return undefined;
  if (inner === undefined && /^\.|\.$|\.\./.test(local)) return undefined;
  const domain = text.slice(whole.length + 1);
  const labels = domain === "" ? [] : domain.split(".");
  if (labels.some((label) => label === "" || /[^!-~]/.test(label))) return undefined;
  return { local, domain: lower(domain) };
}

/** The address and the mask of a constraint; undefined where there is none. */
export function constraintAddress(
  bytes: Uint8Array,
): { readonly ip: string; readonly mask: Uint8Array } | undefined {
  if (bytes.length !== 8 && bytes.length !== 32) return undefined;
  const half = bytes.length / 2;
  const mask = bytes.subarray(half);
  if (!/^1*0*$/.test([...mask].map((byte) => byte.toString(2).padStart(8, "0")).join(""))) return undefined;
  const bits = unsigned(bytes.subarray(0, half));
  return { ip: addressText({ version: half === 4 ? 4 : 6, bits }), mask };
}

/** A tree of addresses, as certificates show it. */
export interface AddressTree {
  readonly ip: string;
  readonly mask: Uint8Array;
}

/** What one list of a certificate's name constraints holds. */
export interface NameTrees {
  readonly dns: readonly string[];
  readonly emails: readonly string[];
  readonly uris: readonly string[];
  readonly ips: readonly AddressTree[];
}

/** The names of a certificate. `uriHosts` are the hosts of its URIs, ports included. */
export interface CertificateNames {
  readonly dns: readonly string[];
  readonly emails: readonly string[];
  readonly uriHosts: readonly string[];
  readonly ips: readonly string[];
}

/** Whether `tree` is `name` or ends it at a label; with a leading period it must be longer. */
function below(name: string, tree: string): boolean {
  const [text, suffix] = [lower(name), lower(tree)];
  if (suffix === "") return true;
  if (!text.endsWith(suffix)) return false;
  return suffix.startsWith(".") || text.length === suffix.length || text.at(-suffix.length - 1) === ".";
}

function inDomains(name: string, trees: readonly string[], permitted: boolean): boolean {
  if (trees.some((tree) => below(name, tree))) return true;
  if (permitted || !name.startsWith("*")) return false;
  // `*.example.com` may stand for a name that is excluded.
  const rest = lower(name).slice(lower(name).indexOf("."));
  return trees.some((tree) => tree.includes(".") && lower(tree).slice(tree.indexOf(".")) === rest);
}

function inMailboxes(name: string, trees: readonly string[], permitted: boolean): boolean {
  const { local, domain } = mailboxOf(name)!;
  const whole = (tree: string) => {
    const mailbox = mailboxOf(tree);
    return mailbox?.local === local && mailbox.domain === domain;
  };
  return trees.filter((tree) => tree.includes("@")).some(whole) ||
    inDomains(domain, trees.filter((tree) => !tree.includes("@")), permitted);
}

function inAddresses(name: string, trees: readonly AddressTree[]): boolean {
  const address = parseAddress(name);
  return trees.some(({ ip, mask }) => {
    const base = parseAddress(ip);
    if (!address || !base || base.version !== address.version) return false;
    const bits = unsigned(mask);
    return (address.bits & bits) === (base.bits & bits);
  });
}

/** Whether a list of names is within `permitted`, where there is any of that kind, and outside of `excluded`. */
function obeys<Tree>(
  names: readonly string[],
  permitted: readonly Tree[],
  excluded: readonly Tree[],
  within: (name: string, trees: readonly Tree[], permitted: boolean) => boolean,
): boolean {
  return names.every((name) =>
    (permitted.length === 0 || within(name, permitted, true)) && !within(name, excluded, false)
  );
}

/** The host of a URI without its port; undefined where constraints can't be held against it. */
function hostOf(host: string): string | undefined {
  workOn(8 * host.length);
  const bare = /^\[(.*)\](?::[^:]*)?$/.exec(host)?.[1] ?? /^([^:]*)(?::[^:]*)?$/.exec(host)?.[1];
  if (bare === undefined || bare === "" || host.startsWith("[") || parseAddress(bare)) return undefined;
  return lower(bare);
}

/** Whether a certificate's names are what an authority above it may vouch for. What can't be compared is not. */
export function obeysConstraints(
  names: CertificateNames,
  permitted: NameTrees,
  excluded: NameTrees,
): boolean {
  const hosts = names.uriHosts.map(hostOf);
  if (hosts.includes(undefined)) return false;
  if (![...names.dns, ...hosts as string[]].every((name) => isDomain(name, false))) return false;
  if (names.emails.some((email) => !isDomain(mailboxOf(email)?.domain ?? ".", false))) return false;
  return obeys(names.ips, permitted.ips, excluded.ips, inAddresses) &&
    obeys(names.dns, permitted.dns, excluded.dns, inDomains) &&
    obeys(hosts as string[], permitted.uris, excluded.uris, inDomains) &&
    obeys(names.emails, permitted.emails, excluded.emails, inMailboxes);
}

function isHostName(text: string, pattern: boolean): boolean {
  workOn(16 * text.length);
  const host = pattern ? text : text.replace(/\.$/, "");
  if (host === "" || host === "*") return false;
  return host.split(".").every((label, at) =>
    pattern && at === 0 && label === "*" || /^[A-Za-z0-9_][A-Za-z0-9_-]*$/.test(label)
  );
}

const sameAddress = (a: IpAddress, b: IpAddress | undefined): boolean =>
  b !== undefined && a.version === b.version && a.bits === b.bits;

/** Whether a certificate with these names is one for `host`, a name or an address. */
export function isForHost({ dns, ips }: Pick<CertificateNames, "dns" | "ips">, host: string): boolean {
  const address = parseAddress(/^\[(.+)\]$/.exec(host)?.[1] ?? host);
  if (address) return ips.some((ip) => sameAddress(address, parseAddress(ip)));
  const wanted = lower(host);
  const labels = wanted.replace(/\.$/, "").split(".");
  return dns.some((name) => {
    const pattern = lower(name);
    if (!isHostName(wanted, false) || !isHostName(pattern, true)) {
      return pattern === wanted && pattern !== "" && pattern !== ".";
    }
    const parts = pattern.split(".");
    return parts.length === labels.length &&
      parts.every((part, at) => at === 0 && part === "*" || part === labels[at]);
  });
}
