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
const ed = generateKeyPairSync("ed25519");
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const spki = (key: KeyObject) => key.export({ type: "spki", format: "pem" }).toString();
const key = spki(ec.publicKey);
const bytesOf = (key: KeyObject) => key.export({ type: "spki", format: "der" }).toString("hex");

const der = ec.publicKey.export({ type: "spki", format: "der" });
const pem = (bytes: Uint8Array) =>
  `-----BEGIN PUBLIC KEY-----\n${Buffer.from(bytes).toString("base64")}\n-----END PUBLIC KEY-----\n`;
/** A P-256 key by another encoding of its point. */
const p256 = (point: Uint8Array) => {
  const header = Buffer.from("3013 0607 2a8648ce3d0201 0608 2a8648ce3d030107".replaceAll(" ", ""), "hex");
  const body = Buffer.concat([header, Buffer.from([0x03, point.length + 1, 0]), point]);
  return pem(Buffer.concat([Buffer.from([0x30, body.length]), body]));
};
const [x, y] = [der.subarray(27, 59), der.subarray(59, 91)];

const pkcs8 = (key: KeyObject) => key.export({ type: "pkcs8", format: "pem" }).toString();

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
  "a compressed point": [p256(Buffer.concat([Buffer.from([2 + (y[31]! & 1)]), x])), ec.publicKey],
  "a block that does not end before it": [`-----BEGIN PUBLIC KEY-----\nAAAA\n${key}`, ec.publicKey],
  "a certificate before it": [
    `-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n${key}`,
    ec.publicKey,
  ],
  "two keys: the first": [`${key}${spki(other.publicKey)}`, ec.publicKey],
  // RFC 1421 §4.4; Go's `pem.Decode` and the crate `pem` read them.
  "headers in the block": [
    key.replace("KEY-----\n", "KEY-----\nComment: team A\nKey-ID: 7\n\n"),
    ec.publicKey,
  ],
  "blanks at the ends of its lines": [key.replace(/\n/g, "  \n"), ec.publicKey],
  "blanks that do not break, as a web page has them": [key.replace(/\n/g, "\u00a0\n"), ec.publicKey],
  "line ends of old": [key.replaceAll("\n", "\r"), ec.publicKey],
  "folded in YAML": [key.trimEnd().replace(/\n/g, "\n\n"), ec.publicKey],
  "in one long line of base64": [
    `-----BEGIN PUBLIC KEY-----\n${der.toString("base64")}\n-----END PUBLIC KEY-----`,
    ec.publicKey,
  ],
  "Ed25519": [spki(ed.publicKey), ed.publicKey],
  "a certificate behind it": [
    `${key}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`,
    ec.publicKey,
  ],
  "its private key behind it, which is warned of": [`${key}${pkcs8(ec.privateKey)}`, ec.publicKey],
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
  "a block that does not end": [key.replace(/-----END.*/, ""), /its lines of BEGIN and END are not whole/],
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
  ...Object.fromEntries(
    ([
      ["PKCS#8", pkcs8(ec.privateKey)],
      ["SEC1", ec.privateKey.export({ type: "sec1", format: "pem" }).toString()],
      ["PKCS#1", rsa.privateKey.export({ type: "pkcs1", format: "pem" }).toString()],
      ["encrypted", pem(der).replaceAll("PUBLIC KEY", "ENCRYPTED PRIVATE KEY")],
      ["encrypted by cosign", pem(der).replaceAll("PUBLIC KEY", "ENCRYPTED SIGSTORE PRIVATE KEY")],
      ["of OpenSSH", pem(der).replaceAll("PUBLIC KEY", "OPENSSH PRIVATE KEY")],
      ["of PGP", pem(der).replaceAll("PUBLIC KEY", "PGP PRIVATE KEY BLOCK")],
      ["without its end", pkcs8(ec.privateKey).replace(/-----END.*\n/, "")],
      ["indented", pkcs8(ec.privateKey).replace(/^/gm, "  ")],
      [
        "behind parameters",
        `-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n${
          pkcs8(ec.privateKey)
        }`,
      ],
    ] as const).map(([what, text]) =>
      [
        `a private key before the public one: ${what}`,
        [`${text}${key}`, /a private key stands before the public one: remove it/],
      ] as const
    ),
  ),
  "a key of SSH": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHcW me@host", /it is a key of SSH/],
  "a key of PGP": [
    "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQENBF\n-----END PGP PUBLIC KEY BLOCK-----\n",
    /it is a key of PGP/,
  ],
  "a key of SSH in its other form": [
    "---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n---- END SSH2 PUBLIC KEY ----\n",
    /it is a key of SSH: give it as `ssh-keygen/,
  ],
  "the name of a key in a service": [
    "awskms:///alias/policies",
    /it is the name of a key that is kept elsewhere/,
  ],
  "the name of a secret": ["k8s://kubewarden/cosign", /as `cosign public-key --key NAME` prints it/],
  "an address": ["https://example.org/cosign.pub", /it is an address: give the key itself/],
  "a path": ["/keys/cosign.pub\n", /it is a path: give what is in the file/],
  "a name of a file": ["cosign.pub", /it is a path/],
  "base64 of the whole, as a Secret has it": [
    Buffer.from(key).toString("base64"),
    /it is base64 of a PEM block: give the block itself/,
  ],
  "a JWK": [
    JSON.stringify(ec.publicKey.export({ format: "jwk" })),
    /it is JSON, as a JWK: give the key in PEM/,
  ],
  "bytes, read as text": [
    new TextDecoder().decode(der),
    /perhaps DER: give it as `openssl pkey -pubin -inform DER/,
  ],
  "RSA's bytes, read as text": [
    new TextDecoder().decode(rsa.publicKey.export({ type: "spki", format: "der" })),
    /perhaps DER/,
  ],
  "four hyphens": [key.replaceAll("-----", "----"), /its lines of BEGIN and END are not whole/],
  "hyphens of a word processor": [key.replaceAll("-----", "——-"), /its lines of BEGIN and END are not whole/],
  "an END of another block": [
    key.replace("END PUBLIC", "END EC PUBLIC"),
    /its lines of BEGIN and END are not whole/,
  ],
  "a request for a certificate": [
    "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
    /it is a PEM block of CERTIFICATE REQUEST, PUBLIC KEY is wanted/,
  ],
  "a label that nobody knows": [
    key.replaceAll("PUBLIC KEY", "EC PUBLIC KEY"),
    /a PEM block of EC PUBLIC KEY/,
  ],
  "quoted as in a letter": [key.replace(/^(?=.)/gm, "> "), /is not base64/],
  "bytes behind it": [pem(Buffer.concat([der, Buffer.from([0])])), /holds no public key/],
  "no base64": ["-----BEGIN PUBLIC KEY-----\n%%%\n-----END PUBLIC KEY-----\n", /is not base64/],
  "bytes of something else": [
    "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    /holds no public key/,
  ],
  "an unsupported curve": [
    spki(generateKeyPairSync("ec", { namedCurve: "secp521r1" }).publicKey),
    /unsupported curve/,
  ],
  "the point at infinity": [p256(Buffer.from([0])), /the block PUBLIC KEY holds no public key/],
  "a point beside the curve": [
    p256(Buffer.concat([Buffer.from([4]), x, y.map((byte, at) => at === 31 ? byte ^ 1 : byte)])),
    /the block PUBLIC KEY holds no public key/,
  ],
  "its lines ended by \\n, as in a text of JSON": [key.replaceAll("\n", "\\n"), /is not base64/],
  // Written by OpenSSL 3; the runtimes' libraries differ in what they read.
  ...Object.fromEntries(
    ([
      [
        "a curve by its parameters",
        /its curve has parameters in the place of a name/,
        "-----BEGIN PUBLIC KEY-----\n" +
        "MIIBSzCCAQMGByqGSM49AgEwgfcCAQEwLAYHKoZIzj0BAQIhAP////8AAAABAAAA\n" +
        "AAAAAAAAAAAA////////////////MFsEIP////8AAAABAAAAAAAAAAAAAAAA////\n" +
        "///////////8BCBaxjXYqjqT57PrvVV2mIa8ZR0GsMxTsPY7zjw+J9JgSwMVAMSd\n" +
        "NgiG5wSTamZ44ROdJreBn36QBEEEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5\n" +
        "RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9QIhAP////8AAAAA\n" +
        "//////////+85vqtpxeehPO5ysL8YyVRAgEBA0IABH1zNY4YI/z87JVhei8jz0/I\n" +
        "AJPvo9G+CU4fUeQc55uPVBdcBFuLeTTX9+TJnnXtjB/o67ZIYF4auykYgJlM2lc=\n" +
        "-----END PUBLIC KEY-----\n",
      ],
      [
        "a curve of Bitcoin",
        /unsupported curve secp256k1/,
        "-----BEGIN PUBLIC KEY-----\n" +
        "MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAEgsg2SUW3UgPdvJfDjj84KiMILI241Mq/\n" +
        "spZvGhARVQlUF2ELe56I+Xd/ZXxe1T3lennGv3OFFiG9dI5jSzzR/g==\n" +
        "-----END PUBLIC KEY-----\n",
      ],
      [
        "a curve of Brainpool",
        /unsupported curve brainpoolP256r1/,
        "-----BEGIN PUBLIC KEY-----\n" +
        "MFowFAYHKoZIzj0CAQYJKyQDAwIIAQEHA0IABJnX1megBtKoaMuBGBHFMAkjgl/f\n" +
        "6+PU0g/xpq4ld4GtmMiGOuCStp+bkhIfD2GPw24LAklIn8uoIZFZNNvs/YU=\n" +
        "-----END PUBLIC KEY-----\n",
      ],
      [
        "RSA-PSS",
        /unsupported key type rsa-pss/,
        "-----BEGIN PUBLIC KEY-----\n" +
        "MIIBIDALBgkqhkiG9w0BAQoDggEPADCCAQoCggEBAJ7/b87QYutkQ0i6k9do905r\n" +
        "q/tBWOTquM6ZSSiMZBKoNmJdKTSSoJmncslDTr6sHW/nVaU1NKV7mWcsMHu62MPm\n" +
        "rYDUSX+9dqLH+AOQlUaSAtDMCcBPO+5vWN/9w5aLaDDhihvU8Vc6OGF4i9+LfLaK\n" +
        "yPKXPTNHih1V3gr91fXYF5Po4mVGIgsogmlhRPrIUzxANPr9v8uAY+KBSPjw5Urm\n" +
        "EVurOX15Gmz5eHNoKsxhv3Nh9/dW6KfL3sktqY0npTEr3tdI5Y/mzC/HDWbpZeRE\n" +
        "34gS7UBIXfcDGjkB0HuZT0kLbnhQVIo2jfqiE8y2PThXy0V+ZntBK/gJgvv8Ai0C\n" +
        "AwEAAQ==\n" +
        "-----END PUBLIC KEY-----\n",
      ],
      [
        "Ed448",
        /unsupported key type ed448/,
        "-----BEGIN PUBLIC KEY-----\n" +
        "MEMwBQYDK2VxAzoA50nQf6uMLHBLPG73b6PzCHi/gRtFqPin8q0/0vgs3cbe4TNK\n" +
        "GCgCdOnxRejEBRpPIVDZwmebY58A\n" +
        "-----END PUBLIC KEY-----\n",
      ],
      [
        "DSA",
        /unsupported key type dsa/,
        "-----BEGIN PUBLIC KEY-----\n" +
        "MIIBvzCCATQGByqGSM44BAEwggEnAoGBAOBo9MgL1pUBeMz3G08JbmHIWMfUiijq\n" +
        "cIm7rqs+lw5FFSWRghpB1bVLhmyBPHIENHoi+bCbFthLuJ7AdPC/aNPfGN6AMrhN\n" +
        "AwtCB55fXeY5heEOtVKCTcYPxVcb0lWPVOaQG2xbibQO0FG6pesjTaOi8Oa3HxhH\n" +
        "IfPLFWB5TMnHAh0A2uV21kPnX/vLXLLCX67aOvoG/VgjzVwp2abC5QKBgQCWyNou\n" +
        "yL69fSiL4hQ1BDlegk1Z8RpPDSjwQ2FBk3FH4P29SUGnQZ75BITRf/vsuTUpfX/h\n" +
        "mmeh8T5485x3bn55KqWas+RRkNiKo5bov6PtRi5SUaCHOfPgztOggExTx/sEI11H\n" +
        "xoJzYltgariEai8N1HP+eaMYCwuZiEBdbnXItgOBhAACgYAEgFj1jnGHoGUqkop+\n" +
        "zAjRY1NOvge1Z5Y7Ym9Vd8wboJ7UjOF7TXxDm+q/x4HJjneUHznbhDOhj7AqF3gw\n" +
        "+YOKzo+thcZBkLvZWmlWuPnG/pUHZ/EUvBJFS/bG/6qkBxjFnxWhERrqU5aHSAgI\n" +
        "aWoUBePAqFlFDm9kPP9x/s6GUQ==\n" +
        "-----END PUBLIC KEY-----\n",
      ],
    ] as const).map(([what, reason, text]) => [what, [text, reason] as const]),
  ),
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
      // A file of YAML holds no such bytes.
      if ([...text].some((character) => character === "\ufffd" || character < "\t")) continue;
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

test("what stands behind the key of an entry is warned of, and not quoted", async () => {
  await inDirectory(async (directory) => {
    const path = join(directory, "verification.yml");
    const warnings = async (text: string) => {
      await writeFile(path, JSON.stringify({ apiVersion: "v1", allOf: [{ kind: "pubKey", key: text }] }));
      const { options, lines } = listening();
      await readVerificationConfig(path, options);
      return lines().join("\n");
    };
    assert.match(
      await warnings(`${key}${spki(other.publicKey)}`),
      /^warn allOf\[0\]\.key holds 2 keys, only the first is used/,
    );
    const leaked = await warnings(`${key}${pkcs8(ec.privateKey)}`);
    assert.match(leaked, /^warn allOf\[0\]\.key holds a private key behind the public one: remove it/);
    assert.not.match(leaked, /MI[GHIE]/);
    assert.is(await warnings(key), "");
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
