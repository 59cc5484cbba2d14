/** Checks an author's types with the compiler that is installed beside the policy. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { PolicyBuildError } from "../types/build_error.ts";
import { SDK } from "./bundle.ts";
import { findPackage } from "./installed_package.ts";
import { typesUrl } from "./own_files.ts";

/** No more errors are listed. */
const MAX_ERRORS = 50;

/** What a policy has besides JavaScript. */
const GLOBALS = `type Logged = (...values: unknown[]) => void;
declare const console: { trace: Logged; debug: Logged; log: Logged; info: Logged; warn: Logged; error: Logged };
`;

/** What a policy is compiled with, whatever else the folder has: there is neither Node nor a browser where it runs. */
const HERE = { lib: ["es2023"], types: [], noEmit: true, skipLibCheck: true };

/** The compiler's configuration: that of the policy's folder where there is one (`own`), or else a strict one. */
function configuration(file: string, globals: string, own: string | undefined): string {
  return JSON.stringify(
    own === undefined
      ? {
        compilerOptions: {
          ...HERE,
          target: "es2023",
          module: "preserve",
          moduleResolution: "bundler",
          allowImportingTsExtensions: true,
          resolveJsonModule: true,
          strict: true,
          paths: { [SDK]: [fileURLToPath(typesUrl())] },
        },
        files: [file, globals],
      }
      : {
        extends: own,
        // Files that nobody lists are imported ones, which these two would refuse.
        compilerOptions: { ...HERE, composite: false, incremental: false },
        files: [file, globals],
        include: [join(dirname(own), "**/*.d.ts")],
        exclude: [join(dirname(own), "node_modules")],
      },
  );
}

function runCompiler(compiler: string, config: string, folder: string, signal: AbortSignal): Promise<string> {
  return new Promise((done, fail) => {
    const child = spawn(process.execPath, [
      join(compiler, "bin/tsc"),
      "--pretty",
      "false",
      "-p",
      config,
    ], {
      cwd: folder,
      signal,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let said = "";
    for (const output of [child.stdout, child.stderr]) {
      output.setEncoding("utf8").on("data", (piece: string) => void (said += piece));
    }
    child.on("error", fail);
    child.on("close", (code) => {
      if (code === 0) done("");
      else done(said.trim() === "" ? `tsc ended with code ${code}` : said);
    });
  });
}

/** `policy.ts(3,5): error TS2322: …` as `policy.ts:3:5: …`. */
const shown = (line: string) => line.replace(/^(.+?)\((\d+),(\d+)\): error (TS\d+): /, "$1:$2:$3: $4: ");

/**
 * Checks the types of `file` and of what it imports, by the `tsconfig.json` beside it or else strictly, as a policy sees the world.
 * Returns false when there is no compiler to do so. Throws {@link PolicyBuildError} with the compiler's words.
 */
export async function checkTypes(file: string, signal: AbortSignal): Promise<boolean> {
  const folder = dirname(file);
  const compiler = findPackage("typescript", folder);
  if (compiler === undefined) return false;
  const own = join(folder, "tsconfig.json");
  const temporary = await mkdtemp(join(tmpdir(), "portreeve-types-"));
  let said: string;
  try {
    const [config, globals] = ["tsconfig.json", "globals.d.ts"].map((name) => join(temporary, name));
    await writeFile(globals!, GLOBALS);
    await writeFile(config!, configuration(file, globals!, existsSync(own) ? own : undefined));
    said = await runCompiler(compiler, config!, folder, signal);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
  if (said === "") return true;
  const lines = said.trimEnd().split("\n").map(shown);
  const more = lines.length > MAX_ERRORS ? [`… and ${lines.length - MAX_ERRORS} more lines`] : [];
  throw new PolicyBuildError(
    [`${basename(file)} has errors in its types:`, ...lines.slice(0, MAX_ERRORS), ...more].join("\n"),
  );
}
