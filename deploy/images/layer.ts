/** Layers of images: tar archives whose bytes depend on nothing but their content. */
import { createHash } from "node:crypto";
import { constants, gzipSync } from "node:zlib";
import { loadTar } from "../../deps.ts";

/** A file, folder or link of an image. Everything belongs to root, so that the image's user can change nothing. */
export type Entry =
  | { readonly kind: "file"; readonly path: string; readonly content: Uint8Array; readonly mode: number }
  | { readonly kind: "folder"; readonly path: string; readonly mode: number }
  | { readonly kind: "link"; readonly path: string; readonly target: string };

/** A compressed layer. */
export interface Layer {
  readonly bytes: Uint8Array;
  /** Digest of the compressed bytes, with its algorithm. */
  readonly digest: string;
  /** Digest of the archive before compression. */
  readonly diffId: string;
  /** Bytes before compression. */
  readonly size: number;
}

/** `sha256:` and the digest in hexadecimal. */
export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** The folders above every entry, which archives must hold for their modes to be known. */
function withParents(entries: readonly Entry[]): readonly Entry[] {
  const byPath = new Map<string, Entry>(entries.map((entry) => [entry.path, entry]));
  for (const { path } of entries) {
    const parts = path.split("/").slice(0, -1);
    for (; parts.length > 0; parts.pop()) {
      const folder = parts.join("/");
      if (!byPath.has(folder)) byPath.set(folder, { kind: "folder", path: folder, mode: 0o755 });
    }
  }
  return [...byPath.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** A layer of these entries; their paths are relative to the root and without a leading slash. */
export async function createLayer(entries: readonly Entry[]): Promise<Layer> {
  const { pack: createPack } = await loadTar();
  const pack = createPack();
  const chunks: Uint8Array[] = [];
  const packed = new Promise<void>((resolve, reject) => {
    pack.on("data", (chunk) => chunks.push(chunk as Uint8Array));
    pack.on("end", resolve);
    pack.on("error", reject);
  });
  const header = { mtime: new Date(0), uid: 0, gid: 0, uname: "", gname: "" };
  for (const entry of withParents(entries)) {
    switch (entry.kind) {
      case "file":
        pack.entry(
          { ...header, name: entry.path, type: "file", mode: entry.mode },
          Buffer.from(entry.content),
        );
        break;
      case "folder":
        pack.entry({ ...header, name: entry.path, type: "directory", mode: entry.mode });
        break;
      case "link":
        pack.entry({ ...header, name: entry.path, type: "symlink", linkname: entry.target, mode: 0o777 });
    }
  }
  pack.finalize();
  await packed;
  const archive = Buffer.concat(chunks);
  const bytes = gzipSync(archive, { level: constants.Z_BEST_COMPRESSION });
  // The header names the operating system that compressed, which says nothing of the content.
  bytes[9] = 0xff;
  return { bytes, digest: digestOf(bytes), diffId: digestOf(archive), size: archive.length };
}
