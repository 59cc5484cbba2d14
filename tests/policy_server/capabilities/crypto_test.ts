/** Certificates made here, judged by the policy's host call: one test for each row of `spec/evaluator.md §5.7`. */
import { rootCertificates } from "node:tls";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadX509, type X509 } from "../../../deps.ts";
import { cryptoCapabilities } from "../../../policy_server/apply/capabilities/crypto.ts";
import { closeCallers, failure, hostCaller, RawPayload, success } from "./host_caller.ts";

const x509 = await loadX509();
x509.cryptoProvider.set(crypto);

const DAY = 86_400_000;
const NOW = Date.UTC(2026, 5, 15, 12);
const UNKNOWN = { trusted: false, reason: "Certificate is not trusted by the provided cert chain" };
const EXPIRED = { trusted: false, reason: "Certificate is being used after its expiration date" };
const EARLY = { trusted: false, reason: "Certificate is being used before its validity date" };
const TRUSTED = { trusted: true, reason: "" };

type Made = { readonly certificate: X509.X509Certificate; readonly keys: CryptoKeyPair };
type Options = {
  readonly issuer?: Made;
  readonly authority?: boolean | number;
  /** Days from now. */
  readonly from?: number;
  readonly to?: number;
  readonly dns?: string;
  readonly ip?: string;
  readonly extensions?: readonly X509.Extension[];
  readonly algorithm?: "ecdsa" | "ed25519" | "rsa" | "rsa-sha1" | "rsa-1024";
};

const ALGORITHMS = {
  ecdsa: { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" },
  ed25519: { name: "Ed25519" },
  rsa: rsa(2048, "SHA-256"),
  "rsa-sha1": rsa(2048, "SHA-1"),
  "rsa-1024": rsa(1024, "SHA-256"),
} as const;

function rsa(modulusLength: number, hash: string) {
  return {
    name: "RSASSA-PKCS1-v1_5",
    hash,
    modulusLength,
    publicExponent: new Uint8Array([1, 0, 1]),
  };
}

let serial = 1;

async function make(name: string, options: Options = {}): Promise<Made> {
  const { issuer, authority, from = -1, to = 1, dns, ip, extensions = [], algorithm = "ecdsa" } = options;
  const keys = await crypto.subtle.generateKey(ALGORITHMS[algorithm], true, [
    "sign",
    "verify",
  ]) as CryptoKeyPair;
  const signing = issuer?.keys ?? keys;
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: (++serial).toString(16).padStart(4, "0"),
    subject: `CN=${name}`,
    issuer: issuer?.certificate.subject ?? `CN=${name}`,
    notBefore: new Date(NOW + from * DAY),
    notAfter: new Date(NOW + to * DAY),
    publicKey: keys.publicKey,
    signingKey: signing.privateKey,
    signingAlgorithm: {
      ...signing.privateKey.algorithm,
      hash: "SHA-256",
      ...(algorithm === "rsa-sha1" ? { hash: "SHA-1" } : {}),
    } as never,
    extensions: [
      ...(authority === undefined ? [] : [
        new x509.BasicConstraintsExtension(
          authority !== false,
          typeof authority === "number" ? authority : undefined,
          true,
        ),
      ]),
      ...(dns || ip
        ? [
          new x509.SubjectAlternativeNameExtension([
            ...(dns ? [{ type: "dns" as const, value: dns }] : []),
            ...(ip ? [{ type: "ip" as const, value: ip }] : []),
          ]),
        ]
        : []),
      ...extensions,
    ],
  });
  return { certificate, keys };
}

const ints = (bytes: Uint8Array | string) => [...(typeof bytes === "string" ? Buffer.from(bytes) : bytes)];
const pem = ({ certificate }: Made) => ({ encoding: "Pem", data: ints(certificate.toString("pem")) });
const der = ({ certificate }: Made) => ({ encoding: "Der", data: ints(new Uint8Array(certificate.rawData)) });

const caller = await hostCaller(cryptoCapabilities(() => NOW));
test.after(closeCallers);

const PATH = "crypto/v1/is_certificate_trusted";
const ask = (payload: unknown) => caller.call(PATH, payload);
async function judge(leaf: Made, chain: readonly Made[] | null, notAfter?: string | null) {
  return success(
    await ask({ cert: pem(leaf), cert_chain: chain && chain.map(der), not_after: notAfter ?? null }),
  );
}

const root = await make("root", { authority: true });
const middle = await make("middle", { authority: true, issuer: root });
const leaf = await make("leaf", { issuer: middle });

