/** URLs as Go's `net/url` reads them, which is laxer than the URL standard in places and stricter in others. */
import { MAX_TEXT } from "../types/rego_limits.ts";
import { BoundedText, chunks, work } from "./work.ts";

/** Raised for text that Go would not take. */
export class UrlError extends Error {
  override readonly name = "UrlError";
}

/** The parts of a URL. */
export interface GoUrl {
  readonly scheme: string;
  /** Name and port. */
  readonly host: string;
  readonly hostname: string;
  readonly port: string;
  readonly path: string;
  /** The path as it was written, where its plain encoding would differ. */
  readonly rawPath: string;
  readonly rawQuery: string;
  readonly fragment: string;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Escapes for a query: only letters, digits and `-_.~` stay, a space becomes `+`. */
export function escapeQuery(text: string): string {
  return escaped(text, QUERY);
}

/** 1 for each byte that stays as it is. */
function allowed(pattern: RegExp): Uint8Array {
  return Uint8Array.from(
    { length: 256 },
    (_, byte) => byte < 0x80 && pattern.test(String.fromCharCode(byte)) ? 1 : 0,
  );
}

const QUERY = allowed(/[A-Za-z0-9_.~-]/);
const PATH = allowed(/[A-Za-z0-9_.~$&+,/:;=@-]/);
const DIGITS = encoder.encode("0123456789ABCDEF");

function escaped(text: string, plain: Uint8Array): string {
  const result = new BoundedText(MAX_TEXT, "an escaped text");
  for (const piece of chunks(text, 4096)) {
    const bytes = encoder.encode(piece);
    const part = new Uint8Array(3 * bytes.length);
    let length = 0;
    for (const byte of bytes) {
      if (plain[byte] === 1) part[length++] = byte;
      else if (byte === 0x20 && plain === QUERY) part[length++] = 0x2b;
      else {
        part[length++] = 0x25;
        part[length++] = DIGITS[byte >> 4]!;
        part[length++] = DIGITS[byte & 15]!;
      }
    }
    work(bytes.length >> 2);
    result.add(decoder.decode(part.subarray(0, length)));
  }
  return result.toString();
}

type Part = "query" | "path" | "host" | "zone" | "user" | "fragment";

/** Reverses the escapes of one part of a URL. Throws {@link UrlError}. */
export function unescapeUrl(text: string, part: Part): string {
  const source = encoder.encode(text);
  // What is unescaped is never longer.
  const bytes = new Uint8Array(source.length);
  let length = 0;
  const hostLike = part === "host" || part === "zone";
  for (let at = 0; at < source.length; at++) {
    if ((at & 0xff) === 0) work(0xff >> 2);
    const byte = source[at]!;
    if (byte === 0x25) {
      const digits = String.fromCharCode(...source.subarray(at + 1, at + 3));
      if (!/^[0-9a-fA-F]{2}$/.test(digits)) {
        throw new UrlError(`invalid URL escape ${JSON.stringify(`%${digits}`)}`);
      }
      const value = parseInt(digits, 16);
      // In a host only bytes beyond ASCII may be escaped, and the percent sign of a zone.
      if (part === "host" && value < 0x80 && digits !== "25") {
        throw new UrlError(`invalid URL escape ${JSON.stringify(`%${digits}`)}`);
      }
      if (part === "zone" && digits !== "25" && digits !== "20" && !zoneAllows(value)) {
        throw new UrlError(`invalid URL escape ${JSON.stringify(`%${digits}`)}`);
      }
      bytes[length++] = value;
      at += 2;
    } else if (byte === 0x2b && part === "query") bytes[length++] = 0x20;
    else {
      if (hostLike && byte < 0x80 && !zoneAllows(byte)) {
        throw new UrlError(`invalid character ${JSON.stringify(String.fromCharCode(byte))} in host name`);
      }
      bytes[length++] = byte;
    }
  }
  return decoder.decode(bytes.subarray(0, length));
}

function zoneAllows(byte: number): boolean {
  return byte < 0x80 && /[A-Za-z0-9_.~$&+=:!'()*,;[\]<>"-]/.test(String.fromCharCode(byte));
}

/** The path as it is sent: as it was written where that stands for the same, else escaped. */
export function escapedPath({ path, rawPath }: GoUrl): string {
  if (rawPath !== "" && /^[A-Za-z0-9_.~$&+,/:;=@%!'()*[\]-]*$/.test(rawPath)) return rawPath;
  return path === "*" ? "*" : defaultPath(path);
}

/** What Go leaves as it is when it writes a path. */
function defaultPath(path: string): string {
  return escaped(path, PATH);
}

function splitScheme(text: string): readonly [scheme: string, rest: string] {
  const match = /^([A-Za-z0-9+.-]*):/.exec(text);
  if (!match || match[1] === undefined) {
    return ["", text];
  }
  const scheme = match[1];
  if (scheme === "") throw new UrlError("missing protocol scheme");
  return /^[A-Za-z]/.test(scheme) ? [scheme.toLowerCase(), text.slice(match[0].length)] : ["", text];
}

function checkPort(port: string): void {
  if (!/^(:[0-9]*)?$/.test(port)) throw new UrlError(`invalid port ${JSON.stringify(port)} after host`);
}

function parseHost(scheme: string, host: string): string {
  const bracket = host.indexOf("[");
  if (bracket > 0) throw new UrlError("invalid IP-literal");
  if (bracket === 0) {
    const close = host.lastIndexOf("]");
    if (close < 0) throw new UrlError("missing ']' in host");
    checkPort(host.slice(close + 1));
    const zone = host.slice(0, close).indexOf("%25");
    const inside = host.slice(1, zone >= 0 ? zone : close);
    const address = zone >= 0
      ? unescapeUrl(host.slice(0, zone), "host") + unescapeUrl(host.slice(zone, close), "zone") +
        unescapeUrl(host.slice(close), "host")
      : unescapeUrl(host, "host");
    if (!/^[0-9a-fA-F:.]+$/.test(inside) || !inside.includes(":")) {
      throw new UrlError("invalid host: not an IPv6 address");
    }
    if (!isIpv6(inside)) throw new UrlError("invalid host: not an IPv6 address");
    return address;
  }
  const colon = host.lastIndexOf(":");
  if (colon >= 0) {
    checkPort(host.slice(colon));
    const strict = scheme === "http" || scheme === "https";
    if (strict && host.indexOf(":") !== colon) throw new UrlError("invalid host: several colons");
  }
  return unescapeUrl(host, "host");
}

function isIpv6(text: string): boolean {
  const groups = text.split(":");
  const gaps = text.split("::").length - 1;
  if (gaps > 1 || text.includes(":::")) return false;
  const last = groups.at(-1)!;
  const ipv4 = last.includes(".");
  if (ipv4 && !/^(25[0-5]|2[0-4]\d|1?\d?\d)(\.(25[0-5]|2[0-4]\d|1?\d?\d)){3}$/.test(last)) return false;
  const plain = (ipv4 ? groups.slice(0, -1) : groups).filter((group) => group !== "");
  if (!plain.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return false;
  const count = plain.length + (ipv4 ? 2 : 0);
  if (gaps === 0) return count === 8 && !groups.includes("");
  return count <= 7;
}

const USER_INFO = /^[A-Za-z0-9_.:~!$&'()*+,;=%@-]*$/;

function splitHostPort(host: string): readonly [hostname: string, port: string] {
  const colon = host.lastIndexOf(":");
  const hasPort = colon >= 0 && /^:[0-9]*$/.test(host.slice(colon));
  const name = hasPort ? host.slice(0, colon) : host;
  const bare = name.startsWith("[") && name.endsWith("]") ? name.slice(1, -1) : name;
  return [bare, hasPort ? host.slice(colon + 1) : ""];
}

/** Reads a URL or a reference. Throws {@link UrlError}. */
export function parseUrl(text: string): GoUrl {
  const hash = text.indexOf("#");
  const beforeFragment = hash < 0 ? text : text.slice(0, hash);
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x1f\x7f]/.test(beforeFragment)) throw new UrlError("invalid control character in URL");
  const fragment = hash < 0 ? "" : unescapeUrl(text.slice(hash + 1), "fragment");
  let host = "";
  let rest = beforeFragment;
  if (rest === "*") {
    return { scheme: "", host: "", hostname: "", port: "", path: "*", rawPath: "", rawQuery: "", fragment };
  }
  const [scheme, afterScheme] = splitScheme(rest);
  rest = afterScheme;
  const question = rest.indexOf("?");
  const rawQuery = question < 0 ? "" : rest.slice(question + 1);
  if (question >= 0) rest = rest.slice(0, question);
  if (!rest.startsWith("/")) {
    // Opaque (`mailto:someone`): no path.
    if (scheme !== "") {
      return { scheme, host: "", hostname: "", port: "", path: "", rawPath: "", rawQuery, fragment };
    }
    if (rest.split("/")[0]!.includes(":")) {
      throw new UrlError("first path segment in URL cannot contain colon");
    }
  }
  if ((scheme !== "" || !rest.startsWith("///")) && rest.startsWith("//")) {
    const slash = rest.indexOf("/", 2);
    const authority = rest.slice(2, slash < 0 ? rest.length : slash);
    rest = slash < 0 ? "" : rest.slice(slash);
    const at = authority.lastIndexOf("@");
    host = parseHost(scheme, authority.slice(at + 1));
    if (at >= 0) {
      const user = authority.slice(0, at);
      if (!USER_INFO.test(user)) throw new UrlError("net/url: invalid userinfo");
      unescapeUrl(user, "user");
    }
  }
  const path = unescapeUrl(rest, "path");
  const [hostname, port] = splitHostPort(host);
  return {
    scheme,
    host,
    hostname,
    port,
    path,
    rawPath: rest === defaultPath(path) ? "" : rest,
    rawQuery,
    fragment,
  };
}
