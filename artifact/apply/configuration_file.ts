/** Reads the files that say where policies come from and who must have signed them. */
import { X509Certificate } from "node:crypto";
import { certificatesIn } from "../../program/apply/certificates.ts";
import { looseText } from "../../program/types/decoded_text.ts";
import { osErrorText } from "../../program/render/os_error.ts";
import { ArtifactError, messageOf } from "../types/error.ts";
import type { ArtifactOptions } from "../types/options.ts";
import { type AuthorityEntry, parseSources, type Sources } from "../types/sources.ts";
import { quoted } from "../types/quoted.ts";
import {
  configWarnings,
  parseVerificationConfig,
  requiredSignatures,
  type Signature,
  type VerificationConfig,
} from "../types/verification_config.ts";
import { readBounded, readBoundedText } from "../../program/apply/bounded_file.ts";
import { checkArtifactOptions } from "./check_options.ts";
import { log } from "./event.ts";
import { keyFromPem, publicKeyWarnings } from "./signature/public_key.ts";
import { opensslBlocks } from "./trusted_roots.ts";

const NO_CERTIFICATE = "Invalid certificate: Raw certificate is not in PEM nor in DER encoding";

/** An authority's certificates in PEM; `warn` is told of blocks that are none, which are passed over. */
async function readAuthority(entry: AuthorityEntry, warn: (what: string) => void): Promise<string> {
  let bytes: Uint8Array;
  if (entry.type === "Path") {
    try {
      bytes = await readBounded(entry.path);
    } catch (cause) {
      throw new ArtifactError("config", `Cannot read certificate from file: ${osErrorText(cause)}`, cause);
    }
  } else bytes = typeof entry.data === "string" ? new TextEncoder().encode(entry.data) : entry.data;
  const text = looseText(bytes);
  const { certificates, skipped } = certificatesIn(text);
  if (certificates.length > 0) {
    if (skipped > 0) {
      warn(`has ${skipped} PEM blocks that are no certificates, which are passed over: remove them`);
    }
    return `${certificates.join("\n")}\n`;
  }
  // TLS libraries pass over a block that does not begin its line: then nothing of the file would be trusted.
  if (opensslBlocks(text).length > 0) return text.replace(/([^\r\n])(?=-----BEGIN )/g, "$1\n");
  try {
    // The structure alone: whether the key is strong enough is for the TLS library, when it is used.
    const der = new X509Certificate(bytes).raw;
    return `-----BEGIN CERTIFICATE-----\n${
      der.toString("base64").replace(/.{64}/g, "$&\n")
    }\n-----END CERTIFICATE-----\n`;
  } catch (cause) {
    throw new ArtifactError("config", NO_CERTIFICATE, cause);
  }
}

/**
 * Loads `sources.yml`; what `Path` authorities name is read now, relative to the working directory. What is passed over is warned of.
 *
 * @throws {ArtifactError} `config`, `error while loading sources from <path>: …`; one bad entry fails the whole file
 */
export async function readSources(
  path: string,
  options: Pick<ArtifactOptions, "onEvent"> = {},
): Promise<Sources> {
  checkArtifactOptions(options);
  try {
    let text: string;
    try {
      text = await readBoundedText(path);
    } catch (cause) {
      throw new ArtifactError("config", osErrorText(cause), cause);
    }
    const document = parseSources(text);
    for (const warning of document.warnings) log(options, "warn", warning, { file: path });
    const authorities = new Map<string, string[]>();
    for (const { host, entry } of document.authorities) {
      const at = `source_authorities.${host}${entry.type === "Path" ? `, ${quoted(entry.path)}` : ""}`;
      try {
        const authority = await readAuthority(
          entry,
          (what) => log(options, "warn", `${at} ${what}`, { file: path }),
        );
        authorities.set(host, [...authorities.get(host) ?? [], authority]);
      } catch (cause) {
        throw new ArtifactError("config", `${messageOf(cause)} (${at})`, cause);
      }
    }
    return {
      insecureSources: document.insecureSources,
      sourceAuthorities: authorities,
      proxies: document.proxies,
    };
  } catch (cause) {
    throw new ArtifactError("config", `error while loading sources from ${path}: ${messageOf(cause)}`, cause);
  }
}

