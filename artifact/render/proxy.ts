/** Which proxy, if any, a request goes through (`spec/fetch-verify.md §2.4`, `§4.3`). */
import { ArtifactError } from "../types/error.ts";
import { ipv4, ipv6 } from "../types/ip_address.ts";
import { own } from "../../program/types/own.ts";
import type { Environment } from "../types/options.ts";
import type { Proxies, Sources } from "../types/sources.ts";

/** The environment's proxies; upper-case names come first. Empty values count as absent. */
export function environmentProxies(env: Environment): Proxies {
  const read = (name: string) => own(env, name.toUpperCase()) || own(env, name) || undefined;
  return { httpProxy: read("http_proxy"), httpsProxy: read("https_proxy"), noProxy: read("no_proxy") };
}

/** What the sources file says whole, else the environment: the file wins, as documented. */
export function effectiveProxies(sources: Sources, env: Environment): Proxies {
  return sources.proxies ?? environmentProxies(env);
}

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

/** Whether a `no_proxy` list exempts a host: `*`, IP, CIDR, or a domain and its subdomains; each may be bound to a port. */
export function exempt(noProxy: string | undefined, hostname: string, port: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, "").toLowerCase();
  return (noProxy ?? "").split(",").map((entry) => entry.trim().toLowerCase()).some((entry) => {
    if (entry === "") return false;
    if (entry === "*") return true;
    // `host:5000`, `[::1]:5000`; of `::1` the last part is no port.
    const [, named = entry, wantedPort] = /^(\[[^\]]*\]|[^:]*):(\d+)$/.exec(entry) ?? [];
    if (wantedPort !== undefined && wantedPort !== port) return false;
    const domain = named.replace(/^\[|\]$/g, "").replace(/^\*?\./, "");
    return host === domain || host.endsWith(`.${domain}`) || inNetwork(host, domain);
  });
}

/**
 * The proxy's URL for a target, `undefined` for a direct connection. A proxy without scheme is `http://`.
 *
 * @throws {ArtifactError} `config`, for a proxy that is neither `http:` nor `https:`; its URL may hold a password, so it is not
 *   quoted
 */
export function proxyFor(target: URL, proxies: Proxies): string | undefined {
  const proxy = target.protocol === "https:" ? proxies.httpsProxy : proxies.httpProxy;
  const port = target.port || (target.protocol === "https:" ? "443" : "80");
  if (proxy === undefined || proxy === "" || exempt(proxies.noProxy, target.hostname, port)) return undefined;
  const url = /^[a-z][a-z0-9+.-]*:\/\//i.test(proxy) ? proxy : `http://${proxy}`;
  if (!URL.canParse(url) || !/^https?:/i.test(url)) {
    const name = target.protocol === "https:" ? "https_proxy" : "http_proxy";
    const scheme = /^(socks[45]?[ah]?):/i.exec(url)?.[1]?.toLowerCase();
    throw new ArtifactError(
      "config",
      scheme === undefined
        ? `${name} is no http:// or https:// URL of a proxy`
        : `${name} names a ${scheme}:// proxy, which is not supported: give an http:// or https:// one, ` +
          `or list ${target.hostname} in no_proxy`,
    );
  }
  return url;
}
