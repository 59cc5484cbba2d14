/**
 * Addresses that a server names: redirects, token realms, a layer's own `urls`, upload locations. A server may send us to
 * other hosts, as registries with separate token and blob servers do, but not to places that only we can reach.
 */
import { ipAddress, ipNetwork, networkHolds } from "../../http/types/ip_address.ts";
import { ArtifactError, messageOf } from "./error.ts";
import { quoted, quotedUri } from "./quoted.ts";

/** Longer addresses are refused; presigned blob URLs have up to about 2,000 characters. */
const MAX_CHARACTERS = 8192;

/** Link-local networks, and the IPv6 address of EC2's metadata: no registry is there. */
const LINK_LOCAL = ["169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128"].map((text) => ipNetwork(text)!);

function isLinkLocal(hostname: string): boolean {
  const address = ipAddress(hostname.replace(/^\[|\]$/g, ""));
  return address !== undefined && LINK_LOCAL.some((network) => networkHolds(network, address));
}

/**
 * Reads an address that a server named, absolute or relative to `base`.
 *
 * @param who says in errors who named it: `https://ghcr.io redirects to`
 * @throws {ArtifactError} `protocol`, for what is no URL, has another scheme than `http` and `https`, holds a user name or a
 *   password, or is link-local
 */
export function namedAddress(text: string, base: string | undefined, who: string): URL {
  const shown = quoted(quotedUri(text));
  const refuse = (reason: string, cause?: unknown): never => {
    throw new ArtifactError("protocol", `${who} ${reason}`, cause);
  };
  if (text.length > MAX_CHARACTERS) refuse(`an address longer than ${MAX_CHARACTERS} characters`);
  let url: URL;
  try {
    url = new URL(text, base);
  } catch (cause) {
    return refuse(`what is no URL: ${shown}`, new Error(messageOf(cause)));
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") refuse(`an unsupported address: ${shown}`);
  // Not quoted: it may be somebody's password.
  if (url.username !== "" || url.password !== "") {
    refuse(`an address with a user name or password (${url.origin}): refused`);
  }
  if (isLinkLocal(url.hostname)) refuse(`a link-local address (${url.origin}): refused`);
  return url;
}
