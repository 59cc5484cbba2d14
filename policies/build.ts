/**
 * Builds every policy of this repository, samples (`policies/`) and those that only tests use (`tests/policies/`), from
 * source: a folder with a metadata.yml holds what becomes `policy.wasm`, a Rust crate, a Go module, a `policy.ts` of TypeScript
 * or (for Extism) AssemblyScript, or a `policy.js` for Javy, or Wasm texts `NAME.wat` or Rego modules `NAME.rego` (in the language's
 * old version: `NAME.v0.rego`), which become `NAME.wasm`, or several of these.
 *
 * Crates are optimised for size; every module carries the metadata; `policies/digests.json` lists their sha256. The
 * files are committed, so only someone who changes a policy needs the toolchains of Rust and Go, for Rego the `opa` that
 * tests/tools/build_opa.sh builds, or for JavaScript what tests/tools/build_javy.sh builds.
 *
 * usage: npm run build:policies [-- [--check-only OUTDIR] [FOLDER ...]]
 *
 * `--check-only` writes the same tree below OUTDIR and leaves the committed files alone. The bytes may differ from the
 * committed ones (another compiler, another folder); what must agree is how both answer their suites. FOLDERs
 * (`policies/NAME`, `tests/policies/NAME`) are the only ones to be built.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  globSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { basename, delimiter, dirname, join, relative, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { gunzipSync } from "node:zlib";
import { build as bundle } from "esbuild";
import { parseDocument } from "../deps.ts";
import { withCustomSection } from "../evaluator/render/custom_section.ts";
import { buildPolicy } from "../typescript/apply/build_policy.ts";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const workspace = join(root, "policies");
const target = "wasm32-wasip1";
const metadataSection = "io.kubewarden.metadata";

/** What rustc uses for this target; wasm-opt must neither reject it nor bring in anything a runtime may lack. */
const rustFeatures = [
  "bulk-memory",
  "bulk-memory-opt",
  "call-indirect-overlong",
  "multivalue",
  "mutable-globals",
  "nontrapping-float-to-int",
  "reference-types",
  "sign-ext",
];
const textFeatures = [
  "bulk-memory",
  "bulk-memory-opt",
  "exception-handling",
  "multivalue",
  "mutable-globals",
  "reference-types",
  "sign-ext",
  "tail-call",
];

/** Field order of the embedded metadata (spec/evaluator.md §9). */
const metadataFields = [
  "protocolVersion",
  "rules",
  "annotations",
  "mutating",
  "backgroundAudit",
  "executionMode",
  "policyType",
  "contextAwareResources",
  "hostCapabilities",
  "minimumKubewardenVersion",
];

const { values: { "check-only": checkOnly }, positionals: chosen } = parseArgs({
  options: { "check-only": { type: "string" } },
  allowPositionals: true,
});
const outRoot = checkOnly === undefined ? root : resolve(checkOnly);
const cargoHome = process.env.CARGO_HOME ?? join(homedir(), ".cargo");
/** Where cargo builds; CI keeps it between checkouts. */
const targetFolder = resolve(process.env.CARGO_TARGET_DIR ?? join(workspace, "target"));
/** Where tests/tools/ builds. */
const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "portreeve");
const rustupHome = process.env.RUSTUP_HOME ?? join(homedir(), ".rustup");

const all = globSync(["policies/*/metadata.yml", "tests/policies/*/metadata.yml"], { cwd: root }).map(dirname)
  .sort();
const named = chosen.map((name) => name.replace(/\/$/, ""));
const unknown = named.filter((folder) => !all.includes(folder));
if (unknown.length > 0) throw new Error(`no policy is in ${unknown.join(", ")}`);
const folders = named.length === 0 ? all : named;
const digestsFile = join(outRoot, "policies/digests.json");
const digests: Record<string, string> = named.length > 0 && existsSync(digestsFile)
  ? JSON.parse(readFileSync(digestsFile, "utf8"))
  : {};
