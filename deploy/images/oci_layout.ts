/** Images as an OCI layout: a folder of blobs and an index (https://github.com/opencontainers/image-spec). */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Architecture } from "./components.ts";
import { digestOf, type Layer } from "./layer.ts";

const TYPE = {
  index: "application/vnd.oci.image.index.v1+json",
  manifest: "application/vnd.oci.image.manifest.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  layer: "application/vnd.oci.image.layer.v1.tar+gzip",
} as const;

/** One image for one architecture. */
export interface Image {
  readonly architecture: Architecture;
  readonly layers: readonly Layer[];
  /** As in the image specification: User, Env, Entrypoint, Labels, WorkingDir. */
  readonly config: { readonly [key: string]: unknown };
  readonly annotations: { readonly [key: string]: string };
}

type Descriptor = {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
};

/** Writes images of one name into `folder`. Returns the digest of the index that holds them all. */
export function writeLayout(
  folder: string,
  reference: string,
  images: readonly Image[],
  created: string,
): string {
  const blobs = join(folder, "blobs", "sha256");
  mkdirSync(blobs, { recursive: true });
  const put = (mediaType: string, content: Uint8Array | object): Descriptor => {
    const bytes = content instanceof Uint8Array ? content : new TextEncoder().encode(JSON.stringify(content));
    const digest = digestOf(bytes);
    writeFileSync(join(blobs, digest.slice("sha256:".length)), bytes);
    return { mediaType, digest, size: bytes.length };
  };
  const manifests = images.map(({ architecture, layers, config, annotations }) => {
    const configuration = put(TYPE.config, {
      created,
      architecture,
      os: "linux",
      config,
      rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
      history: layers.map(() => ({ created, created_by: "deploy/images/build.ts" })),
    });
    const manifest = put(TYPE.manifest, {
      schemaVersion: 2,
      mediaType: TYPE.manifest,
      config: configuration,
      layers: layers.map(({ bytes }) => put(TYPE.layer, bytes)),
      annotations,
    });
    return { ...manifest, platform: { architecture, os: "linux" } };
  });
  const index = put(TYPE.index, { schemaVersion: 2, mediaType: TYPE.index, manifests });
  const name = { "org.opencontainers.image.ref.name": reference, "io.containerd.image.name": reference };
  writeFileSync(join(folder, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  writeFileSync(
    join(folder, "index.json"),
    JSON.stringify({ schemaVersion: 2, mediaType: TYPE.index, manifests: [{ ...index, annotations: name }] }),
  );
  return index.digest;
}
