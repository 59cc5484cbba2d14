/** Manifests and indexes of OCI registries. */
import { canonicalJson, typedDocument } from "../../../artifact/render/manifest_document.ts";
import { ArtifactError } from "../../../artifact/types/error.ts";
import { MEDIA_TYPE, parseManifest } from "../../../artifact/types/manifest.ts";
import { same } from "../target.ts";
import { textTarget } from "../text_target.ts";

const digest = `sha256:${"a".repeat(64)}`;
const descriptor = (mediaType: string) => ({ mediaType, digest, size: 10, annotations: { a: "b" } });
const types: readonly string[] = Object.values(MEDIA_TYPE);

export const target = textTarget({
  name: "manifests",
  examples: [
    ...types.map((mediaType) => ({
      schemaVersion: 2,
      mediaType,
      config: descriptor("application/vnd.wasm.config.v1+json"),
      layers: [{
        ...descriptor("application/vnd.wasm.content.layer.v1+wasm"),
        urls: ["https://example.org/x"],
      }],
      annotations: { "org.opencontainers.image.title": "policy.wasm" },
    })),
    {
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.index.v1+json",
      manifests: [
        {
          ...descriptor("application/vnd.oci.image.manifest.v1+json"),
          platform: { os: "linux", architecture: "amd64" },
        },
      ],
    },
    { schemaVersion: 2, manifests: [] },
  ],
  words: [
    "schemaVersion",
    "mediaType",
    "config",
    "layers",
    "manifests",
    "digest",
    "size",
    "urls",
    "annotations",
    "platform",
    "os",
    "architecture",
    "artifactType",
    "subject",
    digest,
    ...types,
  ],
  expected: [ArtifactError],
  read: (text) => {
    const manifest = parseManifest(text);
    const written = canonicalJson(typedDocument(manifest));
    // What is written is stable, because a digest is made of it.
    same("the manifest written again", written, canonicalJson(typedDocument(parseManifest(written))));
  },
});
