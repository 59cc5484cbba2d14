/**
 * Whether what signed an image is what the configuration asks for, and how an unmet entry is shown
 * (`spec/fetch-verify.md §9.1-§9.3`). Pure: the cryptography was done before, or is asked for through `signedBy`.
 */
import { own } from "../../program/types/own.ts";
import { stringifyYaml } from "../../deps.ts";
import {
  type Annotations,
  requiredSignatures,
  type Signature,
  type Subject,
  type VerificationConfig,
} from "../types/verification_config.ts";
import { isBelow } from "../types/url_prefix.ts";
import type { Identity, SignedLayer } from "../types/signed_layer.ts";
import { ArtifactError } from "../types/error.ts";

export const GITHUB_ISSUER = "https://token.actions.githubusercontent.com";

/** Does a layer verify with this PEM key? Asked once per layer and `pubKey` entry. */
export type SignedBy = (layer: SignedLayer, pem: string) => boolean;

function scalar(key: string, value: string | null): string {
  return stringifyYaml({ [key]: value }, { singleQuote: true, lineWidth: 0, nullStr: "null" });
}

function annotationsYaml(annotations: Annotations | undefined): string {
  if (annotations === undefined) return "annotations: null\n";
  const value = Object.fromEntries(annotations);
  return stringifyYaml({ annotations: value }, { singleQuote: true, lineWidth: 0 });
}

function subjectYaml(subject: Subject): string {
  const value = scalar("value", subject.value).slice("value: ".length);
  return `subject: !${subject.kind} ${value}`;
}

/** An entry as YAML, all fields in their fixed order, absent ones as `null` (`spec/fetch-verify.md §8` rule 9). */
export function signatureYaml(signature: Signature): string {
  const head = `kind: ${signature.kind}\n`;
  const tail = annotationsYaml(signature.annotations);
  switch (signature.kind) {
    case "pubKey":
      return head + scalar("owner", signature.owner ?? null) + scalar("key", signature.key) + tail;
    case "genericIssuer":
      return head + scalar("issuer", signature.issuer) + subjectYaml(signature.subject) + tail;
    case "githubAction":
      return head + scalar("owner", signature.owner) + scalar("repo", signature.repo ?? null) + tail;
  }
}

/**
 * Annotations are compared as text; objects, lists, `null` and what is missing never match (`spec/fetch-verify.md §9.3`).
 * Numbers arrive as the
 * text that they had in the payload.
 */
export function annotationsMatch(
  wanted: Annotations | undefined,
  found: SignedLayer["annotations"],
): boolean {
  for (const [name, value] of wanted ?? []) {
    const actual = own(found, name);
    if (typeof actual !== "string" && typeof actual !== "boolean") return false;
    if (String(actual) !== value) return false;
  }
  return true;
}

function subjectMatches(wanted: Subject, identity: Identity): boolean {
  return wanted.kind === "equal"
    ? identity.subject.value === wanted.value
    : identity.subject.kind === "uri" && isBelow(identity.subject.value, wanted.value);
}

function githubMatches(signature: Signature & { kind: "githubAction" }, identity: Identity): boolean {
  if (identity.issuer !== GITHUB_ISSUER || identity.subject.kind !== "uri") return false;
  let url: URL;
  try {
    url = new URL(identity.subject.value);
  } catch {
    return false;
  }
  if (
    url.hostname !== "github.com" || url.pathname.split("/").filter((segment) => segment !== "").length < 2
  ) {
    return false;
  }
  // The repository in which the workflow ran decides, not the one whose workflow it was.
  const [owner, name, more] = (identity.githubRepository ?? "").split("/");
  if (owner === undefined || name === undefined || name === "" || more !== undefined) return false;
  return owner === signature.owner && (signature.repo === undefined || name === signature.repo);
}

/** Whether one layer meets all parts of one entry. */
export function layerMeets(signature: Signature, layer: SignedLayer, signedBy: SignedBy): boolean {
  if (!annotationsMatch(signature.annotations, layer.annotations)) return false;
  switch (signature.kind) {
    case "pubKey":
      return signedBy(layer, signature.key);
    case "genericIssuer":
      return layer.identity !== undefined && layer.identity.issuer === signature.issuer &&
        subjectMatches(signature.subject, layer.identity);
    case "githubAction":
      return layer.identity !== undefined && githubMatches(signature, layer.identity);
  }
}

function unmetText(unmet: readonly Signature[]): string {
  return `\nThe following constraints were not satisfied:\n${unmet.map(signatureYaml).join("")}`;
}

/**
 * Checks the whole configuration: `allOf` first, then `anyOf`; both must hold where both are given.
 *
 * @throws {ArtifactError} `signature`, with the texts of `spec/fetch-verify.md §9.1`
 */
export function requireSignatures(
  config: VerificationConfig,
  layers: readonly SignedLayer[],
  signedBy: SignedBy,
): void {
  // 1.36 takes an empty `allOf` for met by any signature, whoever made it.
  if (requiredSignatures(config) === 0) {
    throw new ArtifactError("signature", "Image verification failed: no signatures to verify");
  }
  const met = (signature: Signature) => layers.some((layer) => layerMeets(signature, layer, signedBy));
  const unmet = (config.allOf ?? []).filter((signature) => !met(signature));
  if (unmet.length > 0) {
    throw new ArtifactError("signature", `Image verification failed: missing signatures${unmetText(unmet)}`);
  }
  if (config.anyOf === undefined) return;
  const { minimumMatches, signatures } = config.anyOf;
  const missing = signatures.filter((signature) => !met(signature));
  const matches = signatures.length - missing.length;
  if (matches < minimumMatches) {
    throw new ArtifactError(
      "signature",
      `Image verification failed: minimum number of signatures not reached: needed ${minimumMatches}, got ${matches}` +
        unmetText(missing),
    );
  }
}
