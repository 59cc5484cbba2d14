/** The question `crypto/v1/is_certificate_trusted` (`spec/evaluator.md §5.7`). */
import {
  asBytes,
  asString,
  fieldsOf,
  optional,
  type PayloadValue,
  readPayload,
  refuse,
  required,
} from "./payload.ts";
import { scanArray, skipValue } from "../../evaluator/render/json_scan.ts";

/** More certificates than any chain has. */
const MAX_CHAIN = 100;

/** A certificate as a policy sends it. */
export interface SentCertificate {
  readonly encoding: "Pem" | "Der";
  readonly data: Uint8Array;
}

/** Whether a certificate is trusted. */
export interface CertificateRequest {
  readonly certificate: SentCertificate;
  /** Intermediates, then the one anchor; undefined: the public roots. */
  readonly chain: readonly SentCertificate[] | undefined;
  /** As it was sent; undefined: now. */
  readonly notAfter: string | undefined;
}

function readCertificate(value: PayloadValue): SentCertificate {
  const fields = fieldsOf(value, "struct Certificate");
  const encoding = required(fields, "encoding");
  const name = asString(encoding);
  if (name !== "Pem" && name !== "Der") {
    return refuse(encoding, `unknown variant \`${name.slice(0, 200)}\`, expected \`Der\` or \`Pem\``);
  }
  return { encoding: name, data: asBytes(required(fields, "data")) };
}

function readChain(value: PayloadValue): readonly SentCertificate[] {
  const { bytes } = value;
  if (bytes[value.start] !== 0x5b) refuse(value, "invalid type: expected a sequence");
  const chain: SentCertificate[] = [];
  scanArray(bytes, value.start, (start) => {
    if (chain.length >= MAX_CHAIN) refuse(value, `a chain of more than ${MAX_CHAIN} certificates`);
    const end = skipValue(bytes, start, 8);
    chain.push(readCertificate({ bytes, start, end }));
    return end;
  });
  return chain;
}

/** Reads the payload. Throws HostCallError. */
export function readCertificateRequest(payload: Uint8Array): CertificateRequest {
  const fields = fieldsOf(readPayload(payload), "struct CertificateVerificationRequest");
  const certificate = readCertificate(required(fields, "cert"));
  const chain = optional(fields, "cert_chain");
  // The JavaScript SDK leaves the key out, the Go SDK sends "" (`spec/evaluator.md §5.11`).
  const notAfter = optional(fields, "not_after");
  return {
    certificate,
    chain: chain && readChain(chain),
    notAfter: (notAfter && asString(notAfter)) || undefined,
  };
}

const RFC3339 = /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.\d+)?(?:[Zz]|[+-](\d\d):(\d\d))$/;

/** A date of RFC 3339 as milliseconds since 1970, or undefined. */
export function parseRfc3339(date: string): number | undefined {
  const match = RFC3339.exec(date);
  if (!match) return undefined;
  const [year, month, day, hour, minute, second, zoneHour = 0, zoneMinute = 0] = match.slice(1)
    .map((part) => part === undefined ? undefined : Number(part)) as [
      ...[number, number, number, number, number, number],
      number | undefined,
      number | undefined,
    ];
  const lastDay = new Date(Date.UTC(year, month, 0)).getUTCDate();
  if (month < 1 || month > 12 || day < 1 || day > lastDay) return undefined;
  if (hour > 23 || minute > 59 || second > 60 || zoneHour > 23 || zoneMinute > 59) return undefined;
  const zone = /-\d\d:\d\d$/.test(date) ? -1 : 1;
  const at = new Date(0);
  at.setUTCFullYear(year, month - 1, day);
  at.setUTCHours(hour, minute, second);
  return at.getTime() - zone * (zoneHour * 60 + zoneMinute) * 60_000;
}