const queue = folders.flatMap(sources);
if (queue.some(({ from }) => from === "crate")) await buildCrates();
await Promise.all([1, 2].map(async () => {
  for (let source = queue.shift(); source !== undefined; source = queue.shift()) {
    const file = join(source.folder, source.wasm);
    const wasm = withCustomSection(await code(source), metadataSection, metadata(source.folder));
    refuseMachinePaths(file, wasm);
    mkdirSync(join(outRoot, source.folder), { recursive: true });
    writeFileSync(join(outRoot, file), wasm);
    digests[file] = createHash("sha256").update(wasm).digest("hex");
    console.log(`${file}: ${wasm.length} bytes`);
  }
}));
const sorted = Object.fromEntries(Object.entries(digests).sort());
mkdirSync(dirname(digestsFile), { recursive: true });
writeFileSync(digestsFile, JSON.stringify(sorted, null, 2) + "\n");

/**
 * All crates at once: cargo unites the features of their dependencies, so one by one would give other binaries. Those of
 * Extism's kit are kept apart, they would make all others larger.
 */
async function buildCrates(): Promise<void> {
  const link = checkoutLink();
  const manifest = ["--manifest-path", join(link, "policies/Cargo.toml")];
  // Fetched first, so that the folders of the registries are there to be mapped.
  await run("cargo", ["fetch", ...manifest, "--locked", "--target", target], {});
  const registries = join(cargoHome, "registry/src");
  // rustc takes the last mapping that matches, so the folders come before what lies in them.
  const mappings = [
    [rustupHome, "/rustup"],
    [cargoHome, "/cargo"],
    ...(existsSync(registries) ? readdirSync(registries) : []).map((
      name,
    ) => [join(registries, name), "/cargo"]),
    [link, "/portreeve"],
  ];
  for (const crates of [["--workspace", "--exclude", "extism-rust"], ["--package", "extism-rust"]]) {
    await run("cargo", ["build", ...manifest, "--release", "--locked", ...crates, "--target", target], {
      CARGO_ENCODED_RUSTFLAGS: mappings.map(([from, to]) => `--remap-path-prefix=${from}=${to}`).join("\x1f"),
      CARGO_TARGET_DIR: targetFolder,
    });
  }
}

/**
 * The checkout under a name that is the same for all checkouts that share a target folder: flags and paths that differ would
 * make cargo build all dependencies anew.
 */
function checkoutLink(): string {
  const link = join(targetFolder, "checkout");
  mkdirSync(targetFolder, { recursive: true });
  const before = lstatSync(link, { throwIfNoEntry: false }) && readlinkSync(link);
  if (before === root) return link;
  rmSync(link, { force: true });
  symlinkSync(root, link);
  // Cargo goes by times: files of this checkout may be older than what was built of another one.
  const now = new Date();
  const crates = all.filter((folder) => existsSync(join(root, folder, "Cargo.toml")));
  for (const folder of crates) {
    for (const file of globSync(["Cargo.toml", "src/**/*.rs"], { cwd: join(root, folder) })) {
      utimesSync(join(root, folder, file), now, now);
    }
  }
  return link;
}

type Source = {
  readonly folder: string;
  readonly wasm: string;
  readonly from: "crate" | "go" | "typescript" | "assemblyscript" | "javascript" | "text" | "rego";
  readonly path: string;
};

