/** The entry of an index that this process takes. */
import process from "node:process";
import { own } from "../../program/types/own.ts";
import { platformEntry, policyEntry } from "../render/index_entry.ts";
import type { Platform } from "../types/manifest.ts";
import type { ChooseEntry } from "./registry_pull.ts";

/** The running process's platform in Go's names, which images use. */
function hostPlatform(): Platform {
  const os = process.platform === "win32" ? "windows" : process.platform;
  const architecture = own({ x64: "amd64", ia32: "386" }, process.arch as string) ?? process.arch;
  return { os, architecture };
}

/** The image that a container runtime here would run. */
export function imageEntry(): ChooseEntry {
  const host = hostPlatform();
  return { choose: (manifests) => platformEntry(manifests, host), wanted: `${host.os}/${host.architecture}` };
}

/** The policy: this platform's entry, WebAssembly's, or the only one that names none. */
export function policyManifestEntry(): ChooseEntry {
  const host = hostPlatform();
  return {
    choose: (manifests) => policyEntry(manifests, host),
    wanted: `${host.os}/${host.architecture}, or one for WebAssembly`,
  };
}
