/**
 * Builds etcd and kube-apiserver, with `--node` also the other parts of a node, from the Go modules pinned beside this file,
 * once, into the user's cache. Needs Go 1.26; the first build takes about five minutes on two cores (`--node`: ten), later
 * calls return at once.
 *
 * usage: build.ts [--node]
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { BINARIES, cacheFolder, KUBERNETES_VERSION, NODE_BINARIES } from "./locate.ts";

const here = dirname(fileURLToPath(import.meta.url));
const [, minor] = KUBERNETES_VERSION.split(".");
const versionFlags = ["gitVersion=v" + KUBERNETES_VERSION, "gitMajor=1", "gitMinor=" + minor]
  .map((flag) => `-X k8s.io/component-base/version.${flag}`).join(" ");

const target = cacheFolder();
mkdirSync(target, { recursive: true });
const wanted = process.argv.includes("--node") ? [...BINARIES, ...NODE_BINARIES] : BINARIES;
for (const { name, module, source } of wanted) {
  const path = join(target, name);
  if (existsSync(path)) continue;
  console.log(`building ${name}…`);
  const partial = `${path}.${process.pid}`;
  const args = [
    "build",
    "-mod=readonly",
    "-trimpath",
    "-ldflags",
    `-s -w ${versionFlags}`,
    "-o",
    partial,
    source,
  ];
  const built = spawnSync("go", args, { cwd: join(here, module), stdio: "inherit" });
  if (built.error !== undefined) throw new Error(`cannot run go: ${built.error.message}; Go 1.26 is needed`);
  if (built.status !== 0) throw new Error(`go build of ${source} failed with exit code ${built.status}`);
  renameSync(partial, path);
}
console.log(target);
