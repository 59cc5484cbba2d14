/** Which proxy, if any, a request goes through (`spec/fetch-verify.md §2.4`, `§4.3`). */
import { ArtifactError } from "../types/error.ts";
import { exempt } from "../../http/render/no_proxy.ts";
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
