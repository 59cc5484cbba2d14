/** The log entry that comes with a simple-signing layer (`spec/fetch-verify.md §9.4` d, `§9.6` rules 2 and 3). */
import { createHash } from "node:crypto";
import { parseJson } from "../../types/json_text.ts";
import { quoted } from "../../types/quoted.ts";
import { certificateFromPem, derOf } from "./certificate.ts";
import { fields, text } from "./fields.ts";
import { fromBase64, keyFromPem, verifies } from "./public_key.ts";
import { holds, type LogKey } from "./trust_material.ts";

export type RekorEntry = {
  readonly integratedTime: number;
  /** The body, decoded. */
  readonly body: Readonly<Record<string, unknown>>;
};

/**
 * Checks that a log known to us promised to include the entry.
 *
 * @throws {Error} unknown log, key not valid at that time, malformed, or another's signature: the layer does not count
 */
export function requireRekorEntry(annotation: string, logs: readonly LogKey[]): RekorEntry {
  const bundle = fields(parseJson(annotation, "the bundle annotation", "signature"), "the bundle annotation");
  const payload = fields(bundle["Payload"], "the bundle's Payload");
  const { integratedTime, logIndex } = payload;
  const body = text(payload["body"], "the bundle's body");
  const logID = text(payload["logID"], "the bundle's logID");
  if (!Number.isSafeInteger(integratedTime) || !Number.isSafeInteger(logIndex)) {
    throw new Error("the bundle's integratedTime and logIndex are no integers");
  }
  const seconds = integratedTime as number;
  const known = logs.filter((log) => log.id === logID);
  if (known.length === 0) {
    throw new Error(`no trusted transparency log has the id ${logID.slice(0, 128)}`);
  }
  const valid = known.filter((log) => holds(log.validFor, new Date(seconds * 1000)));
  if (valid.length === 0) {
    throw new Error(
      `the key of log ${logID} was not valid at ${new Date(seconds * 1000).toISOString()}`,
    );
  }
  const signature = fromBase64(text(bundle["SignedEntryTimestamp"], "the bundle's SignedEntryTimestamp"));
  const signed = new TextEncoder().encode(JSON.stringify({ body, integratedTime, logID, logIndex }));
  if (signature === undefined || !valid.some((log) => verifies(log.key, signed, signature))) {
    throw new Error("the log's signature (SET) over the entry does not verify");
  }
  const decoded = fromBase64(body);
  if (decoded === undefined) throw new Error("the log entry's body is no base64");
  return {
    integratedTime: seconds,
    body: fields(
      parseJson(new TextDecoder().decode(decoded), "the log entry's body", "signature"),
      "the log entry's body",
    ),
  };
}

/**
 * Checks that the entry is about this signature over these bytes.
 *
 * @returns the key or certificate (PEM) that the log recorded
 * @throws {Error} the part that differs
 */
export function requireBodyMatches(entry: RekorEntry, layer: Uint8Array, signature: string): Uint8Array {
  const kind = text(entry.body["kind"], "the log entry's kind");
  const apiVersion = text(entry.body["apiVersion"], "the log entry's apiVersion");
  if ((kind !== "hashedrekord" && kind !== "rekord") || apiVersion !== "0.0.1") {
    throw new Error(`unsupported log entry ${quoted(`${kind} ${apiVersion}`)}`);
  }
  const spec = fields(entry.body["spec"], "the log entry's spec");
  const hash = fields(fields(spec["data"], "the log entry's data")["hash"], "the log entry's hash");
  const algorithm = text(hash["algorithm"], "the log entry's hash algorithm");
  if (!["sha256", "sha384", "sha512"].includes(algorithm)) {
    throw new Error(`the log entry hashes with ${algorithm.slice(0, 32)}`);
  }
  if (createHash(algorithm).update(layer).digest("hex") !== hash["value"]) {
    throw new Error("the log entry is about other bytes (spec.data.hash)");
  }
  const recorded = fields(spec["signature"], "the log entry's signature");
  if (recorded["content"] !== signature) {
    throw new Error("the log entry is about another signature (spec.signature.content)");
  }
  const content = fields(recorded["publicKey"], "the log entry's public key")["content"];
  const key = fromBase64(text(content, "the log entry's public key"));
  if (key === undefined) throw new Error("the log entry's public key is no base64");
  return key;
}

/** DER of what a log recorded: of a certificate and the key in it, or of a bare key. */
export type RecordedKey = { readonly certificate?: Uint8Array; readonly spki: Uint8Array };

export function recordedKey(pem: Uint8Array): RecordedKey {
  const content = new TextDecoder().decode(pem);
  if (!content.includes("BEGIN CERTIFICATE")) return { spki: keyFromPem(content).spki };
  const certificate = certificateFromPem(content);
  return { certificate: derOf(certificate), spki: certificate.publicKey };
}
