/** Whom signatures may ultimately come from: certificate authorities and logs (`spec/fetch-verify.md §10`). */
import { isObject } from "../../program/types/json_object.ts";
import { ArtifactError, messageOf } from "./error.ts";
import { parseJson } from "./json_text.ts";
import { type Mapping, readMapping } from "./strict_document.ts";
import type { TrustedRoot } from "../../deps.ts";

/** A trust root, as `loadTrustRoot` gives it. */
export type TrustRoot = {
  /** Where it came from, for messages. */
  readonly source: string;
  /** Sigstore's `TrustedRoot` message, decoded; only `trustedRootOf` looks into it. */
  readonly root: object;
};

/** The message inside a trust root. */
export function trustedRootOf(trustRoot: TrustRoot): TrustedRoot {
  return trustRoot.root as TrustedRoot;
}

/** Every field name of Sigstore's `ClientTrustConfig` that may hold something of ours, in Protobuf's JSON spelling. */
const FIELDS = new Set([
  "mediaType",
  "trustedRoot",
  "signingConfig",
  "tlogs",
  "ctlogs",
  "certificateAuthorities",
  "timestampAuthorities",
  "baseUrl",
  "hashAlgorithm",
  "publicKey",
  "rawBytes",
  "keyDetails",
  "validFor",
  "start",
  "end",
  "logId",
  "keyId",
  "checkpointKeyId",
  "operator",
  "subject",
  "organization",
  "commonName",
  "uri",
  "certChain",
  "certificates",
]);

function camelCase(name: string): string {
  return name.replace(/_([a-z])/g, (_match, letter: string) => letter.toUpperCase());
}

/** The document with Protobuf's JSON names; unknown ones are refused. */
function normalised(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(normalised);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => {
      const name = camelCase(key);
      if (!FIELDS.has(name)) throw new Error(`unknown field \`${key}\``);
      // How to sign is not our business.
      return [name, name === "signingConfig" ? item : normalised(item)];
    }),
  );
}

/**
 * Reads the text of a trust configuration up to its trusted root, which the caller decodes.
 *
 * @throws {ArtifactError} `trust_root`, with the texts of `spec/fetch-verify.md §10.3`
 */
export function parseTrustConfig(text: string, path: string): Mapping {
  let document: Mapping;
  try {
    document = readMapping(normalised(parseJson(text, "it")), "a JSON object", "");
  } catch (cause) {
    const message = `could not parse Sigstore trust config file ${path}: ${messageOf(cause)}`;
    throw new ArtifactError("trust_root", message, cause);
  }
  const root = document["trustedRoot"];
  if (!isObject(root)) {
    throw new ArtifactError("trust_root", `Sigstore trust config file ${path} missing trusted_root field`);
  }
  return root;
}
