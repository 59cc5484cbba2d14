/** The verification configuration v1: who must have signed (`spec/fetch-verify.md §8`). */
import { ArtifactError } from "./error.ts";
import {
  DocumentError,
  invalidType,
  invalidValue,
  type Mapping,
  missingField,
  readList,
  readMapping,
  readOptionalString,
  readString,
  readStringMap,
  refuseUnknown,
  unknownVariant,
} from "./strict_document.ts";
import { normalisedPrefix } from "./url_prefix.ts";
import { parseYaml } from "./yaml_text.ts";

/** Names and values that must be on the same signature. */
export type Annotations = ReadonlyMap<string, string>;

/** Whom a certificate must have been issued to. */
export type Subject =
  | { readonly kind: "equal"; readonly value: string }
  /** A URL whose path ends in `/`, so that a prefix never ends in the middle of a name. */
  | { readonly kind: "urlPrefix"; readonly value: string };

/** Somebody who must have signed. */
export type Signature =
  | {
    readonly kind: "pubKey";
    /** Who owns the key: a label for people. */
    readonly owner: string | undefined;
    /** PEM. */
    readonly key: string;
    readonly annotations: Annotations | undefined;
  }
  | {
    readonly kind: "genericIssuer";
    readonly issuer: string;
    readonly subject: Subject;
    readonly annotations: Annotations | undefined;
  }
  | {
    readonly kind: "githubAction";
    readonly owner: string;
    readonly repo: string | undefined;
    readonly annotations: Annotations | undefined;
  };

/** Who must have signed. */
export type VerificationConfig = {
  /** Every entry must be met. */
  readonly allOf: readonly Signature[] | undefined;
  /** `minimumMatches` of the entries (0-255) must be met. */
  readonly anyOf: { readonly minimumMatches: number; readonly signatures: readonly Signature[] } | undefined;
};

/** What is allowed but is hardly meant: shown when the file is loaded, never a refusal (`spec/fetch-verify.md §8` rule 7). */
export type ConfigWarning = string;

const KINDS = ["pubKey", "genericIssuer", "githubAction"] as const;

/**
 * A URL prefix, normalised, with `/` at the end of its path.
 *
 * @throws {DocumentError} not a URL, or one that cannot be a prefix
 */
export function urlPrefix(text: string, where = ""): Subject {
  const value = normalisedPrefix(text);
  if (typeof value === "string") return { kind: "urlPrefix", value };
  return invalidValue(text, value.reason, where);
}

