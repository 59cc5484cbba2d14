/**
 * Public keys as people keep them. What sigstore reads is read (the first PEM block, whatever stands around it: sigstore-rs
 * `CosignVerificationKey::try_from_pem`; PKCS#1: sigstore-go `cryptoutils.UnmarshalPEMToPublicKey`); anything else is an unreadable key
 * when the configuration is loaded, with its place, and never a missing signature.
 */
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  publicKeyFault,
  readSigstoreRequest,
  readVerificationConfig,
  sigstoreVerify,
} from "../../artifact/mod.ts";
import { keyFromPem } from "../../artifact/apply/signature/public_key.ts";
import { createAuthority } from "./_certificates.ts";
import { failure, inDirectory, listening } from "./_setting.ts";

const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
const other = generateKeyPairSync("ec", { namedCurve: "P-384" });
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const spki = (key: KeyObject) => key.export({ type: "spki", format: "pem" }).toString();
const key = spki(ec.publicKey);
const bytesOf = (key: KeyObject) => key.export({ type: "spki", format: "der" }).toString("hex");

const READ: Readonly<Record<string, readonly [string, KeyObject]>> = {
  "PUBLIC KEY": [key, ec.publicKey],
  "Windows' line ends": [key.replaceAll("\n", "\r\n"), ec.publicKey],
  "no line end after it": [key.trimEnd(), ec.publicKey],
  "indented, as it was pasted into YAML": [key.replace(/^/gm, "    "), ec.publicKey],
  "indented by tabs": [key.replace(/^/gm, "\t"), ec.publicKey],
  "a byte order mark before it": [`\uFEFF${key}`, ec.publicKey],
  "a comment before it": [`# the key of team A, 2026\n${key}`, ec.publicKey],
  "text around it": [`Key-ID: 7\n\n${key}\nend of file\n`, ec.publicKey],
  "all in one line": [key.replace(/\n/g, " "), ec.publicKey],
  "RSA": [spki(rsa.publicKey), rsa.publicKey],
  "PKCS#1": [rsa.publicKey.export({ type: "pkcs1", format: "pem" }).toString(), rsa.publicKey],
  "P-384": [spki(other.publicKey), other.publicKey],
  "two keys: the first": [`${key}${spki(other.publicKey)}`, ec.publicKey],
  "parameters before it, as openssl ecparam writes them": [
    `-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n${key}`,
    ec.publicKey,
  ],
};

const authority = await createAuthority();
const { cert, key: privateKey } = await authority.issue({ names: ["key.test"] });

const UNREADABLE: Readonly<Record<string, readonly [string, RegExp]>> = {
  "nothing": ["", /it has no PEM block/],
  "words": ["my key", /it has no PEM block/],
  "base64 alone": [key.replace(/-----.*-----\n/g, ""), /it has no PEM block/],
  "a block that does not end": [key.replace(/-----END.*/, ""), /it has no PEM block/],
  "a certificate": [cert, /it is a certificate: give its key, as `openssl x509 -pubkey -noout/],
  "a private key": [privateKey, /it is a private key: give the public one/],
  "a private key of the elder form": [
    ec.privateKey.export({ type: "sec1", format: "pem" }).toString(),
    /it is a private key/,
  ],
  "cosign's private key": [
    "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\neyJrZGYiOnt9fQ==\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n",
    /it is a private key: give the public one, as `cosign public-key/,
  ],
  "a key of SSH": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHcW me@host", /it is a key of SSH/],
  "a key of PGP": [
    "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQENBF\n-----END PGP PUBLIC KEY BLOCK-----\n",
    /it is a key of PGP/,
  ],
  "no base64": ["-----BEGIN PUBLIC KEY-----\n%%%\n-----END PUBLIC KEY-----\n", /is not base64/],
  "bytes of something else": [
    "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    /holds no public key/,
  ],
  "an unsupported curve": [
    spki(generateKeyPairSync("ec", { namedCurve: "secp521r1" }).publicKey),
    /unsupported curve/,
  ],
  "an unsupported algorithm": [spki(generateKeyPairSync("x25519").publicKey), /unsupported key type x25519/],
};

test("keys that sigstore reads are read", () => {
  for (const [what, [text, expected]] of Object.entries(READ)) {
    assert.is(publicKeyFault(text), undefined, what);
    assert.is(Buffer.from(keyFromPem(text).spki).toString("hex"), bytesOf(expected), what);
  }
});

test("what is no key is refused when the configuration is loaded, with its place", async () => {
  await inDirectory(async (directory) => {
    const path = join(directory, "verification.yml");
    for (const [what, [text, reason]] of Object.entries(UNREADABLE)) {
      const bad = { kind: "pubKey", key: text };
      const good = { kind: "pubKey", key };
      for (
        const [config, place] of [
          [{ apiVersion: "v1", allOf: [good, bad] }, "allOf[1].key"],
          [{ apiVersion: "v1", anyOf: { signatures: [bad, good] } }, "anyOf.signatures[0].key"],
        ] as const
      ) {
        await writeFile(path, JSON.stringify(config));
        const { message } = await failure(readVerificationConfig(path));
        assert.ok(message.startsWith(`${path}: ${place}: unreadable key: `), `${what}: ${message}`);
        assert.match(message, reason, what);
        assert.not.match(message, /MI[GHIE]/, `${what}: keys are not quoted`);
      }
    }
  });
});

test("several keys in one entry: the first is used, and said so", async () => {
  await inDirectory(async (directory) => {
    const path = join(directory, "verification.yml");
    const both = `${key}${spki(other.publicKey)}`;
    await writeFile(path, JSON.stringify({ apiVersion: "v1", allOf: [{ kind: "pubKey", key: both }] }));
    const { options, lines } = listening();
    await readVerificationConfig(path, options);
    assert.match(lines().join("\n"), /warn allOf\[0\]\.key holds 2 keys, only the first is used/);
  });
});

test("a policy that asks with an unreadable key is told so, before anything is looked up", async () => {
  for (const [what, [text, reason]] of Object.entries(UNREADABLE)) {
    const request = readSigstoreRequest("v2", {
      type: "SigstorePubKeyVerify",
      image: "registry.test/a/b:v1",
      pub_keys: [key, text],
      annotations: null,
    });
    const { message } = await failure(sigstoreVerify(request, undefined, listening().options));
    assert.match(message, /^pub_keys\[1\]: unreadable key: /, what);
    assert.match(message, reason, what);
  }
});

test.run();
