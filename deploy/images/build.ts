/**
 * Builds the images: for each component and runtime an OCI layout that holds one image for each architecture. It needs npm,
 * apt and binutils, no Docker. The same commit and packages give the same digests.
 *
 * usage: build.ts [--component NAME]... [--runtime node|bun]... [--arch amd64|arm64]... [--out DIR] [--registry PREFIX]
 *                 [--rootfs DIR]
 *   --out       one folder below DIR for each image, default dist/images
 *   --registry  what the images' names begin with, default ghcr.io/portreeve
 *   --rootfs    writes the files of one image into DIR instead (see Dockerfile)
 *   --print-program  prints the path of the first component's program in its image, and builds nothing
 */
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { billOfMaterials } from "./bill_of_materials.ts";
import { type Bundles, makeBundles, repository } from "./bundle.ts";
import {
  type Architecture,
  ARCHITECTURES,
  type Component,
  COMPONENTS,
  type Runtime,
  RUNTIMES,
  USER,
} from "./components.ts";
import { debianFiles } from "./debian.ts";
import { createLayer, type Entry, type Layer } from "./layer.ts";
import { type Image, writeLayout } from "./oci_layout.ts";
import { RUNTIME_PATH, runtimeProgram } from "./runtime.ts";
import { runTool } from "./run_tool.ts";

const { version, devDependencies } = JSON.parse(readFileSync(join(repository, "package.json"), "utf8"));
const cache = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "portreeve", "images");
const text = (content: string) => new TextEncoder().encode(content);

/** The commit that is built, and its time in seconds since 1970: the same for everybody who builds it. */
function provenance(): { readonly revision: string; readonly seconds: number } {
  const [revision = "unknown", seconds = "0"] = (() => {
    try {
      return runTool("git", ["log", "-1", "--format=%H %ct"], repository).trim().split(" ");
    } catch {
      // An archive of the sources has no history.
      return [];
    }
  })();
  return { revision, seconds: Number(process.env["SOURCE_DATE_EPOCH"] ?? seconds) };
}

/** The layers below the program's: the system's libraries, and the runtime. Shared by all images of a runtime. */
function baseFiles(runtime: Runtime, architecture: Architecture) {
  mkdirSync(cache, { recursive: true });
  const debian = debianFiles(runtime, architecture, cache);
  const program = runtimeProgram(runtime, devDependencies[runtime], architecture, cache);
  const system: Entry[] = [
    ...debian.entries,
    { kind: "folder", path: "tmp", mode: 0o1777 },
    {
      kind: "file",
      path: "etc/passwd",
      mode: 0o644,
      content: text(`portreeve:x:${USER}:${USER}:portreeve:/tmp:/sbin/nologin\n`),
    },
    { kind: "file", path: "etc/group", mode: 0o644, content: text(`portreeve:x:${USER}:\n`) },
  ];
  const binary: Entry[] = [
    { kind: "file", path: RUNTIME_PATH[runtime].slice(1), mode: 0o755, content: program.content },
  ];
  return { system, binary, debian: debian.packages, program };
}

/** The layer of a program: a file by the program's own name that the kernel starts with the runtime, and the bundles. */
function programFiles(component: Component, runtime: Runtime, bundles: Bundles, materials: string): Entry[] {
  const { path, bundles: entries } = COMPONENTS[component];
  const folder = "usr/lib/portreeve";
  const files = [...bundles.filesOf(entries)].map(([name, content]): Entry => ({
    kind: "file",
    path: `${folder}/${name}`,
    mode: 0o644,
    content,
  }));
  return [
    ...files,
    { kind: "file", path: "package.json", mode: 0o644, content: text('{"type":"module"}\n') },
    { kind: "file", path: `${folder}/package.json`, mode: 0o644, content: text('{"type":"module"}\n') },
    {
      kind: "file",
      path: path.slice(1),
      mode: 0o755,
      content: text(`#!${RUNTIME_PATH[runtime]}\nimport "/${folder}/${entries[0]}";\n`),
    },
    { kind: "file", path: "usr/share/sbom/portreeve.cdx.json", mode: 0o644, content: text(materials) },
  ];
}

type Made = {
  readonly files: readonly (readonly Entry[])[];
  readonly labels: { readonly [name: string]: string };
};

function make(component: Component, runtime: Runtime, architecture: Architecture, bundles: Bundles): Made {
  const { title, bundles: entries } = COMPONENTS[component];
  const { system, binary, debian, program } = baseFiles(runtime, architecture);
  const { revision, seconds } = provenance();
  const materials = billOfMaterials({
    title,
    version,
    runtime: program,
    debian,
    npm: bundles.packagesOf(entries),
    architecture,
  });
  return {
    files: [system, binary, programFiles(component, runtime, bundles, materials)],
    labels: {
      "org.opencontainers.image.title": title,
      "org.opencontainers.image.version": version,
      "org.opencontainers.image.revision": revision,
      "org.opencontainers.image.created": new Date(seconds * 1000).toISOString(),
      "org.opencontainers.image.licenses": "Apache-2.0",
      "dev.portreeve.runtime": `${runtime} ${program.version}`,
      "dev.portreeve.sbom": "/usr/share/sbom/portreeve.cdx.json",
    },
  };
}

