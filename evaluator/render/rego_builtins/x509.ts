/** Builtins that show certificates: `crypto.x509.parse_certificates`, `crypto.x509.parse_certificate_request`. */
import { type RegoBuiltins, type RegoValue } from "../../types/rego.ts";
import { type DerElement, DerError, elements } from "../der.ts";
import { UrlError } from "../go_url.ts";
import { fail, stringAt } from "../rego_operands.ts";
import { certificateFields, requestFields } from "../x509_fields.ts";

const PEM = /-----BEGIN ([A-Z0-9 ]+)-----\r?\n([A-Za-z0-9+/=\s]*?)-----END \1-----/g;

function decoded(text: string): Uint8Array {
  const plain = text.replace(/[\r\n]/g, "");
  if (plain.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(plain)) return fail("illegal base64 data");
  return Uint8Array.from(atob(plain), (unit) => unit.charCodeAt(0));
}

/** The contents of PEM blocks, all of which must be of one type. */
function blocks(text: string, type: string): readonly Uint8Array[] {
  return [...text.matchAll(PEM)].map(([, found, body = ""]) =>
    found === type ? decoded(body.replace(/\s/g, "")) : fail(`PEM block type is '${found}', expected ${type}`)
  );
}

const isPem = (text: string) => text.startsWith("-----BEGIN");

/** Runs what reads; bytes that are nothing of the kind make the call undefined. */
function reading<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof DerError || error instanceof UrlError || error instanceof TypeError) {
      return fail(error.message);
    }
    throw error;
  }
}

function certificatesOf(text: string): readonly DerElement[] {
  let parts: readonly Uint8Array[];
  if (isPem(text)) parts = blocks(text, "CERTIFICATE");
  else {
    const bytes = decoded(text);
    const inner = new TextDecoder().decode(bytes);
    parts = isPem(inner) ? blocks(inner, "CERTIFICATE") : [bytes];
  }
  return parts.flatMap((part) => elements(part));
}

function requestOf(text: string): DerElement {
  const plain = text.startsWith("-----BEGIN CERTIFICATE REQUEST-----")
    ? text
    : new TextDecoder("latin1").decode(decoded(text));
  const [block] = plain.includes("-----BEGIN") ? blocks(plain, "CERTIFICATE REQUEST") : [];
  const [request, ...more] = elements(block ?? decoded(text));
  return request && more.length === 0 ? request : fail("no certificate request, or more than one");
}

export const X509_BUILTINS: RegoBuiltins = {
  "crypto.x509.parse_certificates": (operands): RegoValue =>
    reading(() => certificatesOf(stringAt(operands, 0)).map(certificateFields)),
  "crypto.x509.parse_certificate_request": (operands): RegoValue =>
    reading(() => requestFields(requestOf(stringAt(operands, 0)))),
};
