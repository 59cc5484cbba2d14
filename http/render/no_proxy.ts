/** Which hosts a `no_proxy` list keeps from the proxy, as curl, Go and Kubernetes read it. */
import { ipv4, ipv6 } from "../types/ip_address.ts";

/** An IPv4 address, also one that is written as IPv6 (`::ffff:10.0.0.1`). */
function address4(host: string): number | undefined {
  const host6 = ipv6(host);
  return host6 !== undefined && host6 >> 32n === 0xffffn ? Number(host6 & 0xffffffffn) : ipv4(host);
}

/** A length that is none would be a network of everything: such an entry is of no address. */
function inNetwork(host: string, entry: string): boolean {
  const [, network = "", length] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(entry) ?? [];
  const [host4, network4] = [address4(host), ipv4(network)];
  if (host4 !== undefined && network4 !== undefined) {
    const bits = Number(length ?? 32);
    const size = 2 ** (32 - bits);
    return bits <= 32 && Math.floor(host4 / size) === Math.floor(network4 / size);
  }
  const [host6, network6] = [ipv6(host), ipv6(network)];
  if (host6 === undefined || network6 === undefined) return false;
  const bits = Number(length ?? 128);
  const shift = BigInt(128 - Math.min(128, bits));
  return bits <= 128 && host6 >> shift === network6 >> shift;
}

/**
 * Whether a `no_proxy` list exempts a host: `*`, IP, CIDR, or a domain and its subdomains; each may be bound to a port.
 *
 * @param reading by `curl`, a domain that begins with a dot means itself too; by `go` (`golang.org/x/net/http/httpproxy`) its subdomains
 *   alone
 */
export function exempt(
  noProxy: string | undefined,
  hostname: string,
  port: string,
  reading: "curl" | "go" = "curl",
): boolean {
  const host = hostname.replace(/^\[|\]$/g, "").toLowerCase();
  return (noProxy ?? "").split(",").map((entry) => entry.trim().toLowerCase()).some((entry) => {
    if (entry === "") return false;
    if (entry === "*") return true;
    // `host:5000`, `[::1]:5000`; of `::1` the last part is no port.
    const [, named = entry, wantedPort] = /^(\[[^\]]*\]|[^:]*):(\d+)$/.exec(entry) ?? [];
    if (wantedPort !== undefined && wantedPort !== port) return false;
    const domain = named.replace(/^\[|\]$/g, "").replace(/^\*?\./, "");
    // Go binds addresses to a port, and no networks.
    if (reading === "go" && wantedPort !== undefined && named.includes("/")) return false;
    if (inNetwork(host, named.replace(/^\[|\]$/g, ""))) return true;
    // An address is no part of a domain, though its text ends like one.
    if (ipv4(host) !== undefined || ipv6(host) !== undefined) return false;
    const itself = reading === "curl" || !/^\*?\./.test(named);
    return (itself && host === domain) || host.endsWith(`.${domain}`);
  });
}