function sources(folder: string): Source[] {
  const texts = globSync("*.wat", { cwd: join(root, folder) }).sort().map((text): Source => ({
    folder,
    wasm: text.replace(/wat$/, "wasm"),
    from: "text",
    path: join(root, folder, text),
  }));
  const modules = globSync("*.rego", { cwd: join(root, folder) }).sort().map((module): Source => ({
    folder,
    wasm: module.replace(/(\.v0)?\.rego$/, ".wasm"),
    from: "rego",
    path: join(folder, module),
  }));
  const others = [...texts, ...modules];
  const has = (file: string) => existsSync(join(root, folder, file));
  const policy = { folder, wasm: "policy.wasm" };
  if (has("go.mod")) return [{ ...policy, from: "go", path: join(root, folder) }, ...others];
  if (has("policy.ts")) {
    // AssemblyScript looks like it, and makes plug-ins of Extism.
    const { executionMode } = JSON.parse(new TextDecoder().decode(metadata(folder)));
    const from = executionMode === "extism" ? "assemblyscript" : "typescript";
    return [{ ...policy, from, path: join(root, folder, "policy.ts") }, ...others];
  }
  if (has("policy.js")) {
    return [{ ...policy, from: "javascript", path: join(root, folder, "policy.js") }, ...others];
  }
  if (!has("Cargo.toml")) return others;
  // A program keeps its crate's name, a library doesn't.
  const crate = has("src/main.rs") ? basename(folder) : basename(folder).replaceAll("-", "_");
  const built = join(targetFolder, target, "release", `${crate}.wasm`);
  return [{ ...policy, from: "crate", path: built }, ...others];
}

async function code({ folder, wasm, from, path }: Source): Promise<Uint8Array> {
  const built = join(targetFolder, "optimised", `${basename(folder)}.${wasm}`);
  mkdirSync(dirname(built), { recursive: true });
  switch (from) {
    case "rego":
      return await rego(folder, path);
    case "typescript":
      return (await buildPolicy(path, console.log)).module;
    case "crate":
      await tool("wasm-opt", ["-Oz", ...rustFeatures.map((name) => `--enable-${name}`), path, "-o", built]);
      break;
    case "go":
      // wasm-opt takes a minute for 2% of the size.
      await run(
        "go",
        ["build", "-C", path, "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", built, "."],
        { GOOS: "wasip1", GOARCH: "wasm", GOTOOLCHAIN: "local" },
      );
      break;
    case "assemblyscript":
      // What is never freed is given back after each call, together with the rest of the memory.
      await tool("asc", [
        ...[relative(root, path), "--baseDir", root, "--outFile", relative(root, built)],
        ...["--transform", "json-as", "--optimize", "--runtime", "stub", "--disableWarning"],
      ]);
      break;
    case "javascript": {
      const script = `${built}.js`;
      const alias = { "kubewarden-policy-sdk": join(dirname(path), "sdk.js") };
      await bundle({ entryPoints: [path], bundle: true, format: "esm", alias, outfile: script });
      await run(fromJavy("bin/portreeve-javy"), ["build", fromJavy("javy/plugin.wasm"), script, built], {
        WASM_OPT: join(root, "node_modules/.bin/wasm-opt"),
      });
      break;
    }
    case "text":
      // Text is there to exercise single instructions: assembled as it is, not optimised.
      await tool("wasm-as", [...textFeatures.map((name) => `--enable-${name}`), path, "-o", built]);
  }
  return readFileSync(built);
}

/** Compiles a Rego module: entry point `main` of its package, or for Gatekeeper `violation`. */
async function rego(folder: string, path: string): Promise<Uint8Array> {
  const text = readFileSync(join(root, path), "utf8");
  const name = /^package ([\w.]+)$/m.exec(text)?.[1];
  if (name === undefined) throw new Error(`${path}: no package`);
  const { executionMode } = JSON.parse(new TextDecoder().decode(metadata(folder)));
  const rule = executionMode === "gatekeeper" ? "violation" : "main";
  const bundle = join(targetFolder, "optimised", `${basename(folder)}.${basename(path)}.tar.gz`);
  const old = path.endsWith(".v0.rego") ? ["--v0-compatible"] : [];
  // From the repository's root, so that the module names its source by a relative path.
  const args = [
    "build",
    "-t",
    "wasm",
    "-e",
    `${name.replaceAll(".", "/")}/${rule}`,
    ...old,
    "-o",
    bundle,
    path,
  ];
  await run(opa(), args, {}, root);
  return bundled(gunzipSync(readFileSync(bundle)), "/policy.wasm");
}

