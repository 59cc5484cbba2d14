/**
 * Builds everything that a release would publish, below one folder, and publishes nothing.
 *
 * usage: npm run release:check [-- [--out FOLDER] [--only PART]...]
 *   --out   default: release
 *   --only  package, executables, charts, images, bill (of materials, CycloneDX), changelog; repeatable. Checksums are always written.
 *
 * Exit code 1 when a part can't be built. What this machine lacks a tool for is such a part: a release is whole or none.
 */
import "../../program/check_script.ts";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { billOfMaterials, type Materials } from "../images/bill_of_materials.ts";
import { makeBundles } from "../images/bundle.ts";
import { changelog, LOG_FORMAT, parseLog } from "./changelog.ts";
import { checksums } from "./checksums.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const { version, devDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const CHECKSUMS = "SHA256SUMS";

/** What `reeve` is compiled for, in Bun's words, and what the file is called. */
export const EXECUTABLES: readonly (readonly [target: string, name: string])[] = [
  ["bun-linux-x64", "reeve-linux-x64"],
  ["bun-linux-arm64", "reeve-linux-arm64"],
  ["bun-darwin-x64", "reeve-macos-x64"],
  ["bun-darwin-arm64", "reeve-macos-arm64"],
  ["bun-windows-x64", "reeve-windows-x64.exe"],
  ["bun-windows-arm64", "reeve-windows-arm64.exe"],
];
const CHARTS = ["portreeve", "portreeve-crds", "portreeve-controller", "portreeve-defaults"];

/** A part can't be built; the message says why and what to do. */
class PartError extends Error {}

function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 256 * 1024 * 1024,
    env: { ...process.env, ...env },
  });
  if (error) throw new PartError(`${command} cannot be started: ${error.message}`);
  if (status === 0) return stdout;
  const last = `${stdout}${stderr}`.trim().split("\n").slice(-8).join("\n");
  throw new PartError(`${command} ${args.join(" ")} ended with code ${status}:\n${last}`);
}

/** Helm, as the charts' tests find it. */
function helm(): string {
  const cache = process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache");
  const built = join(cache, "portreeve", "bin", "helm");
  if (existsSync(built)) return built;
  if (spawnSync("helm", ["version"]).status === 0) return "helm";
  throw new PartError("charts are packed by helm: run tests/tools/build_helm.sh");
}

const PARTS: Readonly<Record<string, (out: string) => void>> = {
  package: (out) =>
    void run("npm", ["pack", "--silent", "--pack-destination", out], { PORTREEVE_RELEASE: version }),
  executables: (out) => {
    for (const [target, name] of EXECUTABLES) {
      run(process.execPath, ["build_executable.ts", "--target", target, join(out, name)]);
      const size = statSync(join(out, name)).size;
      if (size < 1024 * 1024) throw new PartError(`${name} has ${size} bytes: no runtime is in it`);
      if (target === `bun-${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`) {
        run(join(out, name), ["--version"]);
      }
    }
  },
  charts: (out) => {
    const program = helm();
    const home = mkdtempSync(join(tmpdir(), "release-helm-"));
    try {
      for (const chart of CHARTS) {
        run(program, ["package", join("deploy/helm", chart), "--destination", out], {
          HELM_CACHE_HOME: home,
          HELM_CONFIG_HOME: home,
          HELM_DATA_HOME: home,
        });
      }
    } finally {
      rmSync(home, { recursive: true, force: true });
    }
  },
  images: (out) => void run(process.execPath, ["deploy/images/build.ts", "--out", out]),
  bill: (out) => {
    const bundles = makeBundles();
    const write = (
      name: string,
      title: string,
      entries: readonly string[],
      runtime: Materials["runtime"],
    ) => {
      const npm = bundles.packagesOf(entries);
      const materials = { title, version, runtime, debian: [], npm, architecture: "any" };
      writeFileSync(join(out, name), billOfMaterials(materials));
    };
    const programs = ["policy_server", "controller", "audit", "reeve", "portreeve", "worker", "mod"];
    write("portreeve.cdx.json", "portreeve", programs.map((name) => `${name}.main.js`), undefined);
    write("reeve.cdx.json", "reeve", ["reeve.main.js", "worker.main.js"], {
      package: "bun",
      version: devDependencies.bun,
    });
  },
  changelog: (out) => {
    const tags = run("git", ["tag", "--merged", "HEAD", "--sort=-version:refname", "--list", "v*"]).split(
      "\n",
    );
    const since = tags.find((tag) => tag !== "" && tag !== `v${version}`);
    const range = since === undefined ? [] : [`${since}..HEAD`];
    const commits = parseLog(run("git", ["log", "--no-merges", "--name-only", LOG_FORMAT, ...range]));
    writeFileSync(join(out, "CHANGELOG.md"), changelog(version, since, commits));
  },
};
/** The folder of a part; what has none lies beside them. */
const FOLDERS: Readonly<Record<string, string>> = {
  executables: "executables",
  charts: "charts",
  images: "images",
};

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      out: { type: "string", default: join(root, "release") },
      only: { type: "string", multiple: true, default: Object.keys(PARTS) },
    },
  });
  const unknown = values.only.find((part) => !Object.hasOwn(PARTS, part));
  if (unknown !== undefined) {
    console.error(`Error: --only ${unknown}: expected one of ${Object.keys(PARTS).join(", ")}`);
    return 2;
  }
  const out = resolve(values.out);
  rmSync(out, { recursive: true, force: true });
  let failed = false;
  for (const part of values.only) {
    const folder = join(out, FOLDERS[part] ?? "");
    mkdirSync(folder, { recursive: true });
    const started = performance.now();
    try {
      PARTS[part]!(folder);
      console.log(`${part}: built in ${((performance.now() - started) / 1000).toFixed(0)} s`);
    } catch (error) {
      if (!(error instanceof PartError)) throw error;
      failed = true;
      console.error(`Error: ${part}: ${error.message}`);
    }
  }
  writeFileSync(join(out, CHECKSUMS), await checksums(out, CHECKSUMS));
  const count = readFileSync(join(out, CHECKSUMS), "utf8").split("\n").length - 1;
  console.log(`${count} files in ${out}; nothing was published`);
  return failed ? 1 : 0;
}

if (import.meta.main) process.exitCode = await main();
