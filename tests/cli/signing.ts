/** Signs images by key as cosign does, with nothing but the registry's interface. */
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { putImage } from "../artifact/_image.ts";

export interface SigningKey {
  readonly pem: string;
  readonly key: KeyObject;
}

export function signingKey(): SigningKey {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return { pem: publicKey.export({ type: "spki", format: "pem" }) as string, key: privateKey };
}

/** Signs what has a digest, by every key. */
export async function signImage(
  host: string,
  repository: string,
  digest: string,
  keys: readonly SigningKey[],
  annotations: Readonly<Record<string, string>> | null = null,
): Promise<void> {
  const payload = new TextEncoder().encode(JSON.stringify({
    critical: {
      identity: { "docker-reference": `${host}/${repository}` },
      image: { "docker-manifest-digest": digest },
      type: "cosign container image signature",
    },
    optional: annotations,
  }));
  const layers = keys.map(({ key }) => ({
    mediaType: "application/vnd.dev.cosign.simplesigning.v1+json",
    bytes: payload,
    annotations: { "dev.cosignproject.cosign/signature": sign("sha256", payload, key).toString("base64") },
  }));
  await putImage(`http://${host}`, repository, `${digest.replace(":", "-")}.sig`, layers);
}
