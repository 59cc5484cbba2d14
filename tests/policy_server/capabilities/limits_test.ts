// Issue 13: what a policy asks of the host is answered in the thread that serves: no question keeps it busy for long.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadX509 } from "../../../deps.ts";
import { pemToDer } from "../../../policy_server/apply/capabilities/certificate.ts";
import { certificateTrust } from "../../../policy_server/apply/capabilities/crypto.ts";
import { netCapabilities } from "../../../policy_server/apply/capabilities/net.ts";
import { readCertificateRequest } from "../../../policy_server/render/certificate_request.ts";
import { readGetRequest, readListRequest } from "../../../policy_server/render/kubernetes_request.ts";
import {
  asBytes,
  asString,
  asStrings,
  fieldsOf,
  readPayload,
} from "../../../policy_server/render/payload.ts";
import { usedMs } from "../../evaluator/thread_time.ts";

const x509 = await loadX509();
x509.cryptoProvider.set(crypto);

/** What one question may take of the thread that serves. Most take a tenth of it. */
const MAX_MS = 200;
const MIB = 1024 * 1024;
const bytes = (text: string) => new TextEncoder().encode(text);
const fill = (unit: string, length: number) => unit.repeat(Math.floor(length / unit.length));

/** What a task threw; fails when it took too long. */
async function thrown(what: string, task: () => unknown): Promise<string> {
  const begun = usedMs();
  let message = "";
  try {
    await task();
  } catch (error) {
    if (error instanceof assert.Assertion) throw error;
    message = (error as Error).message;
  }
  const took = usedMs() - begun;
  assert.ok(took <= MAX_MS, `${what} took ${Math.round(took)} ms`);
  assert.ok(message.length < 2000, `${what}: an error of ${message.length} characters`);
  return message;
}

test("payloads of a mebibyte are read, or refused, in no time and with short errors", async () => {
  const payload = (text: string) => readPayload(bytes(text));
  const large = fill("a", MIB);
  for (
    const [what, task] of [
      ["nesting", () => payload(fill("[", MIB))],
      ["numbers", () => asBytes(payload(`[${fill("1,", MIB)}1]`))],
      ["a wrong byte", () => asBytes(payload(`["${fill("a", 100_000)}"]`))],
      ["a wrong string", () => asStrings(payload(`[{"${large}":1}]`))],
      ["a wrong type", () => asString(payload(`{"${large}":1}`))],
      ["a name that comes twice", () => fieldsOf(payload(`{"${large}":1,"${large}":1}`), "struct A")],
      [
        "many members",
        () =>
          fieldsOf(
            payload(`{${Array.from({ length: 90_000 }, (_, at) => `"${at}":1`).join(",")},"0":1}`),
            "struct A",
          ),
      ],
      ["an encoding", () => readCertificateRequest(bytes(`{"cert":{"encoding":"${large}","data":[]}}`))],
      [
        "field masks",
        () =>
          readListRequest(
            bytes(`{"api_version":"v1","kind":"Pod","field_masks":["${fill("a.", MIB)}a"]}`),
            false,
          ),
      ],
      [
        "many masks",
        () =>
          readGetRequest(
            bytes(`{"api_version":"v1","kind":"Pod","name":"a","field_masks":[${fill('"a",', MIB)}"a"]}`),
          ),
      ],
      [
        "a chain",
        () =>
          readCertificateRequest(
            bytes(
              `{"cert":{"encoding":"Der","data":[1]},"cert_chain":[${
                fill('{"encoding":"Der","data":[1]},', MIB)
              }1]}`,
            ),
          ),
      ],
    ] as const
  ) assert.ok(await thrown(what, task) !== "", `${what} is refused`);
});

