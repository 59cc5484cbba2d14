/**
 * Manifests as they are handed to policies and pushed to registries: only the fields that the specification knows, in its
 * order (`spec/fetch-verify.md §7`, `§12.1`).
 */
import { isObject } from "../../program/types/json_object.ts";
import { own } from "../../program/types/own.ts";
import { type Manifest, MEDIA_TYPE } from "../types/manifest.ts";

type Fields = Readonly<Record<string, unknown>>;

const DESCRIPTOR = ["mediaType", "digest", "size", "urls", "annotations"];
const PLATFORM = ["architecture", "os", "os.version", "os.features", "variant", "features"];

/** Whether JSON has a value for it: not for null, and not for a number beyond a double, such as 1e999. */
function said(value: unknown): boolean {
  return value !== undefined && value !== null && (typeof value !== "number" || Number.isFinite(value));
}

function pick(source: unknown, names: readonly string[]): Record<string, unknown> {
  const fields = (source ?? {}) as Fields;
  return Object.fromEntries(
    names.map((name) => [name, own(fields, name)] as const).filter(([, value]) => said(value)),
  );
}

/** The objects in a list of descriptors: an entry of another kind, `null` above all, says nothing. */
function descriptors(value: unknown): readonly Fields[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

function indexEntry(entry: Fields): Record<string, unknown> {
  const { annotations, ...head } = pick(entry, DESCRIPTOR);
  const platform = own(entry, "platform");
  return {
    ...head,
    ...(!said(platform) ? {} : { platform: pick(platform, PLATFORM) }),
    ...(!said(annotations) ? {} : { annotations }),
    ...pick(entry, ["artifactType"]),
  };
}

/** The document re-serialised from its typed fields: unknown members are lost, `null`s omitted. */
export function typedDocument(manifest: Manifest): Fields {
  const { document } = manifest;
  const head = pick(document, ["schemaVersion", "mediaType"]);
  if (manifest.kind === "index") {
    return {
      ...head,
      manifests: descriptors(document["manifests"]).map(indexEntry),
      ...pick(document, ["artifactType", "annotations"]),
    };
  }
  const subject = document["subject"];
  return {
    ...head,
    ...(!said(document["config"]) ? {} : { config: pick(document["config"], DESCRIPTOR) }),
    layers: descriptors(document["layers"]).map((layer) => pick(layer, DESCRIPTOR)),
    ...(!said(subject) ? {} : { subject: pick(subject, DESCRIPTOR) }),
    ...pick(document, ["artifactType", "annotations"]),
  };
}

/** JSON with sorted keys and no blanks: the same manifest has the same digest whoever writes it. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).filter(([, item]) => item !== undefined).sort((
    [a],
    [b],
  ) => (a < b ? -1 : 1));
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonicalJson(item)}`).join(",")}}`;
}

/** The configuration blob of every policy, and its digest. */
export const EMPTY_CONFIG = {
  content: "{}",
  digest: "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
} as const;

/** What becomes of a module's metadata annotations in its manifest, and the names of those that were dropped. */
export function manifestAnnotations(
  annotations: Readonly<Record<string, string>>,
): { readonly kept: Readonly<Record<string, string>>; readonly dropped: readonly string[] } {
  const dropped: string[] = [];
  const kept = new Map<string, string>();
  for (const [name, value] of Object.entries(annotations)) {
    if (value.replace(/\r?\n$/, "").includes("\n")) dropped.push(name);
    else kept.set(name, value.trim());
  }
  const source = kept.get("io.kubewarden.policy.source");
  if (source !== undefined && !kept.has("org.opencontainers.image.source")) {
    kept.set("org.opencontainers.image.source", source);
  }
  return { kept: Object.fromEntries(kept), dropped };
}

/** The manifest of a pushed policy. */
export function policyManifest(
  layer: { readonly digest: string; readonly size: number },
  annotations: Readonly<Record<string, string>>,
): string {
  return canonicalJson({
    schemaVersion: 2,
    config: {
      mediaType: MEDIA_TYPE.wasmConfig,
      digest: EMPTY_CONFIG.digest,
      size: EMPTY_CONFIG.content.length,
    },
    layers: [{ mediaType: MEDIA_TYPE.wasmLayer, digest: layer.digest, size: layer.size }],
    annotations: Object.keys(annotations).length === 0 ? undefined : annotations,
  });
}
