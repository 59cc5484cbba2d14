// spec/policy-server.md §11 rules 1 and 2, §19 row 22.
import { createPrivateKey } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSecureContext } from "node:tls";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createLog } from "../../policy_server/apply/log.ts";
import {
  loadClientCas,
  loadServerPair,
  loadTlsMaterial,
  TlsMaterialError,
} from "../../policy_server/apply/tls_material.ts";
import { identity } from "./certificates.ts";

const folder = mkdtempSync(join(tmpdir(), "tls-material-"));
test.after(() => rmSync(folder, { recursive: true, force: true }));

let count = 0;
function file(...parts: readonly string[]): string {
  const path = join(folder, `${count++}.pem`);
  writeFileSync(path, parts.join("\n"));
  return path;
}

function recorded() {
  const lines: string[] = [];
  const log = createLog({ level: "info", format: "text", output: (text) => (lines.push(text), 0) });
  return { log, text: () => (log.flush(), lines.join("")) };
}

const pair = (certFile: string, keyFile: string) => loadServerPair({ certFile, keyFile, clientCaFiles: [] });

function refusal(load: () => unknown): string {
  try {
    load();
  } catch (error) {
    assert.instance(error, TlsMaterialError);
    return (error as Error).message;
  }
  throw new Error("accepted");
}

const root = await identity("root");
const intermediate = await identity("intermediate", root, true);
const server = await identity("server", intermediate);
const other = await identity("other");

test("a certificate with its key loads and serves", () => {
  const loaded = pair(file(other.cert), file(other.key));
  createSecureContext({ cert: loaded.cert, key: loaded.key });
  assert.is(loaded.fingerprints.size, 2);
});

test("a chain behind the certificate is kept, with text between the blocks left out", () => {
  const loaded = pair(file("# leaf", server.cert, "# chain", intermediate.cert), file(server.key));
  createSecureContext({ cert: loaded.cert, key: loaded.key });
  assert.is(loaded.cert.match(/BEGIN CERTIFICATE/g)?.length, 2);
  assert.not.match(loaded.cert, "#");
});

test("keys in PKCS#8, and in SEC1 behind curve parameters", () => {
  const sec1 = createPrivateKey(other.key).export({ format: "pem", type: "sec1" }).toString();
  const parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----";
  const loaded = pair(file(other.cert), file(parameters, sec1));
  assert.match(loaded.key, /^-----BEGIN EC PRIVATE KEY-----/);
  createSecureContext({ cert: loaded.cert, key: loaded.key });
});

test("files that hold no or too much", () => {
  const keyPath = file(other.key);
  const certPath = file(other.cert);
  for (const empty of [file(""), file("-----BEGIN CERTIFICATE-----\nAAAA\n")]) {
    assert.is(
      refusal(() => pair(empty, keyPath)),
      `Expected exactly one certificate in certificate file, found 0: "${empty}" has no PEM certificate`,
    );
  }
  const none = file("nothing");
  assert.is(
    refusal(() => pair(certPath, none)),
    `Expected exactly one key in key file, found 0: "${none}" has no PEM private key`,
  );
  assert.match(
    refusal(() => pair(certPath, file(other.key, server.key))),
    /^Expected exactly one key in key file, found 2: /,
  );
  assert.match(
    refusal(() => pair(file(other.key), certPath)),
    /found 0: "[^"]+" has a private key, are the two files exchanged\?$/,
  );
});

const exported = (options: object): string =>
  String(
    createPrivateKey(other.key).export({ format: "pem", ...options } as { format: "pem"; type: "pkcs8" }),
  );
const secret = { passphrase: "s3cret", cipher: "aes-256-cbc" };
const der = (pem: string) => Buffer.from(pem.replace(/-----.*-----|\s/g, ""), "base64");
const labelled = (label: string) => `-----BEGIN ${label}-----\nAAAA\n-----END ${label}-----`;

