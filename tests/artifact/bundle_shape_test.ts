// Bundles and payloads in which something is of another kind are refused in the words of this room, which name the place.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readBundle } from "../../artifact/apply/signature/bundle.ts";
import { readSimpleSigning } from "../../artifact/apply/signature/simple_signing.ts";
import { materialOf } from "../../artifact/apply/signature/trust_material.ts";
import { loadX509 } from "../../artifact/apply/signature/x509.ts";
import { loadTrustRoot } from "../../artifact/mod.ts";
import { requireBundleShape } from "../../artifact/types/bundle_document.ts";
import { ArtifactError } from "../../artifact/types/error.ts";
import type { Descriptor } from "../../artifact/types/manifest.ts";

const seeds = new URL("../fuzz/seeds/bundles/", import.meta.url);
/** Of the image that the seeds sign. */
const DIGEST = "sha256:93850b707585e404e4951a3ddc1f05a34b3d4f5fc081d616f46d8a2e8f1c8e68";
await loadX509();
const trust = materialOf(
  await loadTrustRoot({ kind: "file", path: fileURLToPath(new URL("trust", seeds)) }, { env: {} }),
);
const genuine = ["seed0", "seed1", "seed2", "seed3"]
  .map((name) => JSON.parse(readFileSync(new URL(name, seeds), "utf8")))
  .filter((document) => document.dsseEnvelope !== undefined);

// deno-lint-ignore no-explicit-any
type Any = any;
type Place = readonly (string | number)[];

const read = (document: unknown) =>
  readBundle("test", Buffer.from(JSON.stringify(document)), DIGEST, trust, () => {});

/** Every place of a document, the whole of it first. */
const places = (value: unknown, at: Place = []): readonly Place[] => [
  at,
  ...(typeof value === "object" && value !== null
    ? Object.entries(value).flatMap(([name, item]) =>
      places(item, [...at, Array.isArray(value) ? Number(name) : name])
    )
    : []),
];

const nameOf = (place: Place) =>
  place.length === 0
    ? "it"
    : place.map((step, index) => typeof step === "number" ? `[${step}]` : index === 0 ? step : `.${step}`)
      .join("");

function changed(document: unknown, place: Place, value: unknown): unknown {
  if (place.length === 0) return value;
  const copy = structuredClone(document) as Any;
  const parent = place.slice(0, -1).reduce((at, step) => at[step], copy);
  parent[place.at(-1)!] = value;
  return copy;
}

async function refusal(attempt: () => unknown): Promise<ArtifactError> {
  let error: unknown;
  try {
    await attempt();
  } catch (thrown) {
    error = thrown;
  }
  assert.instance(error, ArtifactError, String(error));
  assert.is((error as ArtifactError).code, "signature");
  assert.ok((error as ArtifactError).message.length <= 2_000);
  return error as ArtifactError;
}

/** Values, and whether they can stand for an object, a list, a text or an integer. */
const VALUES: readonly (readonly [unknown, string])[] = [
  [true, ""],
  [1.5, ""],
  [{ toString: {} }, "object"],
  [{}, "object"],
  [[], "list"],
  ["text", "text"],
  ["12", "text integer"],
  [7, "integer"],
];
const INTEGERS = new Set(["logIndex", "integratedTime", "treeSize"]);

test("the seeds are read as they are", async () => {
  assert.ok(genuine.length >= 1);
  for (const document of genuine) assert.ok(await read(document));
});

test("a value of another kind is refused at every place, by its name", async () => {
  let tried = 0;
  for (const document of genuine) {
    for (const place of places(document)) {
      const old = place.reduce((at, step) => at[step], document);
      const kind = Array.isArray(old)
        ? "list"
        : typeof old === "object"
        ? "object"
        : INTEGERS.has(String(place.at(-1)))
        ? "integer"
        : "text";
      for (const [value, kinds] of VALUES) {
        if (kinds.split(" ").includes(kind)) continue;
        const { message } = await refusal(() => read(changed(document, place, value)));
        assert.ok(
          message.startsWith(`invalid bundle: ${nameOf(place)} must be `),
          `${nameOf(place)}: ${message}`,
        );
        tried++;
      }
    }
  }
  assert.ok(tried > 200, String(tried));
});

test("certificates and timestamps with a byte changed are refused in words of this room", async () => {
  const places: readonly Place[] = [
    ["verificationMaterial", "certificate", "rawBytes"],
    ["verificationMaterial", "timestampVerificationData", "rfc3161Timestamps", 0, "signedTimestamp"],
    ["verificationMaterial", "tlogEntries", 0, "canonicalizedBody"],
  ];
  for (const place of places) {
    const document = genuine.find((one) => {
      const found = place.reduce((at, step) => at?.[step], one);
      return typeof found === "string" && found.length > 0;
    });
    assert.ok(document, `no seed has ${nameOf(place)}`);
    const bytes = Buffer.from(place.reduce((at, step) => at[step], document), "base64");
    // Every byte of the outer structures, and of the rest every third one.
    for (let at = 0; at < bytes.length; at += at < 400 ? 1 : 3) {
      const other = Buffer.from(bytes);
      other[at]! ^= 0x55;
      for (const value of at % 8 === 0 ? [other, bytes.subarray(0, at)] : [other]) {
        const where = `${nameOf(place)}, byte ${at} of ${bytes.length}`;
        const result = await read(changed(document, place, value.toString("base64"))).catch((error) => error);
        // A byte that says nothing, such as the last of an identity's name, may leave a signature without a trusted one.
        if (!(result instanceof Error)) continue;
        assert.instance(result, ArtifactError, `${where}: ${result}`);
        const { cause } = result as ArtifactError;
        assert.not.ok(
          cause instanceof TypeError || cause instanceof RangeError,
          `${where}: ${(cause as Error)?.stack}`,
        );
      }
    }
  }
});

