/** Builtins that show certificates: `crypto.x509.parse_certificates`, `crypto.x509.parse_certificate_request`. */
import { type RegoBuiltins, type RegoValue } from "../../types/rego.ts";
import { type DerElement, elements } from "../der.ts";
import { fail, stringAt } from "../rego_operands.ts";
import { certificateFields, requestFields } from "../x509_fields.ts";
import { certificatesOf, decoded, pemBlocks, reading } from "../x509_text.ts";

function requestOf(text: string): DerElement {
  const plain = text.startsWith("-----BEGIN CERTIFICATE REQUEST-----")
    ? text
    : new TextDecoder("latin1").decode(decoded(text));
  const [block] = plain.includes("-----BEGIN") ? pemBlocks(plain, "CERTIFICATE REQUEST") : [];
  const [request, ...more] = elements(block ?? decoded(text));
  return request && more.length === 0 ? request : fail("no certificate request, or more than one");
}

export const X509_BUILTINS: RegoBuiltins = {
  "crypto.x509.parse_certificates": (operands): RegoValue =>
    reading(() => certificatesOf(stringAt(operands, 0)).map((certificate) => certificateFields(certificate))),
  "crypto.x509.parse_certificate_request": (operands): RegoValue =>
    reading(() => requestFields(requestOf(stringAt(operands, 0)))),
};
