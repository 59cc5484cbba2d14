/**
 * Pushes an image from its OCI layout to a registry, with credentials from Docker's configuration.
 *
 * usage: push.ts LAYOUT REFERENCE [--sources-path FILE]
 *   LAYOUT     a folder that build.ts made, e.g. dist/images/controller-node
 *   REFERENCE  e.g. ghcr.io/portreeve/controller:v0.1.0
 */
import { createReadStream, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { type ArtifactOptions, parseReference, readSources } from "../../artifact/mod.ts";
import { type Registry, withRegistry } from "../../artifact/apply/registry.ts";
import { hasBlob, putBlob, putManifest } from "../../artifact/apply/registry_push.ts";

type Descriptor = { readonly mediaType: string; readonly digest: string };
type Manifest = { readonly config: Descriptor; readonly layers: readonly Descriptor[] };

/** Pushes what `layout` holds. Returns the digest under which it can't change. */
export async function pushLayout(
  layout: string,
  reference: string,
  options: ArtifactOptions = {},
): Promise<string> {
  const target = parseReference(reference);
  const blob = (digest: string) => join(layout, "blobs", "sha256", digest.slice("sha256:".length));
  const readJson = (path: string) => JSON.parse(readFileSync(path, "utf8"));
  const top = (readJson(join(layout, "index.json")) as { readonly manifests: readonly Descriptor[] })
    .manifests[0]!;
  const index = readJson(blob(top.digest)) as { readonly manifests: readonly Descriptor[] };
  const put = async (registry: Registry, digest: string) => {
    if (await hasBlob(registry, digest)) return;
    await putBlob(registry, digest, () => createReadStream(blob(digest)) as AsyncIterable<Uint8Array>);
  };
  return await withRegistry(target, "push", options, async (registry) => {
    for (const { mediaType, digest } of index.manifests) {
      const { config, layers } = readJson(blob(digest)) as Manifest;
      for (const part of [...layers, config]) await put(registry, part.digest);
      await putManifest(registry, digest, mediaType, readFileSync(blob(digest)));
    }
    const name = target.tag ?? top.digest;
    await putManifest(registry, name, top.mediaType, readFileSync(blob(top.digest)));
    return top.digest;
  });
}

if (import.meta.main) {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { "sources-path": { type: "string" } },
    });
    const [layout, reference] = positionals;
    if (layout === undefined || reference === undefined || positionals.length > 2) {
      throw new Error("usage: push.ts LAYOUT REFERENCE [--sources-path FILE]");
    }
    const sources = values["sources-path"];
    const options = sources === undefined ? {} : { sources: await readSources(sources) };
    console.log(`${reference.replace(/:[^:/]+$/, "")}@${await pushLayout(layout, reference, options)}`);
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  }
}