test("no PEM text takes longer than its length asks for", async () => {
  for (
    const text of [
      `-----BEGIN A-----${fill(" ", 60_000)}`,
      `-----BEGIN A-----${fill(" ", 60_000)}-----END B-----`,
      fill("-----BEGIN A-----\n", 60_000),
      fill("-----BEGIN ", 60_000),
      `-----BEGIN A-----${fill(" a", 60_000)}!-----END A-----`,
      fill("-", 60_000),
    ]
  ) assert.match(await thrown(text.slice(0, 20), () => pemToDer(bytes(text))), /^malformed framing/);
  assert.equal(
    [...pemToDer(bytes("x\n-----BEGIN B-----\nQQ==\n-----BEGIN A-----\nQUJD\n-----END A-----\n"))],
    [0x41, 0x42, 0x43],
  );
});

const DAY = 86_400_000;
async function certificate(
  name: string,
  issuer: CryptoKeyPair | undefined,
  keys: CryptoKeyPair,
  extensions: readonly InstanceType<typeof x509.Extension>[],
): Promise<Uint8Array> {
  const made = await x509.X509CertificateGenerator.create({
    serialNumber: "01",
    subject: `CN=${name}`,
    issuer: "CN=root",
    notBefore: new Date(Date.now() - DAY),
    notAfter: new Date(Date.now() + DAY),
    signingKey: (issuer ?? keys).privateKey,
    publicKey: keys.publicKey,
    signingAlgorithm: { name: "ECDSA", hash: "SHA-256" },
    extensions: [...extensions],
  });
  return new Uint8Array(made.rawData);
}
const newKeys = () =>
  crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"]) as Promise<
    CryptoKeyPair
  >;
/** DER: an element of a tag around others. */
function der(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const size = length < 128 ? [length] : [0x83, length >> 16, (length >> 8) & 255, length & 255];
  return Buffer.concat([Uint8Array.of(tag, ...size), ...parts]);
}
const sent = (data: Uint8Array) => ({ encoding: "Der", data }) as const;

test("names are held against constraints up to a limit", async () => {
  const keys = await newKeys();
  const names = Array.from({ length: 3000 }, (_, at) => bytes(`${at}.example`));
  const trees = der(0x30, der(0xa1, ...names.map((name) => der(0x30, der(0x82, name)))));
  const anchor = await certificate("root", undefined, keys, [
    new x509.BasicConstraintsExtension(true),
    new x509.Extension("2.5.29.30", true, trees as Uint8Array<ArrayBuffer>),
  ]);
  const leaf = await certificate("leaf", keys, await newKeys(), [
    new x509.Extension(
      "2.5.29.17",
      false,
      der(0x30, ...names.map((name) => der(0x82, Buffer.concat([bytes("x"), name])))) as Uint8Array<
        ArrayBuffer
      >,
    ),
  ]);
  await thrown("names", async () => {
    const trust = await certificateTrust({
      certificate: sent(leaf),
      chain: [sent(anchor)],
      notAfter: undefined,
    }, Date.now());
    assert.equal(trust, {
      trusted: false,
      reason: "Certificate not trusted: MaximumNameConstraintComparisonsExceeded",
    });
  });
});

test("a certificate with an endless number in it, or of many kilobytes, is none", async () => {
  const keys = await newKeys();
  const limit = (digits: number) =>
    new x509.Extension(
      "2.5.29.19",
      true,
      der(0x30, der(0x01, Uint8Array.of(255)), der(0x02, new Uint8Array(digits).fill(1))) as Uint8Array<
        ArrayBuffer
      >,
    );
  for (const [digits, size] of [[60_000, 0], [1, 70_000]] as const) {
    const made = await certificate("root", undefined, keys, [
      limit(digits),
      new x509.Extension("1.2.3", false, new Uint8Array(size)),
    ]);
    assert.match(
      await thrown(
        `${digits} digits`,
        () =>
          certificateTrust({ certificate: sent(made), chain: undefined, notAfter: undefined }, Date.now()),
      ),
      "BadDer",
    );
  }
});

test("a host name that is none is not handed to the resolver", async () => {
  const lookup = netCapabilities()["net/v1/dns_lookup_host"]!;
  const caller = { policy: "p" } as Parameters<typeof lookup>[1];
  assert.match(
    await thrown("a name", () => lookup(bytes(JSON.stringify(fill("a", MIB - 10))), caller)),
    "Name or service not known",
  );
});

test.run();