test("a leaf that leads to the last certificate of the chain is trusted, in PEM and in DER", async () => {
  assert.equal(await judge(leaf, [middle, root]), TRUSTED);
  assert.equal(
    success(await ask({ cert: der(leaf), cert_chain: [pem(middle), pem(root)], not_after: "" })),
    TRUSTED,
  );
  const direct = await make("direct", { issuer: root });
  assert.equal(await judge(direct, [root]), TRUSTED);
  // The anchor may be an authority in the middle, and unneeded intermediates may stand beside it.
  assert.equal(await judge(leaf, [middle]), TRUSTED);
  assert.equal(await judge(leaf, [root, leaf, middle]), TRUSTED);
});

test("keys of all usual kinds sign", async () => {
  for (const algorithm of ["ed25519", "rsa"] as const) {
    const anchor = await make(`${algorithm} root`, { authority: true, algorithm });
    assert.equal(await judge(await make("x", { issuer: anchor }), [anchor]), TRUSTED, algorithm);
  }
});

test("keys that are too short and hashes that are broken do not", async () => {
  const short = await make("short root", { authority: true, algorithm: "rsa-1024" });
  assert.equal(await judge(await make("x", { issuer: short }), [short]), UNKNOWN);
  const old = await make("old root", { authority: true, algorithm: "rsa-sha1" });
  const signed = await make("x", { issuer: old, algorithm: "rsa-sha1" });
  assert.equal(await judge(signed, [old]), {
    trusted: false,
    reason: "Certificate not trusted: UnsupportedSignatureAlgorithm",
  });
});

test("not_after is the instant of the verification; without it that is now", async () => {
  const at = (days: number) => new Date(NOW + days * DAY).toISOString();
  assert.equal(await judge(leaf, [middle, root], at(0.5)), TRUSTED);
  assert.equal(await judge(leaf, [middle, root], at(2)), EXPIRED);
  assert.equal(await judge(leaf, [middle, root], at(-2)), EARLY);
  assert.equal(await judge(leaf, [middle, root], "2026-06-15T14:00:00.25+02:00"), TRUSTED);
  const { keys: _, ...request } = { keys: 0, cert: pem(leaf), cert_chain: [pem(middle), pem(root)] };
  // The JavaScript SDK leaves the key out.
  assert.equal(success(await ask(request)), TRUSTED);
});

test("leaf and intermediates must be valid at that instant, the anchor need not", async () => {
  const oldLeaf = await make("old leaf", { issuer: middle, from: -3, to: -1 });
  assert.equal(await judge(oldLeaf, [middle, root]), EXPIRED);
  const oldMiddle = await make("old middle", { authority: true, issuer: root, from: -3, to: -1 });
  assert.equal(await judge(await make("x", { issuer: oldMiddle }), [oldMiddle, root]), EXPIRED);
  const futureMiddle = await make("future middle", { authority: true, issuer: root, from: 1, to: 3 });
  assert.equal(await judge(await make("x", { issuer: futureMiddle }), [futureMiddle, root]), EARLY);
  const oldRoot = await make("old root", { authority: true, from: -3, to: -1 });
  assert.equal(await judge(await make("x", { issuer: oldRoot }), [oldRoot]), TRUSTED);
});

test("an issuer that is not in the chain, a bad signature, an empty chain: not trusted by the chain", async () => {
  assert.equal(await judge(leaf, [await make("other", { authority: true })]), UNKNOWN);
  assert.equal(await judge(leaf, [root]), UNKNOWN);
  assert.equal(await judge(leaf, []), UNKNOWN);
  // The same names with other keys.
  const forgedRoot = await make("root", { authority: true });
  assert.equal(await judge(leaf, [middle, forgedRoot]), UNKNOWN);
  const selfSigned = await make("self");
  assert.equal(await judge(selfSigned, [root]), UNKNOWN);
});

test("without a chain the public roots are the anchors", async () => {
  assert.equal(await judge(leaf, null), UNKNOWN);
  assert.equal(success(await ask({ cert: pem(leaf) })), UNKNOWN);
  const answer = success(
    await ask({ cert: { encoding: "Pem", data: ints(rootCertificates[0]!) }, cert_chain: null }),
  );
  assert.equal(answer, { trusted: false, reason: "Certificate not trusted: CaUsedAsEndEntity" });
});

test("what certificates say about each other is obeyed", async () => {
  const reason = async (certificate: Made, chain: readonly Made[]) =>
    (await judge(certificate, chain)).reason;
  assert.is(await reason(middle, [root]), "Certificate not trusted: CaUsedAsEndEntity");
  const noAuthority = await make("no authority", { issuer: root });
  assert.is(
    await reason(await make("x", { issuer: noAuthority }), [noAuthority, root]),
    "Certificate not trusted: EndEntityUsedAsCa",
  );
  const last = await make("last", { authority: 0, issuer: root });
  assert.is(await reason(await make("x", { issuer: last }), [last, root]), "");
  const below = await make("below", { authority: true, issuer: last });
  assert.is(
    await reason(await make("x", { issuer: below }), [below, last, root]),
    "Certificate not trusted: PathLenConstraintViolated",
  );
});