/** What reading takes for ever: octet strings in each other, with lengths that reach beyond them. */
const EXPENSIVE: Readonly<Record<string, Uint8Array>> = Object.fromEntries(
  [4, 6, 8, 16, 60, 127].map((length) => {
    const strings = new Uint8Array(1_000).map((_, at) => at % 2 ? length : 4);
    return [`octet strings of ${length}`, Buffer.concat([Buffer.from([0x30, 0x82, 0x03, 0xe8]), strings])];
  }),
);

test("certificates and timestamps that take for ever to be read are refused at once", async () => {
  const [document] = genuine;
  let expensive = 0;
  for (const [what, der] of Object.entries(EXPENSIVE)) {
    const certificate = changed(
      document,
      ["verificationMaterial", "certificate"],
      { rawBytes: Buffer.from(der).toString("base64") },
    );
    const timestamp = changed(document, ["verificationMaterial", "timestampVerificationData"], {
      rfc3161Timestamps: [{ signedTimestamp: Buffer.from(der).toString("base64") }],
    });
    for (const bundle of [certificate, timestamp]) {
      const started = performance.now();
      const { message } = await refusal(() => read(bundle));
      assert.ok(performance.now() - started < 2_000, what);
      if (message.includes("takes more than 10000 steps to be read")) expensive++;
    }
  }
  assert.ok(expensive >= 4, String(expensive));
});

test("null is a member that is not there, and nothing that a list may hold", async () => {
  for (const document of genuine) {
    for (const place of places(document)) {
      const nulled = changed(document, place, null);
      if (typeof place.at(-1) === "number" || place.length === 0) {
        const { message } = await refusal(() => read(nulled));
        assert.match(message, `${nameOf(place)} must be `);
      } else {
        requireBundleShape(nulled);
        // Whatever is missing then: a signature that needs it is refused in this room's words, or is not a trusted one.
        try {
          await read(nulled);
        } catch (error) {
          assert.instance(error, ArtifactError, `${nameOf(place)}: ${error}`);
          const { cause } = error as ArtifactError;
          assert.not.ok(
            cause instanceof TypeError || cause instanceof RangeError,
            `${nameOf(place)}: ${String(cause)}`,
          );
        }
      }
    }
  }
});

test("statements: values of other kinds are refused by name, long ones are quoted in part", async () => {
  const [document] = genuine;
  const statement = JSON.parse(Buffer.from(document.dsseEnvelope.payload, "base64").toString());
  const cases: readonly (readonly [Place, unknown, RegExp])[] = [
    [[], null, /the statement is no JSON object/],
    [["_type"], { toString: {} }, /the statement's _type is no string/],
    [["_type"], "x".repeat(100_000), /the in-toto statement has the type x{300}… /],
    [["predicateType"], { toString: {} }, /the statement's predicateType is no string/],
    [["predicateType"], null, /the statement's predicateType is no string/],
    [["predicateType"], "x".repeat(100_000), /is no signature: its predicateType is x{300}… /],
    [["subject"], null, /the statement's subject is no JSON object/],
    [["subject", 0], null, /the statement's subject is no JSON object/],
    [["subject", 0, "digest"], null, /the subject's digest is no JSON object/],
    [["subject", 0, "digest", "sha256"], { toString: {} }, /the subject's sha256 is no string/],
    [["subject", 0, "annotations"], [], /the subject's annotations is no JSON object/],
  ];
  for (const [place, value, expected] of cases) {
    const payload = Buffer.from(JSON.stringify(changed(statement, place, value))).toString("base64");
    const { message } = await refusal(() => read(changed(document, ["dsseEnvelope", "payload"], payload)));
    assert.match(message, expected);
  }
  const long = changed(document, ["dsseEnvelope", "payloadType"], "y".repeat(100_000));
  assert.match((await refusal(() => read(long))).message, /payloadType is y{300}… /);
});

test("payloads of simple signing: values of other kinds are refused by name", async () => {
  const payload = {
    critical: {
      identity: { "docker-reference": "a" },
      image: { "docker-manifest-digest": DIGEST },
      type: "cosign container image signature",
    },
    optional: { creator: "c", timestamp: 12 },
  };
  const layer = (value: unknown) =>
    readSimpleSigning(
      { digest: DIGEST, annotations: { "dev.cosignproject.cosign/signature": "" } } as unknown as Descriptor,
      Buffer.from(JSON.stringify(value)),
      DIGEST,
      trust,
      () => {},
    );
  assert.ok(layer(payload));
  const cases: readonly (readonly [Place, RegExp])[] = [
    [[], /the payload is no JSON object/],
    [["critical"], /critical is no JSON object/],
    [["critical", "identity"], /identity is no JSON object/],
    [["critical", "identity", "docker-reference"], /no docker-reference/],
    [["critical", "image"], /image is no JSON object/],
    [["critical", "image", "docker-manifest-digest"], /another image/],
    [["critical", "type"], /no type/],
    [["optional"], /optional is no JSON object/],
    [["optional", "creator"], /creator is no string/],
    [["optional", "timestamp"], /timestamp is no integer/],
  ];
  for (const [place, expected] of cases) {
    const old = place.reduce((at: Any, step) => at[step], payload);
    for (const value of typeof old === "object" ? [[], true] : [[], true, { toString: {} }]) {
      assert.match((await refusal(() => layer(changed(payload, place, value)))).message, expected);
    }
  }
});

test.run();