/** Compressing a runtime takes seconds, and four components share it. */
const layers = new Map<string, Promise<Layer>>();
function sharedLayer(key: string, entries: readonly Entry[]): Promise<Layer> {
  const known = layers.get(key);
  if (known !== undefined) return known;
  const layer = createLayer(entries);
  layers.set(key, layer);
  return layer;
}

async function imageOf(
  component: Component,
  runtime: Runtime,
  architecture: Architecture,
  bundles: Bundles,
): Promise<Image> {
  const { files, labels } = make(component, runtime, architecture, bundles);
  const { path, nodeOptions, bunEnvironment = {} } = COMPONENTS[component];
  const [system, binary, program] = files as readonly [readonly Entry[], readonly Entry[], readonly Entry[]];
  return {
    architecture,
    layers: [
      await sharedLayer(`${runtime} ${architecture} system`, system),
      await sharedLayer(`${runtime} ${architecture} runtime`, binary),
      await createLayer(program),
    ],
    annotations: labels,
    config: {
      User: `${USER}:${USER}`,
      WorkingDir: "/tmp",
      Entrypoint: [path],
      Env: [
        "PATH=/usr/local/bin",
        "HOME=/tmp",
        "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
        ...(runtime === "node" && nodeOptions.length > 0 ? [`NODE_OPTIONS=${nodeOptions.join(" ")}`] : []),
        ...(runtime === "bun"
          ? Object.entries(bunEnvironment).map(([name, value]) => `${name}=${value}`)
          : []),
      ],
      Labels: labels,
    },
  };
}

function writeRootfs(folder: string, entries: readonly Entry[]): void {
  for (const entry of entries) {
    const path = join(folder, entry.path);
    mkdirSync(dirname(path), { recursive: true });
    if (entry.kind === "file") writeFileSync(path, entry.content, { mode: entry.mode });
    else if (entry.kind === "folder") mkdirSync(path, { recursive: true, mode: entry.mode });
    else symlinkSync(entry.target, path);
  }
}

const chosen = <T extends string>(
  given: readonly string[] | undefined,
  all: readonly T[],
  what: string,
): readonly T[] => {
  const unknown = (given ?? []).find((name) => !all.includes(name as T));
  if (unknown !== undefined) throw new Error(`there is no ${what} "${unknown}"; there are ${all.join(", ")}`);
  return (given ?? all) as readonly T[];
};

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      component: { type: "string", multiple: true },
      runtime: { type: "string", multiple: true },
      arch: { type: "string", multiple: true },
      out: { type: "string", default: join(repository, "dist", "images") },
      registry: { type: "string", default: "ghcr.io/portreeve" },
      rootfs: { type: "string" },
      "print-program": { type: "boolean", default: false },
    },
  });
  const components = chosen(values.component, Object.keys(COMPONENTS) as Component[], "component");
  const runtimes = chosen(values.runtime, RUNTIMES, "runtime");
  const architectures = chosen(values.arch, ARCHITECTURES, "architecture");
  if (values["print-program"]) return console.log(COMPONENTS[components[0]!].path);
  const bundles = makeBundles();
  if (values.rootfs !== undefined) {
    const { files } = make(components[0]!, runtimes[0]!, architectures[0]!, bundles);
    writeRootfs(resolve(values.rootfs), files.flat());
    return;
  }
  const created = new Date(provenance().seconds * 1000).toISOString();
  for (const runtime of runtimes) {
    for (const component of components) {
      const images: Image[] = [];
      for (const architecture of architectures) {
        images.push(await imageOf(component, runtime, architecture, bundles));
      }
      const reference = `${values.registry}/${component}:v${version}${
        runtime === "node" ? "" : `-${runtime}`
      }`;
      const folder = join(resolve(values.out), `${component}-${runtime}`);
      rmSync(folder, { recursive: true, force: true });
      const digest = writeLayout(folder, reference, images, created);
      const sizes = images.map(({ architecture, layers }) => {
        const mb = (bytes: number) => (bytes / 1e6).toFixed(1);
        const sum = (of: (layer: Layer) => number) => layers.reduce((total, layer) => total + of(layer), 0);
        return `${architecture} ${mb(sum(({ size }) => size))} MB (${
          mb(sum(({ bytes }) => bytes.length))
        } compressed)`;
      });
      console.log(`${reference}  ${digest}  ${sizes.join(", ")}`);
    }
  }
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
