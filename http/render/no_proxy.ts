/** Which hosts a `no_proxy` list keeps from the proxy, as curl, Go and Kubernetes read it. */
import { type IpAddress, ipAddress, ipNetwork, networkHolds } from "../types/ip_address.ts";

/** By which rules a list is read; where they differ it is said below. */
type Reading = "curl" | "go";

/**
 * What an entry names, and the port that it is bound to: `host:5000`, `[::1]:5000`; of `::1` the last part is no port. `host:` is of all
 * ports (Go's `net.SplitHostPort`).
 */
function splitEntry(entry: string): { readonly name: string; readonly port: string } {
  const [, name = entry, port = ""] = /^(\[[^\]]*\]|[^:]*):(\d*)$/.exec(entry) ?? [];
  return { name, port };
}

/** A domain as URLs have it: in lower case, and by IDNA. */
function asciiDomain(domain: string): string {
  if (/^[\0-\x7f]*$/.test(domain) || !URL.canParse(`http://${domain}`)) return domain;
  return new URL(`http://${domain}`).hostname;
}

/** An entry as client-go reads networks (`utilnet.NewProxierWithNoProxyCIDR`): with zeros before their decimals, and without blanks. */
const withoutZeros = (entry: string): string =>
  /^[\d.]+\/\d+$/.test(entry) ? entry.replace(/(^|\.)0+(?=\d)/g, "$1") : entry;

function holdsAddress(entry: string, address: IpAddress, port: string, reading: Reading): boolean {
  const network = ipNetwork(entry);
  if (network !== undefined) return networkHolds(network, address);
  const { name, port: wanted } = splitEntry(entry);
  if (wanted !== "" && wanted !== port) return false;
  const isBare = name === entry;
  // Go has no brackets without a port, and binds no networks to one.
  if (reading === "go" && (name.includes("/") || (isBare && name.startsWith("[")))) return false;
  const text = name.replace(/^\[|\]$/g, "");
  const named = ipAddress(text);
  if (named !== undefined) return named.bits === address.bits && named.value === address.value;
  const bound = ipNetwork(text);
  return bound !== undefined && networkHolds(bound, address);
}

/** Of a name with a dot at its end the same one without it is meant, for curl; for Go each is another name. */
const withoutDot = (name: string, reading: Reading): string =>
  reading === "curl" ? name.replace(/\.$/, "") : name;

function holdsName(entry: string, host: string, port: string, reading: Reading): boolean {
  const { name, port: wanted } = splitEntry(entry);
  if (name === "" || (wanted !== "" && wanted !== port)) return false;
  const domain = asciiDomain(withoutDot(name, reading).replace(/^\*?\./, ""));
  const itself = reading === "curl" || !/^\*?\./.test(name);
  return domain !== "" && ((itself && host === domain) || host.endsWith(`.${domain}`));
}

/**
 * Whether a `no_proxy` list exempts a host: `*`, IP, CIDR, or a domain and its subdomains; each may be bound to a port.
 *
 * @param hostname as a URL has it
 * @param reading by `curl`, a domain that begins with a dot means itself too, and a dot at a name's end nothing; by `go`
 *   (`golang.org/x/net/http/httpproxy`) its subdomains alone, and another name
 */
export function exempt(
  noProxy: string | undefined,
  hostname: string,
  port: string,
  reading: Reading = "curl",
): boolean {
  const host = hostname.replace(/^\[|\]$/g, "").toLowerCase();
  const address = ipAddress(host);
  const entries = (noProxy ?? "").split(",").map((entry) => reading === "go" ? withoutZeros(entry) : entry);
  return entries.map((entry) => entry.trim().toLowerCase()).some((entry) => {
    if (entry === "*") return true;
    // An address is no part of a domain, though its text ends like one.
    return address === undefined
      ? holdsName(entry, withoutDot(host, reading), port, reading)
      : holdsAddress(entry, address, port, reading);
  });
}
