/**
 * Builds etcd and kube-apiserver, with `--node` also the other parts of a node, from the Go modules pinned beside this file,
 * once, into the user's cache. Needs Go 1.26; the first build takes about five minutes on two cores (`--node`: ten), later
 * calls return at once. `--api-server` builds nothing but an API server of before, or all of them.
 *
 * usage: build.ts [--node | --api-server VERSION|all]
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import {
  BINARIES,
  cacheFolder,
  KUBERNETES_VERSION,
  NODE_BINARIES,
  OLDER_VERSIONS,
  olderApiServer,
} from "./locate.ts";

const here = dirname(fileURLToPath(import.meta.url));

/** Builds a package of a module beside this file, unless it is built already. */
function build(path: string, module: string, source: string, kubernetesVersion: string): void {
  if (existsSync(path)) return;
  console.log(`building ${path}…`);
  mkdirSync(dirname(path), { recursive: true });
  const partial = `${path}.${process.pid}`;
  const [major, minor] = kubernetesVersion.split(".");
  const versionFlags = [`gitVersion=v${kubernetesVersion}`, `gitMajor=${major}`, `gitMinor=${minor}`]
    .map((flag) => `-X k8s.io/component-base/version.${flag}`).join(" ");
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

const { values } = parseArgs({ options: { node: { type: "boolean" }, "api-server": { type: "string" } } });
const older = values["api-server"];
if (older === undefined) {
  const wanted = values.node === true ? [...BINARIES, ...NODE_BINARIES] : BINARIES;
  for (const { name, module, source } of wanted) {
    build(join(cacheFolder(), name), module, source, KUBERNETES_VERSION);
  }
  console.log(cacheFolder());
} else {
  const versions = OLDER_VERSIONS.filter((version) => older === "all" || older === version);
  if (versions.length === 0) {
    throw new Error(`--api-server ${older}: give all, or one of ${OLDER_VERSIONS.join(", ")}`);
  }
  for (const version of versions) {
    const module = `kubernetes-${version.split(".").slice(0, 2).join(".")}`;
    build(olderApiServer(version), module, "k8s.io/kubernetes/cmd/kube-apiserver", version);
    console.log(olderApiServer(version));
  }
}