/** Why a text can't be the name of an account or a repository of GitHub; `undefined` where it can. No signature would ever have it. */
export function githubNameFault(text: string): string | undefined {
  if (text === "") return "is empty";
  return /[\s/*]/.test(text) ? "has a blank, `/` or `*`: owner and repo are one name each" : undefined;
}

/** A text that a signature has to have: an empty one would be reported as a missing signature. */
function required(text: string, where: string, fault = text === "" ? "is empty" : undefined): string {
  return fault === undefined ? text : invalidValue(text, `it ${fault}`, where);
}

const githubName = (text: string, where: string) => required(text, where, githubNameFault(text));

function readSubject(mapping: Mapping, where: string): Subject {
  if (mapping["subject"] === undefined) missingField("subject", where);
  const subject = readMapping(mapping["subject"], "a map with `equal` or `urlPrefix`", `${where}.subject`);
  const names = Object.keys(subject);
  const name = names[0];
  if (name === undefined || names.length !== 1) {
    throw new DocumentError(
      `\`subject\` must hold exactly one of \`equal\` or \`urlPrefix\` at ${where}.subject`,
    );
  }
  const text = () => readString(subject, name, `${where}.subject`);
  const place = `${where}.subject.${name}`;
  if (name === "equal") return { kind: "equal", value: required(text(), place) };
  if (name === "urlPrefix") return urlPrefix(text(), place);
  unknownVariant(name, ["equal", "urlPrefix"], `${where}.subject`);
}

function readSignature(value: unknown, where: string): Signature {
  const mapping = readMapping(value, "a signature", where);
  const kind = readString(mapping, "kind", where);
  switch (kind) {
    case "pubKey":
      refuseUnknown(mapping, ["kind", "owner", "key", "annotations"], where);
      return {
        kind,
        owner: readOptionalString(mapping, "owner", where),
        key: readString(mapping, "key", where),
        annotations: readStringMap(mapping, "annotations", where),
      };
    case "genericIssuer":
      refuseUnknown(mapping, ["kind", "issuer", "subject", "annotations"], where);
      return {
        kind,
        issuer: required(readString(mapping, "issuer", where), `${where}.issuer`),
        subject: readSubject(mapping, where),
        annotations: readStringMap(mapping, "annotations", where),
      };
    case "githubAction": {
      refuseUnknown(mapping, ["kind", "owner", "repo", "annotations"], where);
      const repo = readOptionalString(mapping, "repo", where);
      return {
        kind,
        owner: githubName(readString(mapping, "owner", where), `${where}.owner`),
        repo: repo === undefined ? undefined : githubName(repo, `${where}.repo`),
        annotations: readStringMap(mapping, "annotations", where),
      };
    }
    default:
      unknownVariant(kind, KINDS, where);
  }
}

function readSignatures(value: unknown, where: string): readonly Signature[] {
  return readList(value, where).map((item, index) => readSignature(item, `${where}[${index}]`));
}

function readAnyOf(value: unknown): VerificationConfig["anyOf"] {
  const mapping = readMapping(value, "struct AnyOf", "anyOf");
  refuseUnknown(mapping, ["minimumMatches", "signatures"], "anyOf");
  const minimum = mapping["minimumMatches"] ?? 1;
  if (typeof minimum !== "number" || !Number.isInteger(minimum)) {
    invalidType(minimum, "u8", "anyOf.minimumMatches");
  }
  if (minimum < 0 || minimum > 255) {
    throw new DocumentError(`invalid value: integer \`${minimum}\`, expected u8 at anyOf.minimumMatches`);
  }
  if (mapping["signatures"] === undefined) missingField("signatures", "anyOf");
  return { minimumMatches: minimum, signatures: readSignatures(mapping["signatures"], "anyOf.signatures") };
}

function readConfig(document: unknown): VerificationConfig {
  const root = readMapping(document, "struct VerificationConfigV1", "");
  refuseUnknown(root, ["apiVersion", "allOf", "anyOf"], "");
  return {
    allOf: (root["allOf"] ?? null) === null ? undefined : readSignatures(root["allOf"], "allOf"),
    anyOf: (root["anyOf"] ?? null) === null ? undefined : readAnyOf(root["anyOf"]),
  };
}

/**
 * Reads the text of a verification configuration.
 *
 * @throws {ArtifactError} `config`, with the texts of `spec/fetch-verify.md §8` rules 3 to 5
 */
export function parseVerificationConfig(text: string): VerificationConfig {
  let document: unknown;
  try {
    document = parseYaml(text);
  } catch (cause) {
    throw new ArtifactError("config", cause instanceof Error ? cause.message : String(cause), cause);
  }
  const version = typeof document === "object" && document !== null && "apiVersion" in document
    ? document.apiVersion
    : undefined;
  if (version !== undefined && version !== "v1") {
    throw new ArtifactError("config", "Not a supported configuration version: Unsupported");
  }
  let config: VerificationConfig;
  try {
    config = readConfig(document);
  } catch (cause) {
    if (!(cause instanceof DocumentError)) throw cause;
    throw new ArtifactError("config", `Not a valid configuration file: ${cause.message}`, cause);
  }
  if (version === "v1" && config.allOf === undefined && config.anyOf === undefined) {
    throw new ArtifactError("config", "config is missing signatures in both allOf and anyOff list");
  }
  return config;
}

/** How many entries must be met; with 0 nothing is verified. */
export function requiredSignatures({ allOf = [], anyOf }: VerificationConfig): number {
  return allOf.length + Math.max(0, anyOf?.minimumMatches ?? 0);
}

/** What a loader should warn about. */
export function configWarnings(config: VerificationConfig, text: string): readonly ConfigWarning[] {
  const any = config.anyOf;
  return [
    ...(/^\s*["']?apiVersion["']?\s*:/m.test(text) || text.includes('"apiVersion"')
      ? []
      : ["the verification configuration has no apiVersion: add `apiVersion: v1`"]),
    ...(config.allOf?.length === 0 ? ["allOf is an empty list: it requires nothing"] : []),
    ...(any?.minimumMatches === 0 ? ["anyOf.minimumMatches is 0: it requires nothing"] : []),
    ...(any !== undefined && any.minimumMatches > any.signatures.length
      ? [
        `anyOf.minimumMatches is ${any.minimumMatches} but only ${any.signatures.length} signatures are listed: ` +
        "it can never be met",
      ]
      : []),
  ];
}
