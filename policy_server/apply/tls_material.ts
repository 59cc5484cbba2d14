/**
 * Reads and checks what the main listener needs for TLS: certificate, key and the CAs of clients
 * (spec/policy-server.md §11). A faulty pair is found here, with the files named, and not in the first handshake.
 */
import { createHash, createPrivateKey, X509Certificate } from "node:crypto";
import { closeSync, fstatSync, openSync, readFileSync } from "node:fs";
import type { TlsPaths } from "../types/options.ts";
import type { Log } from "./log.ts";
import { osErrorText } from "../../program/render/os_error.ts";
import { certificatesIn } from "../../program/apply/certificates.ts";
import { boundedText } from "../../program/types/bounded_text.ts";
import { looseText } from "../../program/types/decoded_text.ts";
import { ENCRYPTED_KEY, isEncryptedKey } from "../../program/types/encrypted_key.ts";
import { append } from "../../program/types/lists.ts";

/** Certificate (with its chain, leaf first) and key as PEM, with the state of the files that they came from. */
export type ServerPair = {
  readonly cert: string;
  readonly key: string;
  readonly fingerprints: FileFingerprints;
};

/** The CAs whose client certificates are accepted, one PEM each. */
export type ClientCas = {
  readonly certificates: readonly string[];
  readonly fingerprints: FileFingerprints;
};

/** What a listener is given. `clientCas` is `null` where clients need no certificate. */
export type TlsMaterial = { readonly server: ServerPair; readonly clientCas: ClientCas | null };

/** For each path what {@link fingerprint} says about it. */
export type FileFingerprints = ReadonlyMap<string, string>;

/** A file can't be used for TLS. The message names it. */
export class TlsMaterialError extends Error {
  override readonly name = "TlsMaterialError";
}

/** Targets of the log lines that other tools look for (spec/policy-server.md §3.2). */
export const CERTS_LOG_TARGET = "policy_server::certs";

/** Certificates are a few KB; a chain and a bundle of CAs too. */
const MAX_FILE_BYTES = 4 * 1024 * 1024;

/** Reads all files. Throws {@link TlsMaterialError}. */
export function loadTlsMaterial(paths: TlsPaths, log: Log): TlsMaterial {
  return {
    server: loadServerPair(paths),
    clientCas: paths.clientCaFiles.length === 0 ? null : loadClientCas(paths.clientCaFiles, log),
  };
}

/** Reads certificate and key and checks that they belong together. Throws {@link TlsMaterialError}. */
export function loadServerPair({ certFile, keyFile }: TlsPaths): ServerPair {
  const cert = readTextFile(certFile, "certificate");
  const key = readTextFile(keyFile, "key");
  const certificates = pemBlocks(cert.text).filter(isCertificate);
  const [leaf, ...chain] = certificates.map((block, i) => {
    return parsed(
      () => new X509Certificate(block.pem),
      `certificate ${i + 1} in certificate file "${certFile}"`,
    );
  });
  // A chain behind the certificate is welcome (spec/policy-server.md §19 row 22), so only too few can be wrong.
  if (leaf === undefined) {
    throw new TlsMaterialError(
      `Expected exactly one certificate in certificate file, found 0: "${certFile}" ${
        whyNoCertificate(cert)
      }`,
    );
  }
  const keyBlock = onlyKey(key, keyFile);
  const privateKey = parsed(() => createPrivateKey(keyBlock.pem), `private key in key file "${keyFile}"`);
  if (!leaf.checkPrivateKey(privateKey)) {
    const inChain = chain.some((certificate) => certificate.checkPrivateKey(privateKey));
    const advice = inChain ? "; it belongs to a later certificate, the server's own must come first" : "";
    throw new TlsMaterialError(
      `the private key in "${keyFile}" does not belong to the certificate in "${certFile}"${advice}`,
    );
  }
  return {
    cert: certificates.map((block) => block.pem).join("\n") + "\n",
    key: `${keyBlock.pem}\n`,
    fingerprints: new Map([[certFile, cert.fingerprint], [keyFile, key.fingerprint]]),
  };
}

/** The only private key of a file. Throws {@link TlsMaterialError}. */
function onlyKey(file: TextFile, path: string): PemBlock {
  const keys = pemBlocks(file.text).filter(({ label }) => PRIVATE_KEYS.includes(label));
  const readable = keys.filter(({ pem }) => !isEncryptedKey(pem));
  const [key] = readable;
  if (key !== undefined && keys.length === 1) return key;
  const why = key === undefined
    ? whyNoKey(file)
    : `has ${keys.length} PEM private keys, leave the server's own`;
  throw new TlsMaterialError(
    `Expected exactly one key in key file, found ${keys.length && readable.length}: "${path}" ${why}`,
  );
}

/** What is in a file without PEM of the kind that is wanted; DER begins with a sequence, and so does PKCS#12. */
const isDer = ({ bytes }: TextFile): boolean => bytes[0] === 0x30 && (bytes[1] ?? 0) >= 0x80;