/** OPA's binary: on the path, or where tests/tools/build_opa.sh puts it. */
function opa(): string {
  const folders = [...(process.env.PATH ?? "").split(delimiter), join(cache, "bin")];
  const found = folders.map((path) => join(path, "opa")).find(existsSync);
  if (found === undefined) throw new Error("Rego policies need `opa`: run tests/tools/build_opa.sh");
  return found;
}

/** A file that tests/tools/build_javy.sh builds. */
function fromJavy(name: string): string {
  const file = join(cache, name);
  if (!existsSync(file)) {
    throw new Error("policies in JavaScript need Javy: run tests/tools/build_javy.sh");
  }
  return file;
}

/** A file of a tar archive. */
function bundled(archive: Buffer, wanted: string): Uint8Array {
  const field = (at: number, length: number) =>
    archive.subarray(at, at + length).toString("latin1").replace(/\0.*/, "").trim();
  for (let at = 0; at + 512 <= archive.length && archive[at] !== 0;) {
    const size = parseInt(field(at + 124, 12), 8);
    if (field(at, 100) === wanted) return new Uint8Array(archive.subarray(at + 512, at + 512 + size));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  throw new Error(`the bundle holds no ${wanted}`);
}

/** The content of the metadata section: metadata.yml as compact JSON, completed with the defaults that are always written. */
function metadata(folder: string): Uint8Array {
  const file = join(folder, "metadata.yml");
  const document = parseDocument(readFileSync(join(root, file), "utf8"));
  if (document.errors.length > 0) throw new Error(`${file}: ${document.errors[0]!.message}`);
  const written: Record<string, unknown> = document.toJS();
  const unknown = Object.keys(written).filter((key) => !metadataFields.includes(key));
  if (unknown.length > 0) throw new Error(`${file}: unknown field ${unknown.join(", ")}`);
  const complete: Record<string, unknown> = {
    protocolVersion: "v1",
    backgroundAudit: true,
    executionMode: "kubewarden-wapc",
    policyType: "kubernetes",
    contextAwareResources: [],
    ...written,
  };
  const ordered = metadataFields.filter((key) => key in complete).map((key) => [key, complete[key]]);
  return new TextEncoder().encode(JSON.stringify(Object.fromEntries(ordered)));
}

/** A binary that names folders of the machine it was built on says more than it should and differs on every machine. */
function refuseMachinePaths(file: string, wasm: Uint8Array): void {
  const bytes = Buffer.from(wasm.buffer, wasm.byteOffset, wasm.length);
  const found = ["/root", "/home", "/Users", homedir(), root, cargoHome, rustupHome].find((path) =>
    path.length > 1 && bytes.includes(path)
  );
  if (found === undefined) return;
  const at = bytes.indexOf(found);
  const context = bytes.subarray(at, at + 100).toString("latin1").replace(/[^\x20-\x7e]/g, ".");
  throw new Error(`${file} holds a path of this machine: ${context}`);
}

function tool(name: "asc" | "wasm-as" | "wasm-opt", args: readonly string[]): Promise<void> {
  return run(process.execPath, [join(root, "node_modules/.bin", name), ...args], {});
}

function run(
  command: string,
  args: readonly string[],
  env: Record<string, string>,
  cwd = workspace,
): Promise<void> {
  return new Promise((done, fail) => {
    const child = spawn(command, args, {
      cwd,
      stdio: "inherit",
      env: { ...process.env, ...env },
    });
    child.on("error", (error) =>
      fail(
        new Error(
          `cannot run ${command}: ${error.message} (policies need Go, and Rust: rustup target add ${target})`,
        ),
      ));
    child.on("close", (status) => {
      if (status === 0) done();
      else fail(new Error(`${relative(root, command)} ${args.join(" ")} ended with ${status}`));
    });
  });
}
