/**
 * What an image takes from Debian: the C libraries that the runtimes are linked with, and the authorities of the web. The
 * packages are downloaded by apt for the architecture that is wanted, with folders of its own: the machine stays as it is.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import type { Architecture, Runtime } from "./components.ts";
import type { Entry } from "./layer.ts";
import { runTool } from "./run_tool.ts";

/** A package that an image holds, for its bill of materials. */
export interface DebianPackage {
  readonly name: string;
  readonly version: string;
}

const LIBRARIES: Readonly<Record<Runtime, readonly string[]>> = {
  node: ["libc6", "libstdc++6", "libgcc-s1", "libatomic1"],
  bun: ["libc6"],
};

/** Of a package's files, those that programs load: shared libraries and their loader, and licences. */
const WANTED = /\.so(\.[\d.]+)?$|^usr\/share\/doc\/[^/]+\/copyright$/;
/** Parts of the C library that no runtime loads: conversions of character sets, an auditing tool. */
const UNWANTED =
  /\/(gconv|audit)\/|lib(memusage|pcprofile|nsl|BrokenLocale|thread_db|mvec|nss_(compat|hesiod))/;

function filesBelow(folder: string): readonly string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? filesBelow(path) : [path];
  });
}

/** Downloads packages and unpacks them below `cache`; once for each version. */
function unpack(names: readonly string[], architecture: Architecture, cache: string): readonly string[] {
  const state = join(cache, `apt-${architecture}`);
  for (const folder of ["lists/partial", "archives/partial", "debs"]) {
    mkdirSync(join(state, folder), { recursive: true });
  }
  const options = [
    `APT::Architecture=${architecture}`,
    `APT::Architectures=${architecture}`,
    `Dir::State::Lists=${join(state, "lists")}`,
    `Dir::Cache=${state}`,
    "Dir::State::Status=/dev/null",
    "Debug::NoLocking=true",
  ].flatMap((option) => ["-o", option]);
  runTool("apt-get", [...options, "update", "-qq"]);
  const debs = join(state, "debs");
  runTool("apt-get", [...options, "download", "-qq", ...names], debs);
  const newest = new Map<string, string>();
  for (const file of readdirSync(debs).sort()) newest.set(file.split("_")[0]!, join(debs, file));
  return names.map((name) => {
    const file = newest.get(name);
    if (file === undefined) throw new Error(`apt-get download gave no file for ${name}`);
    const folder = file.replace(/\.deb$/, "");
    if (!existsSync(folder)) runTool("dpkg-deb", ["-x", file, folder]);
    return folder;
  });
}

/** The files of the base layer and the packages that they are from. */
export function debianFiles(
  runtime: Runtime,
  architecture: Architecture,
  cache: string,
): { readonly entries: readonly Entry[]; readonly packages: readonly DebianPackage[] } {
  const names = [...LIBRARIES[runtime], "ca-certificates"];
  const folders = unpack(names, architecture, cache);
  const entries: Entry[] = [];
  folders.forEach((folder, index) => {
    if (names[index] === "ca-certificates") return;
    for (const file of filesBelow(folder)) {
      // Debian's root has its libraries below usr; packages of before that still say lib.
      const path = relative(folder, file).replace(/^(lib|lib64)\//, "usr/$1/");
      if (!WANTED.test(path) || UNWANTED.test(path)) continue;
      const link = (() => {
        try {
          return readlinkSync(file);
        } catch {
          return undefined;
        }
      })();
      if (link === undefined) {
        entries.push({ kind: "file", path, content: readFileSync(file), mode: statSync(file).mode & 0o755 });
      } else entries.push({ kind: "link", path, target: link.replace(/^\/(lib|lib64)\//, "/usr/$1/") });
    }
  });
  for (const [path, target] of [["lib", "usr/lib"], ["lib64", "usr/lib64"]] as const) {
    entries.push({ kind: "link", path, target });
  }
  const authorities = folders[names.indexOf("ca-certificates")]!;
  const bundle = filesBelow(join(authorities, "usr/share/ca-certificates")).filter((file) =>
    file.endsWith(".crt")
  )
    .sort().map((file) => readFileSync(file, "utf8").trimEnd()).join("\n");
  entries.push({
    kind: "file",
    path: "etc/ssl/certs/ca-certificates.crt",
    content: new TextEncoder().encode(`${bundle}\n`),
    mode: 0o644,
  });
  return {
    entries,
    packages: folders.map((folder) => {
      const [name, version] = folder.split("/").at(-1)!.split("_") as [string, string];
      return { name, version: decodeURIComponent(version) };
    }),
  };
}