function whyNoCertificate(file: TextFile): string {
  const blocks = pemBlocks(file.text);
  if (blocks.some(({ label }) => label.endsWith("PRIVATE KEY"))) {
    return "has a private key, are the two files exchanged?";
  }
  if (isDer(file)) {
    return "is no PEM, perhaps DER: convert it with `openssl x509 -inform DER -in FILE -out NEW_FILE`, or, of PKCS#12, with " +
      "`openssl pkcs12 -nokeys -in FILE -out NEW_FILE`";
  }
  const [other] = blocks;
  return other === undefined
    ? "has no PEM certificate"
    : `has no PEM certificate, but a block of ${boundedText(other.label, 60)}`;
}

function whyNoKey(file: TextFile): string {
  if (isEncryptedKey(file.text)) return ENCRYPTED_KEY;
  if (isDer(file)) {
    return "is no PEM, perhaps DER: convert it with `openssl pkey -inform DER -in FILE -out NEW_FILE`, or, of PKCS#12, with " +
      "`openssl pkcs12 -nocerts -noenc -in FILE -out NEW_FILE`";
  }
  const blocks = pemBlocks(file.text);
  if (blocks.some(({ label }) => label === "OPENSSH PRIVATE KEY")) {
    return "has a key of OpenSSH: make one of PEM with `ssh-keygen -p -m PKCS8 -f FILE`";
  }
  if (blocks.some(isCertificate)) return "has certificates and no private key, are the two files exchanged?";
  const [other] = blocks;
  return other === undefined
    ? "has no PEM private key"
    : `has no PEM private key, but a block of ${boundedText(other.label, 60)}`;
}

/** Reads all CA files as one set; certificates that can't be parsed are counted and left out. */
export function loadClientCas(files: readonly string[], log: Log): ClientCas {
  const fingerprints = new Map<string, string>();
  const certificates: string[] = [];
  let ignored = 0;
  for (const file of files) {
    const { text, fingerprint } = readTextFile(file, "client CA");
    fingerprints.set(file, fingerprint);
    const found = certificatesIn(text);
    append(certificates, found.certificates);
    ignored += found.skipped;
  }
  log.info(
    "Loaded client CA certificates",
    { client_ca_certs_added: certificates.length, client_ca_certs_ignored: ignored },
    { target: CERTS_LOG_TARGET },
  );
  if (certificates.length === 0) {
    const named = files.map((file) => `"${file}"`).join(", ");
    throw new TlsMaterialError(
      `Cannot build client verifier: no root trust anchors were provided (no usable certificate in ${named})`,
    );
  }
  return { certificates, fingerprints };
}

/**
 * What tells one state of a file from another: which file it is, when and how long it was written, and its content. A
 * rewrite counts as a change even with the same content, as it does for the original; a certificate may be renewed with
 * the same key. `undefined` while there is no readable file.
 */
export function fingerprint(path: string): string | undefined {
  try {
    return readFile(path).fingerprint;
  } catch {
    return undefined;
  }
}

function readFile(path: string): { readonly bytes: Uint8Array; readonly fingerprint: string } {
  const fd = openSync(path, "r");
  try {
    const { dev, ino, mtimeNs, size } = fstatSync(fd, { bigint: true });
    if (size > MAX_FILE_BYTES) throw new Error(`longer than ${MAX_FILE_BYTES} bytes`);
    const bytes = readFileSync(fd);
    const digest = createHash("sha256").update(bytes).digest("hex");
    return { bytes, fingerprint: `${dev}:${ino}:${mtimeNs}:${digest}` };
  } finally {
    closeSync(fd);
  }
}

type TextFile = { readonly text: string; readonly bytes: Uint8Array; readonly fingerprint: string };

function readTextFile(path: string, what: string): TextFile {
  try {
    const { bytes, fingerprint } = readFile(path);
    return { text: looseText(bytes), bytes, fingerprint };
  } catch (error) {
    throw new TlsMaterialError(`cannot read TLS ${what} file "${path}": ${osErrorText(error)}`, {
      cause: error,
    });
  }
}

type PemBlock = { readonly label: string; readonly pem: string };

const PRIVATE_KEYS = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"];
const isCertificate = (block: PemBlock) => block.label === "CERTIFICATE";

/** The complete PEM blocks of a text; whatever stands between them is skipped. */
function pemBlocks(text: string): readonly PemBlock[] {
  const blocks: PemBlock[] = [];
  let at = 0;
  while (true) {
    const start = text.indexOf("-----BEGIN ", at);
    const labelEnd = start < 0 ? -1 : text.indexOf("-----", start + 11);
    if (labelEnd < 0) return blocks;
    const label = text.slice(start + 11, labelEnd);
    const endMark = `-----END ${label}-----`;
    const end = text.indexOf(endMark, labelEnd);
    if (end < 0) return blocks;
    at = end + endMark.length;
    blocks.push({ label, pem: text.slice(start, at) });
  }
}

function parsed<T>(parse: () => T, what: string): T {
  try {
    return parse();
  } catch (error) {
    throw new TlsMaterialError(`invalid ${what}: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    });
  }
}