test("keys that can't be used: what they are, and what to do", () => {
  const certPath = file(other.cert);
  const elder = exported({ type: "sec1", ...secret });
  assert.match(elder, "Proc-Type: 4,ENCRYPTED");
  const decrypt =
    /found 0: .* is encrypted, which is not supported: decrypt it with `openssl pkey -in FILE -out NEW_FILE`$/;
  const rows: readonly (readonly [string, string | Uint8Array, RegExp])[] = [
    ["encrypted", exported({ type: "pkcs8", ...secret }), decrypt],
    ["encrypted, in the elder form", elder, decrypt],
    ["encrypted, with line ends of Windows", elder.replaceAll("\n", "\r\n"), decrypt],
    ["encrypted, with line ends of old", elder.replaceAll("\n", "\r"), decrypt],
    ["encrypted, indented", elder.replace(/^/gm, "  "), decrypt],
    ["encrypted, in UTF-16", Buffer.from(`\uFEFF${elder}`, "utf16le"), decrypt],
    ["encrypted, behind its certificate", `${other.cert}\n${elder}`, decrypt],
    ["encrypted twice", `${elder}${elder}`, decrypt],
    [
      "one of two encrypted",
      `${elder}${other.key}`,
      /found 1: .* has 2 PEM private keys, leave the server's own$/,
    ],
    ["DER", der(other.key), /found 0: .* is no PEM, perhaps DER: convert it with `openssl pkey -inform DER/],
    [
      "of OpenSSH",
      labelled("OPENSSH PRIVATE KEY"),
      /found 0: .* has a key of OpenSSH: make one of PEM with `ssh-keygen/,
    ],
    [
      "a certificate",
      other.cert,
      /found 0: .* has certificates and no private key, are the two files exchanged\?$/,
    ],
    [
      "a public key",
      labelled("PUBLIC KEY"),
      /found 0: .* has no PEM private key, but a block of PUBLIC KEY$/,
    ],
    ["a block that does not end", other.key.slice(0, 100), /found 0: .* has no PEM private key$/],
  ];
  for (const [what, content, expected] of rows) {
    const path = file();
    writeFileSync(path, content);
    const said = refusal(() => pair(certPath, path));
    assert.match(said, expected, what);
    assert.ok(said.startsWith("Expected exactly one key in key file, ") && said.includes(`"${path}"`), said);
    assert.not.match(said, "s3cret", what);
  }
  const utf16 = file();
  writeFileSync(utf16, Buffer.from(`\uFEFF${other.key}`, "utf16le"));
  assert.match(pair(certPath, utf16).key, "PRIVATE KEY", "as Windows PowerShell writes it");
});

test("certificates that can't be used: what they are, and what to do", () => {
  const keyPath = file(other.key);
  const rows: readonly (readonly [string, string | Uint8Array, RegExp])[] = [
    ["DER", der(other.cert), /is no PEM, perhaps DER: convert it with `openssl x509 -inform DER/],
    [
      "an encrypted key",
      exported({ type: "pkcs8", ...secret }),
      /has a private key, are the two files exchanged\?$/,
    ],
    [
      "a request",
      labelled("CERTIFICATE REQUEST"),
      /has no PEM certificate, but a block of CERTIFICATE REQUEST$/,
    ],
  ];
  for (const [what, content, expected] of rows) {
    const path = file();
    writeFileSync(path, content);
    assert.match(refusal(() => pair(path, keyPath)), expected, what);
  }
});

test("blocks that hold no certificate or key", () => {
  const cert = file("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----");
  const key = file("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----");
  assert.ok(
    refusal(() => pair(cert, key)).startsWith(`invalid certificate 1 in certificate file "${cert}": `),
  );
  assert.ok(
    refusal(() => pair(file(other.cert), key)).startsWith(`invalid private key in key file "${key}": `),
  );
});

test("a key that belongs to another certificate is found at once, with both files named", () => {
  const cert = file(server.cert, intermediate.cert);
  const wrong = file(other.key);
  assert.is(
    refusal(() => pair(cert, wrong)),
    `the private key in "${wrong}" does not belong to the certificate in "${cert}"`,
  );
  assert.match(
    refusal(() => pair(file(intermediate.cert, server.cert), file(server.key))),
    "must come first",
  );
});

test("files that can't be read", () => {
  const cert = join(folder, "absent.pem");
  assert.is(
    refusal(() => pair(cert, file(other.key))),
    `cannot read TLS certificate file "${cert}": No such file or directory (os error 2)`,
  );
  assert.is(
    refusal(() => pair(file(other.cert), folder)),
    `cannot read TLS key file "${folder}": Is a directory (os error 21)`,
  );
  assert.match(
    refusal(() => pair(file("x".repeat(5 * 1024 * 1024)), file(other.key))),
    "longer than 4194304 bytes",
  );
});

test("client CAs: several files, several certificates in one, the bad ones counted", () => {
  const { log, text } = recorded();
  const bad = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  // A block that was cut off takes no other with it.
  const cut = file(other.cert.slice(0, 100), root.cert);
  const loaded = loadClientCas([file(intermediate.cert), file(bad, other.cert), cut], log);
  assert.equal(
    loaded.certificates,
    [intermediate, other, root].map(({ cert }) => cert.trim()),
  );
  createSecureContext({ ca: [...loaded.certificates] });
  assert.match(
    text(),
    /certs: Loaded client CA certificates client_ca_certs_added=3 client_ca_certs_ignored=2\n$/,
  );
});

test("no usable client CA", () => {
  const { log } = recorded();
  const empty = file("");
  assert.ok(
    refusal(() => loadClientCas([empty], log)).startsWith(
      "Cannot build client verifier: no root trust anchors were provided",
    ),
  );
});

test("everything together; without client CA files clients need no certificate", () => {
  const { log, text } = recorded();
  const certFile = file(other.cert);
  const keyFile = file(other.key);
  assert.is(loadTlsMaterial({ certFile, keyFile, clientCaFiles: [] }, log).clientCas, null);
  assert.is(text(), "");
  const material = loadTlsMaterial({ certFile, keyFile, clientCaFiles: [file(root.cert)] }, log);
  assert.equal(material.clientCas?.certificates, [root.cert.trim()]);
});

test.run();