test("name constraints of an authority hold for everything below it", async () => {
  // permitted: DNS example.test, addresses 10.0.0.0/8.
  const constraints = new x509.Extension(
    "2.5.29.30",
    true,
    Buffer.from("301e" + "a01c" + "300e820c6578616d706c652e74657374" + "300a87080a000000ff000000", "hex"),
  );
  const limited = await make("limited", { authority: true, issuer: root, extensions: [constraints] });
  const violation = { trusted: false, reason: "Certificate not trusted: NameConstraintViolation" };
  const named = (options: Options) => make("x", { issuer: limited, ...options });
  for (const dns of ["example.test", "a.EXAMPLE.test"]) {
    assert.equal(await judge(await named({ dns }), [limited, root]), TRUSTED, dns);
  }
  assert.equal(await judge(await named({ ip: "10.1.2.3" }), [limited, root]), TRUSTED);
  for (const dns of ["other.test", "badexample.test"]) {
    assert.equal(await judge(await named({ dns }), [limited, root]), violation, dns);
  }
  assert.equal(await judge(await named({ ip: "11.1.2.3" }), [limited, root]), violation);
  // As an anchor as well.
  assert.equal(await judge(await named({ dns: "other.test" }), [limited]), violation);
});

test("what is no leaf at all is an error", async () => {
  const told = async (payload: unknown) => failure(await ask(payload));
  const broken = { encoding: "Der", data: [48, 3, 2, 1] };
  assert.is(
    await told({ cert: broken, cert_chain: [pem(root)], not_after: null }),
    "Callback evaluation failure: Certificate is not a valid end-entity certificate: BadDer",
  );
  const critical = await make("x", {
    issuer: root,
    extensions: [new x509.Extension("1.2.3.4", true, new Uint8Array([5, 0]))],
  });
  assert.is(
    await told({ cert: pem(critical), cert_chain: [pem(root)], not_after: null }),
    "Callback evaluation failure: Certificate is not a valid end-entity certificate: UnsupportedCriticalExtension",
  );
  for (const text of ["no PEM", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----"]) {
    assert.match(
      await told({ cert: { encoding: "Pem", data: ints(text) }, cert_chain: [pem(root)], not_after: null }),
      /^Callback evaluation failure: Certificate PEM data is not valid: /,
    );
  }
  // What is broken in the chain can't be part of a path.
  assert.equal(
    success(await ask({ cert: pem(leaf), cert_chain: [broken, der(middle), der(root)] })),
    TRUSTED,
  );
  assert.match(
    success(await ask({ cert: pem(leaf), cert_chain: [broken] })).reason,
    /^Certificate not trusted: /,
  );
});

test("a date that is none is an error", async () => {
  for (
    const date of [
      "tomorrow",
      "2026-02-30T00:00:00Z",
      "2026-06-15",
      "2026-06-15T25:00:00Z",
      "2026-06-15T00:00:00",
    ]
  ) {
    assert.is(
      failure(await ask({ cert: pem(leaf), cert_chain: [pem(root)], not_after: date })),
      "Callback evaluation failure: Timestamp not_after is not in RFC3339 format",
      date,
    );
  }
});

test("payloads of the wrong shape are told with their place", async () => {
  assert.is(failure(await ask({})), "missing field `cert` at line 1 column 2");
  assert.match(
    failure(await ask({ cert: { encoding: "Text", data: [] } })),
    /^unknown variant `Text`, expected `Der` or `Pem` at line 1 column 26$/,
  );
  assert.match(
    failure(await ask({ cert: { encoding: "Der", data: [300] } })),
    /^invalid value: 300, expected u8/,
  );
  assert.match(failure(await ask(new RawPayload("[[["))), / at line 1 column \d+$/);
});

test("a web of authorities that all vouch for each other is given up, not searched for ever", async () => {
  const cross: Made[] = [];
  const keys = await make("cross", { authority: true });
  for (let index = 0; index < 90; index++) {
    cross.push({ ...(await make("cross", { authority: true, issuer: keys })), keys: keys.keys });
  }
  const lost = await make("x", { issuer: keys });
  const { trusted, reason } = await judge(lost, [...cross, root]);
  assert.is(trusted, false);
  assert.match(reason, /Maximum|not trusted by/);
});

test.run();
