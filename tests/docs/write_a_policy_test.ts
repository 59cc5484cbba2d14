// The pages on writing a policy, each from an empty folder to a verdict: built, tested, pushed, served and asked.
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, symlinkSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import { freePort, REGISTRY_BINARY, startRegistry } from "../artifact/_registry.ts";
import { type PageSetting, runPage } from "./_page.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const cache = join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "portreeve");
/** Where tests/tools/build_opa.sh puts it. */
const PATH = `${process.env["PATH"]}:${join(cache, "bin")}`;
const has = (command: string) =>
  spawnSync("sh", ["-c", `command -v ${command}`], { env: { ...process.env, PATH } }).status === 0;
const withTarget = () =>
  spawnSync("rustc", ["--print", "target-libdir", "--target", "wasm32-wasip1"], { encoding: "utf8" }).stdout
    ?.trim();

interface Page {
  readonly name: string;
  /** How to get what is missing. */
  readonly missing: string | undefined;
  readonly setting?: PageSetting;
}

const userFolder = (name: string, folder: string) => process.env[name] ?? join(homedir(), folder);

const PAGES: readonly Page[] = [
  { name: "typescript", missing: undefined },
  { name: "assemblyscript", missing: undefined },
  { name: "rego", missing: has("opa") ? undefined : "tests/tools/build_opa.sh" },
  {
    name: "go",
    missing: has("go") ? undefined : "Go 1.24 or later, https://go.dev/dl",
    setting: { env: { GOCACHE: userFolder("GOCACHE", ".cache/go-build"), GOTOOLCHAIN: "local" } },
  },
  {
    name: "rust",
    missing: has("cargo") && existsSync(withTarget() || "/absent")
      ? undefined
      : "https://rustup.rs and rustup target add wasm32-wasip1",
    setting: {
      env: {
        CARGO_HOME: userFolder("CARGO_HOME", ".cargo"),
        RUSTUP_HOME: userFolder("RUSTUP_HOME", ".rustup"),
      },
      prepare: (folder) => {
        // The versions that the samples are built with; a reader gets the newest that Cargo.toml allows.
        copyFileSync(join(root, "policies/Cargo.lock"), join(folder, "Cargo.lock"));
        // What the policy depends on is compiled once for all runs.
        const target = join(cache, "docs-target");
        mkdirSync(target, { recursive: true });
        symlinkSync(target, join(folder, "target"));
      },
    },
  },
];

for (const { name, missing: toolchain, setting = {} } of PAGES) {
  const missing = REGISTRY_BINARY === undefined ? "apt-get install docker-registry" : toolchain;
  if (missing !== undefined) {
    test.skip(`docs/write/${name}.md (needs ${missing})`, () => {});
    continue;
  }
  test(`docs/write/${name}.md`, async () => {
    const registry = await startRegistry();
    try {
      await runPage(`docs/write/${name}.md`, {
        ...setting,
        instead: { "localhost:5000": registry.host, "3000": String(await freePort()) },
        searchPath: PATH,
      });
    } finally {
      await registry.stop();
    }
  });
}

test.run();
