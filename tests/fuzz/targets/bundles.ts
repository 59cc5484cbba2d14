/**
 * Sigstore bundles and cosign's older signatures, made by a Sigstore of the tests' own (`seeds/bundles`): what was changed in any
 * place that counts proves nobody's identity.
 */
import { readFileSync } from "node:fs";
import { readBundle } from "../../../artifact/apply/signature/bundle.ts";
import { readSimpleSigning } from "../../../artifact/apply/signature/simple_signing.ts";
import { materialOf, type TrustMaterial } from "../../../artifact/apply/signature/trust_material.ts";
import { loadX509 } from "../../../artifact/apply/signature/x509.ts";
import { loadTrustRoot } from "../../../artifact/mod.ts";
import type { SignedLayer } from "../../../artifact/types/signed_layer.ts";
import { ArtifactError } from "../../../artifact/types/error.ts";
import { mutateJson } from "../mutate.ts";
import { Finding, holds, type Target } from "../target.ts";

const folder = new URL("../seeds/bundles/", import.meta.url);
const DIGEST = "sha256:93850b707585e404e4951a3ddc1f05a34b3d4f5fc081d616f46d8a2e8f1c8e68";
const SEEDS = ["seed0", "seed1", "seed2", "seed3"];
const decoder = new TextDecoder();

let trust: TrustMaterial;
/** What the genuine ones sign, with the identity that they prove. */
const genuine = new Map<string, string>();

const keyOf = ({ signedBytes, signature }: SignedLayer) =>
  `${Buffer.from(signedBytes).toString("base64")} ${signature}`;

async function read(input: Uint8Array): Promise<SignedLayer> {
  const text = decoder.decode(input);
  let layer: { readonly annotations?: unknown; readonly payload?: unknown } = {};
  try {
    layer = JSON.parse(text);
  } catch {
    // No JSON: it goes to the reader of bundles, who says so.
  }
  if (typeof layer?.payload === "string") {
    const annotations = typeof layer.annotations === "object" && layer.annotations !== null
      ? layer.annotations
      : {};
    const strings = Object.fromEntries(
      Object.entries(annotations).filter(([, value]) => typeof value === "string"),
    );
    const descriptor = { annotations: strings } as never;
    return readSimpleSigning(descriptor, Buffer.from(layer.payload), DIGEST, trust, () => {});
  }
  return await readBundle("fuzz", input, DIGEST, trust, () => {});
}

/** Faults of a program, which no bad input may raise. */
const isFault = (error: unknown) =>
  error instanceof RangeError && /call stack/.test(error.message) || error instanceof ReferenceError ||
  error instanceof TypeError &&
    /undefined|null|not a function|not iterable|Cannot (read|convert)/.test(error.message);

export const target: Target = {
  name: "bundles",
  setUp: async () => {
    await loadX509();
    const path = new URL("trust", folder).pathname;
    trust = materialOf(await loadTrustRoot({ kind: "file", path }, { env: {} }));
    for (const seed of SEEDS) {
      const layer = await read(readFileSync(new URL(seed, folder)));
      genuine.set(keyOf(layer), JSON.stringify(layer.identity ?? null));
    }
    if (![...genuine.values()].some((identity) => identity !== "null")) {
      return "no seed proves an identity: make them again";
    }
  },
  seeds: () => SEEDS.map((seed) => new Uint8Array(readFileSync(new URL(seed, folder)))),
  generate: (random, seeds) =>
    mutateJson(random, seeds, [
      "payload",
      "signatures",
      "tlogEntries",
      "rawBytes",
      "logIndex",
      "keyid",
      "$case",
    ]),
  expected: [ArtifactError],
  // Signatures of several kinds are checked, up to four for each bundle.
  limitMs: 300,
  run: async (input) => {
    let layer: SignedLayer;
    try {
      layer = await read(input);
    } catch (error) {
      // An error of this room may have been made of a fault.
      const { cause = error } = error as Error;
      if (isFault(cause)) throw new Finding("crash", `${(cause as Error).name}: ${(cause as Error).message}`);
      throw error;
    }
    if (layer.identity === undefined) return;
    holds(
      genuine.get(keyOf(layer)) === JSON.stringify(layer.identity),
      "a changed bundle proves an identity",
    );
  },
};
