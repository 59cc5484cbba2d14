/** Which hosts a `no_proxy` list keeps from the proxy, as curl, Go and Kubernetes read it. */
import { ipv4, ipv6 } from "../types/ip_address.ts";

function inNetwork(host: string, entry: string): boolean {
  const [network = "", length] = entry.split("/");
  const bits = length === undefined ? undefined : Number(length);
  if (bits !== undefined && !Number.isInteger(bits)) return false;
  const [host4, network4] = [ipv4(host), ipv4(network)];
  if (host4 !== undefined && network4 !== undefined) {
    const size = 2 ** (32 - Math.min(32, Math.max(0, bits ?? 32)));
    return Math.floor(host4 / size) === Math.floor(network4 / size);
  }
  const [host6, network6] = [ipv6(host), ipv6(network)];
  if (host6 === undefined || network6 === undefined) return false;
  const shift = BigInt(128 - Math.min(128, Math.max(0, bits ?? 128)));
  return host6 >> shift === network6 >> shift;
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
    if (inNetwork(host, named.replace(/^\[|\]$/g, ""))) return true;
    // An address is no part of a domain, though its text ends like one.
    if (ipv4(host) !== undefined || ipv6(host) !== undefined) return false;
    const itself = reading === "curl" || !/^\*?\./.test(named);
    return (itself && host === domain) || host.endsWith(`.${domain}`);
  });
}
