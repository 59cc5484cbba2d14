/** Texts that hold certificates and keys, read as Rego's builtins read them: PEM, or base64 of either PEM or DER. */
import { type DerElement, DerError, elements } from "./der.ts";
import { UrlError } from "./go_url.ts";
import { fail } from "./rego_operands.ts";
import { work, workOn } from "./work.ts";

const PEM = /-----BEGIN ([A-Z0-9 ]+)-----\r?\n([A-Za-z0-9+/=\s]*?)-----END \1-----/g;

/** The bytes of a base64 text. Throws BuiltinError. */
export function decoded(text: string): Uint8Array {
  workOn(8 * text.length);
  const plain = text.replace(/[\r\n]/g, "");
  if (plain.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(plain)) return fail("illegal base64 data");
  const units = atob(plain);
  const bytes = new Uint8Array(units.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = units.charCodeAt(at);
  return bytes;
}

/** A block of a PEM text. */
export interface PemBlock {
  readonly type: string;
  readonly bytes: Uint8Array;
}

/** All blocks of a PEM text. */
export function allPemBlocks(text: string): readonly PemBlock[] {
  const blocks: PemBlock[] = [];
  workOn(8 * text.length);
  for (const [, type = "", body = ""] of text.matchAll(PEM)) {
    work(16);
    blocks.push({ type, bytes: decoded(body.replace(/\s/g, "")) });
  }
  return blocks;
}

/** The contents of PEM blocks, all of which must be of one type. */
export function pemBlocks(text: string, type: string): readonly Uint8Array[] {
  return allPemBlocks(text).map((block) =>
    block.type === type ? block.bytes : fail(`PEM block type is '${block.type}', expected ${type}`)
  );
}

/** Whether a text is PEM to OPA. */
export const isPem = (text: string): boolean => text.startsWith("-----BEGIN");

/** Runs what reads; bytes that are nothing of the kind make the call undefined. */
export function reading<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof DerError || error instanceof UrlError || error instanceof TypeError) {
      return fail(error.message);
    }
    throw error;
  }
}

/** The certificates of a text. */
export function certificatesOf(text: string): readonly DerElement[] {
  let parts: readonly Uint8Array[];
  if (isPem(text)) parts = pemBlocks(text, "CERTIFICATE");
  else {
    const bytes = decoded(text);
    const inner = new TextDecoder().decode(bytes);
    parts = isPem(inner) ? pemBlocks(inner, "CERTIFICATE") : [bytes];
  }
  return parts.flatMap((part) => elements(part));
}
