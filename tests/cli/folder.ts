/** A folder for one test file, with a home of its own, and what tests put in it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Place, reeve, type Result } from "./reeve.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** The file of a policy of this repository. */
export const policy = (name: string): string => join(root, name);

export interface Folder {
  readonly path: string;
  readonly home: string;
  /** Writes a file; what is no text becomes JSON. Returns its path. */
  file(name: string, content: unknown): string;
  read(name: string): string;
  run(words: readonly string[], place?: Partial<Place>): Promise<Result>;
  remove(): void;
}

export function openFolder(): Folder {
  const path = mkdtempSync(join(tmpdir(), "reeve-test-"));
  const home = mkdtempSync(join(tmpdir(), "reeve-home-"));
  return {
    path,
    home,
    file(name, content) {
      const file = join(path, name);
      writeFileSync(
        file,
        typeof content === "string" || content instanceof Uint8Array ? content : JSON.stringify(content),
      );
      return file;
    },
    read: (name) => readFileSync(join(path, name), "utf8"),
    run: (words, place = {}) => reeve(words, { cwd: path, home, ...place }),
    remove() {
      for (const folder of [path, home]) rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** An admission request that host-caller takes its call from. */
export function hostCallRequest(call: unknown, more: Readonly<Record<string, unknown>> = {}): object {
  return {
    uid: "1",
    kind: { group: "", version: "v1", kind: "Pod" },
    resource: { group: "", version: "v1", resource: "pods" },
    operation: "CREATE",
    userInfo: { username: "u" },
    object: { metadata: { name: "p", annotations: { "host-call": JSON.stringify(call) } } },
    ...more,
  };
}
