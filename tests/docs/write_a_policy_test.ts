// The pages on writing a policy, each from an empty folder to a verdict: built, tested, pushed, served and asked.
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { newPolicyFiles, nextCommands } from "../../cli/render/new_policy/common.ts";
import { POLICY_LANGUAGES } from "../../cli/render/new_policy/languages.ts";
import { freePort, REGISTRY_BINARY, startRegistry } from "../artifact/_registry.ts";
import { blocksOf, type PageSetting, runPage } from "./_page.ts";

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

/** Files that a page needs only to serve the policy, and files of a new folder that the pages don't show. */
const SERVED = ["sources.yml", "policies.yml"];
const UNSHOWN = [".gitignore", "policy.test.ts", "tsconfig.json"];

test("`reeve new` writes what the pages show, and names the commands that they run", () => {
  const pages = { ts: "typescript", rust: "rust", rego: "rego", go: "go", as: "assemblyscript" };
  assert.equal([...POLICY_LANGUAGES.keys()], Object.keys(pages));
  const portreeve = { from: "^1.0.0", commands: [] };
  for (const [lang, page] of Object.entries(pages)) {
    const language = POLICY_LANGUAGES.get(lang)!;
    const markdown = readFileSync(join(root, `docs/write/${page}.md`), "utf8");
    const written = new Map(newPolicyFiles(language, { name: "owner-label", portreeve }));
    const shown = new Map(
      blocksOf(markdown).flatMap(({ file, text }) => file ? [[file, text] as const] : []),
    );
    for (const [file, text] of shown) {
      if (!SERVED.includes(file)) assert.is(written.get(file), text, `${page}: ${file}`);
    }
    // Portreeve itself comes from a registry, of which the page of TypeScript knows nothing.
    const unshown = page === "typescript" ? [...UNSHOWN, "package.json"] : UNSHOWN;
    const missing = [...written.keys()].filter((file) => !shown.has(file) && !unshown.includes(file));
    assert.equal(missing, [], page);
    if (page === "typescript") continue;
    for (const command of nextCommands(language, portreeve)) {
      assert.ok(markdown.includes(`\n${command}\n`), `${page}: ${command}`);
    }
  }
});

const GO = has("go");
(GO ? test : test.skip)(
  `a new policy in Go is built whatever its name${GO ? "" : " (needs Go, https://go.dev/dl)"}`,
  () => {
    const folder = mkdtempSync(join(tmpdir(), "go-names-"));
    try {
      for (const name of ["go", "toolchain", "fmt", "std", "cmd", "1st", "main"]) {
        const portreeve = { from: "^1.0.0", commands: [] };
        for (const [file, text] of newPolicyFiles(POLICY_LANGUAGES.get("go")!, { name, portreeve })) {
          writeFileSync(join(folder, file), text);
        }
        const { status, stderr } = spawnSync("go", ["vet", "."], {
          cwd: folder,
          encoding: "utf8",
          env: { ...process.env, PATH, GOTOOLCHAIN: "local" },
        });
        assert.is(status, 0, `${name}: ${stderr}`);
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
);

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
