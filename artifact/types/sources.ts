/** `sources.yml`: hosts without trustworthy TLS, private authorities, proxies (`spec/fetch-verify.md §4`). */
import { quoted } from "./quoted.ts";
import {
  DocumentError,
  type Mapping,
  readList,
  readMapping,
  readOptionalString,
  readString,
} from "./strict_document.ts";
import { parseYaml } from "./yaml_text.ts";

/** URLs of the proxies, and what goes past them. */
export type Proxies = {
  readonly httpProxy: string | undefined;
  readonly httpsProxy: string | undefined;
  /** Comma list of IP, CIDR, `*` and domains. */
  readonly noProxy: string | undefined;
};

/** The content of `sources.yml`, certificates read. */
export type Sources = {
  /** `host[:port]`, compared as exact strings with what the URI says. */
  readonly insecureSources: ReadonlySet<string>;
  /** `host[:port]` to PEM texts; they are added to the trusted roots for that host alone. */
  readonly sourceAuthorities: ReadonlyMap<string, readonly string[]>;
  /** Absent: the environment's. Present: used whole, no field is merged with the environment. */
  readonly proxies: Proxies | undefined;
};

/** Nothing insecure, no private authorities, proxies from the environment. */
export const NO_SOURCES: Sources = {
  insecureSources: new Set(),
  sourceAuthorities: new Map(),
  proxies: undefined,
};

/** An authority as written: what `Path` names is read by `apply/sources_file.ts`. */
export type AuthorityEntry =
  | { readonly type: "Path"; readonly path: string }
  | { readonly type: "Data"; readonly data: string | Uint8Array };

export type SourcesDocument = {
  readonly insecureSources: ReadonlySet<string>;
  readonly authorities: readonly { readonly host: string; readonly entry: AuthorityEntry }[];
  readonly proxies: Proxies | undefined;
  /** What is passed over, as 1.36 does, and is hardly meant so. */
  readonly warnings: readonly string[];
};

const KEYS = ["insecure_sources", "source_authorities", "proxies"];
const PROXY_KEYS = ["http_proxy", "https_proxy", "no_proxy"];
const HOST_AND_PORT = /^(?:\[[0-9A-Fa-f:.]+\]|[^\s/:@\[\]]+)(?::\d{1,5})?$/;

/** Keys that nothing reads, and hosts that no address is equal to. */
function passedOver(
  root: Mapping,
  insecure: readonly string[],
  authorities: readonly string[],
  proxies: Mapping,
) {
  const unknown = (mapping: Mapping, known: readonly string[], where: string) =>
    Object.keys(mapping).filter((key) => !known.includes(key)).map((key) =>
      `${where}${quoted(key)} is passed over: there is no such key, correct or remove it (known: ${
        known.join(", ")
      })`
    );
  const hosts = (listed: readonly string[], where: string) =>
    listed.flatMap((host, index) =>
      HOST_AND_PORT.test(host)
        ? []
        : [`${where} ${index + 1} is passed over: write it as host or host:port, without scheme and path`]
    );
  return [
    ...unknown(root, KEYS, ""),
    ...unknown(proxies, PROXY_KEYS, "proxies."),
    ...hosts(insecure, "entry of insecure_sources"),
    ...hosts(authorities, "host of source_authorities"),
  ].slice(0, 20);
}

/** As {@link readMapping}; what stands in its place is not quoted: a proxy's URL may hold a password. */
function mappingOf(value: unknown, expected: string, where: string): Mapping {
  if (typeof value === "string") {
    throw new DocumentError(`invalid type: string, expected ${expected}${where && ` at ${quoted(where)}`}`);
  }
  return readMapping(value, expected, where);
}

function readAuthority(value: unknown, where: string): AuthorityEntry {
  const mapping = readMapping(value, "an authority with `type: Path` or `type: Data`", where);
  const type = readString(mapping, "type", where);
  if (type === "Path") return { type, path: readString(mapping, "path", where) };
  if (type !== "Data") {
    throw new DocumentError(
      `unknown variant \`${quoted(type)}\`, expected \`Path\` or \`Data\` at ${quoted(where)}`,
    );
  }
  const data = mapping["data"];
  if (!Array.isArray(data)) return { type, data: readString(mapping, "data", where) };
  if (!data.every((byte) => Number.isInteger(byte) && byte >= 0 && byte <= 255)) {
    throw new DocumentError(`\`data\` holds something that is no byte at ${quoted(where)}`);
  }
  return { type, data: Uint8Array.from(data as number[]) };
}

function readProxies(mapping: Mapping): Proxies {
  return {
    httpProxy: readOptionalString(mapping, "http_proxy", "proxies"),
    httpsProxy: readOptionalString(mapping, "https_proxy", "proxies"),
    noProxy: readOptionalString(mapping, "no_proxy", "proxies"),
  };
}

/**
 * Reads the text of a sources file. Unknown keys are ignored, an empty document is fine.
 *
 * @throws {DocumentError} what is wrong and where
 */
export function parseSources(text: string): SourcesDocument {
  const document = parseYaml(text);
  const root = document === null ? {} : mappingOf(document, "a map", "");
  const insecure = readList(root["insecure_sources"] ?? [], "insecure_sources").map((host, index) => {
    if (typeof host === "string") return host;
    throw new DocumentError(`insecure_sources[${index}] is no string: write it as "host" or "host:port"`);
  });
  const hosts = mappingOf(root["source_authorities"] ?? {}, "a map", "source_authorities");
  const authorities = Object.entries(hosts).flatMap(([host, list]) =>
    readList(list, `source_authorities.${host}`).map((item, index) => ({
      host,
      entry: readAuthority(item, `source_authorities.${host}[${index}]`),
    }))
  );
  const proxies = mappingOf(root["proxies"] ?? {}, "a map", "proxies");
  return {
    insecureSources: new Set(insecure),
    authorities,
    proxies: (root["proxies"] ?? undefined) === undefined ? undefined : readProxies(proxies),
    warnings: passedOver(root, insecure, Object.keys(hosts), proxies),
  };
}