/** The keys of a configuration, each with its place. */
function keysOf({ allOf = [], anyOf }: VerificationConfig) {
  const listed = (signatures: readonly Signature[], list: string) =>
    signatures.flatMap((signature, index) =>
      signature.kind === "pubKey" ? [{ place: `${list}[${index}].key`, key: signature.key }] : []
    );
  return [...listed(allOf, "allOf"), ...listed(anyOf?.signatures ?? [], "anyOf.signatures")];
}

/** What an entry asks of a signature, without the label that only people read. */
function requirement(signature: Signature): string {
  const { annotations } = signature;
  const wanted = JSON.stringify([...annotations ?? []].sort(([a], [b]) => a < b ? -1 : 1));
  if (signature.kind !== "pubKey") return `${JSON.stringify({ ...signature, annotations: null })} ${wanted}`;
  return `${Buffer.from(keyFromPem(signature.key).spki).toString("hex")} ${wanted}`;
}

/** Entries that stand twice in their list: one signature meets both, so that fewer have to sign than are counted. */
function repeatedWarnings({ allOf = [], anyOf }: VerificationConfig): readonly string[] {
  return ([["allOf", allOf], ["anyOf.signatures", anyOf?.signatures ?? []]] as const).flatMap(
    ([list, entries]) => {
      const first = new Map<string, number>();
      return entries.flatMap((entry, index) => {
        const asked = requirement(entry);
        const before = first.get(asked);
        if (before === undefined) first.set(asked, index);
        return before === undefined ? [] : [
          `${list}[${index}] asks for the same as ${list}[${before}]: one signature meets both, remove one of them`,
        ];
      });
    },
  );
}

/** A key that cannot be read would look like a missing signature of every image: it is an error here, not when it is used. */
function keyWarnings(config: VerificationConfig, path: string): readonly string[] {
  return keysOf(config).flatMap(({ place, key }) => {
    try {
      keyFromPem(key);
    } catch (cause) {
      throw new ArtifactError("config", `${path}: ${place}: ${messageOf(cause)}`, cause);
    }
    return publicKeyWarnings(key, "list each as an entry of its own").map((warning) => `${place} ${warning}`);
  });
}

/**
 * Loads a verification configuration, and warns of what is allowed but hardly meant. One that any signature meets, whoever
 * made it, is refused: 1.36 takes it, and reports images as verified that anybody may have signed.
 *
 * @throws {ArtifactError} `config`, with the texts of `spec/fetch-verify.md §8`
 */
export async function readVerificationConfig(
  path: string,
  options: Pick<ArtifactOptions, "onEvent"> = {},
): Promise<VerificationConfig> {
  checkArtifactOptions(options);
  let text: string;
  try {
    text = await readBoundedText(path);
  } catch (cause) {
    const reason = messageOf(cause);
    // Of a folder the system's text names no path.
    const named = reason.includes(path) ? reason : `${reason} (${path})`;
    throw new ArtifactError("config", `failed to read verification file: ${named}`, cause);
  }
  let config: VerificationConfig;
  try {
    config = parseVerificationConfig(text);
  } catch (cause) {
    throw new ArtifactError("config", `${messageOf(cause)} (${path})`, cause);
  }
  if (requiredSignatures(config) === 0) {
    throw new ArtifactError(
      "config",
      `${path} requires no signature: list who must have signed in allOf, or in anyOf with a minimumMatches of at least 1`,
    );
  }
  for (
    const warning of [
      ...configWarnings(config, text),
      ...keyWarnings(config, path),
      ...repeatedWarnings(config),
    ]
  ) {
    log(options, "warn", warning, { file: path });
  }
  return config;
}
