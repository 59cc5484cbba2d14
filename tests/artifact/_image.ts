/** Images put into a test registry with nothing but `fetch`: the code under test takes no part in it. */
import { createHash } from "node:crypto";
import { strict as assert } from "node:assert";

export const WASM = Uint8Array.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
export const WASM_LAYER = "application/vnd.wasm.content.layer.v1+wasm";
export const OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json";
export const OCI_INDEX = "application/vnd.oci.image.index.v1+json";

export function sha256(bytes: Uint8Array | string): string {
  return createHash("sha256").update(bytes).digest("hex");
}

export function digestOf(bytes: Uint8Array | string): string {
  return `sha256:${sha256(bytes)}`;
}

/** A module of about `size` bytes whose digest depends on `seed`. */
export function wasmModule(seed: string, size = 64): Uint8Array {
  return Buffer.concat([WASM, Buffer.from(seed), Buffer.alloc(size, 0x07)]);
}

export type Layer = {
  readonly mediaType: string;
  readonly bytes: Uint8Array;
  readonly annotations?: Readonly<Record<string, string>>;
};

export function descriptor(layer: Layer) {
  return {
    mediaType: layer.mediaType,
    digest: digestOf(layer.bytes),
    size: layer.bytes.length,
    ...(layer.annotations === undefined ? {} : { annotations: layer.annotations }),
  };
}

/** @param base `http://localhost:PORT` */
export async function putBlob(base: string, repository: string, bytes: Uint8Array): Promise<void> {
  const start = await fetch(`${base}/v2/${repository}/blobs/uploads/`, { method: "POST" });
  assert.equal(start.status, 202);
  const url = new URL(start.headers.get("location") ?? "", base);
  url.searchParams.set("digest", digestOf(bytes));
  const end = await fetch(url, {
    method: "PUT",
    headers: { "content-type": "application/octet-stream" },
    body: bytes as BodyInit,
  });
  assert.equal(end.status, 201);
}

export async function putManifest(
  base: string,
  repository: string,
  name: string,
  manifest: unknown,
  mediaType: string = OCI_MANIFEST,
): Promise<string> {
  const body = JSON.stringify(manifest);
  const response = await fetch(`${base}/v2/${repository}/manifests/${name}`, {
    method: "PUT",
    headers: { "content-type": mediaType },
    body,
  });
  assert.equal(response.status, 201, await response.text());
  return digestOf(body);
}

/** An image with an empty configuration; returns the digest of its manifest. */
export async function putImage(
  base: string,
  repository: string,
  tag: string,
  layers: readonly Layer[],
  extra: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  const config = { mediaType: "application/vnd.wasm.config.v1+json", bytes: new TextEncoder().encode("{}") };
  for (const layer of [...layers, config]) await putBlob(base, repository, layer.bytes);
  return await putManifest(base, repository, tag, {
    schemaVersion: 2,
    config: descriptor(config),
    layers: layers.map(descriptor),
    ...extra,
  }, (extra["mediaType"] as string | undefined) ?? OCI_MANIFEST);
}

export function putPolicy(
  base: string,
  repository: string,
  tag: string,
  module: Uint8Array,
): Promise<string> {
  return putImage(base, repository, tag, [{ mediaType: WASM_LAYER, bytes: module }]);
}
