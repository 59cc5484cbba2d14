/**
 * Runs a page of the docs as its reader does, in an empty folder. In the Markdown:
 *
 * - a block whose preceding line names a file (`` `suite.yml`, …: ``) is that file;
 * - a block of `sh` is run; the block of `text` behind it is what it prints, where `…` stands for anything;
 * - `sh background` goes on until the page ends, and is waited for until it says how it is stopped;
 * - `sh registry` starts the registry that the test has started already; `sh checkout` is for a whole checkout.
 */
import { spawn, type SpawnOptions } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import * as assert from "uvu/assert";
import { bundleFile } from "../programs.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const READY = "Stop     Ctrl-C";
/** A compiler may have to build everything. */
const LIMIT_MS = 840_000;

export interface Block {
  /** The words behind the fence. */
  readonly info: string;
  readonly text: string;
  /** The file that the line before it names. */
  readonly file: string | undefined;
}

/** The blocks of a page, in order. */
export function blocksOf(markdown: string): readonly Block[] {
  const lines = markdown.split("\n");
  const blocks: Block[] = [];
  let before = "";
  for (let at = 0; at < lines.length; at++) {
    const [, fence, info] = /^(`{3,})(.*)$/.exec(lines[at]!) ?? [];
    if (fence === undefined) {
      if (lines[at]!.trim() !== "") before = lines[at]!;
      continue;
    }
    const end = lines.indexOf(fence, at + 1);
    if (end < 0) throw new Error(`the block of line ${at + 1} does not end`);
    const named = /^(?:.*\s)?`([\w./-]+\.\w+)`[^`]*:$/.exec(before)?.[1];
    blocks.push({ info: info!.trim(), text: `${lines.slice(at + 1, end).join("\n")}\n`, file: named });
    before = "";
    at = end;
  }
  return blocks;
}

/** What a page needs besides the folder. */
export interface PageSetting {
  /** What stands in the page, and what is used here instead: ports, hosts. */
  readonly instead?: Readonly<Record<string, string>>;
  readonly env?: NodeJS.ProcessEnv;
  /** Where programs are looked for; the caller's `PATH` unless given. */
  readonly searchPath?: string | undefined;
  /** Called with the folder before anything is in it. */
  readonly prepare?: (folder: string) => void;
}

const escaped = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** Whether `printed` is `expected`, in which `…` stands for anything on a line. */
function assertPrinted(printed: string, expected: string, command: string): void {
  const pattern = expected.trim().split("…").map(escaped).join(".*");
  // deno-lint-ignore no-control-regex
  const plain = printed.replace(/\u001b\[[0-9;]*m/g, "").trim();
  assert.match(plain, new RegExp(`^${pattern}$`), `${command}printed:\n${plain}\n\nand not:\n${expected}`);
}

/** Programs that pages call, on the runtime that runs this. */
function programs(folder: string): string {
  const bin = join(folder, "bin");
  mkdirSync(bin);
  const script = (name: string, text: string) => {
    writeFileSync(join(bin, name), `#!/bin/sh\n${text}\n`);
    chmodSync(join(bin, name), 0o755);
  };
  const bundles = dirname(bundleFile("reeve"));
  for (const name of ["reeve", "portreeve"]) {
    script(name, `exec '${process.execPath}' '${bundles}/${name}.js' "$@"`);
  }
  return bin;
}

/**
 * `npm install` of a page, of the packages that it names or that the page's `package.json` does: they must be what is installed here,
 * and that is linked.
 */
function install(command: string, work: string): void {
  const devDependenciesOf = (folder: string) =>
    JSON.parse(readFileSync(join(folder, "package.json"), "utf8")).devDependencies as Record<string, string>;
  const installed = devDependenciesOf(root);
  const wanted = command === "npm install\n"
    ? Object.entries(devDependenciesOf(work))
    : [...command.matchAll(/ (@?[\w/-]+)@([\d.]+)/g)].map(([, name, version]) => [name!, version!] as const);
  for (const [name, version] of wanted) {
    assert.is(installed[name], version, `${name}: the page and package.json name the same version`);
  }
  symlinkSync(join(root, "node_modules"), join(work, "node_modules"));
}

/** Runs the page at `path` (from the repository's root). */
export async function runPage(path: string, setting: PageSetting = {}): Promise<void> {
  const { instead = {}, env = {}, searchPath = process.env["PATH"], prepare } = setting;
  const folder = mkdtempSync(join(tmpdir(), "docs-page-"));
  const work = join(folder, "work"), home = join(folder, "home");
  for (const made of [work, home]) mkdirSync(made);
  const options: SpawnOptions = {
    cwd: work,
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      PATH: `${programs(folder)}:${searchPath}`,
      HOME: home,
      NO_COLOR: "1",
      TMPDIR: folder,
      ...env,
    },
  };
  const background: (() => Promise<void>)[] = [];

  function run(command: string, until?: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const child = spawn("sh", ["-ec", until === undefined ? command : `exec ${command}`], options);
      let printed = "", errors = "";
      const fail = (why: string) => reject(new Error(`${path}: ${why}:\n${command}${printed}${errors}`));
      const limit = setTimeout(() => {
        child.kill("SIGKILL");
        fail("not done in time");
      }, LIMIT_MS);
      const closed = new Promise<void>((ended) =>
        child.once("close", (code) => {
          clearTimeout(limit);
          if (/^warning:/m.test(errors)) fail("printed a warning");
          else if (code === 0 && until === undefined) resolve(printed);
          else fail(`ended with code ${code}`);
          ended();
        })
      );
      child.stdout!.setEncoding("utf8").on("data", (text: string) => {
        printed += text;
        if (until === undefined || !printed.includes(until)) return;
        clearTimeout(limit);
        resolve(printed);
      });
      child.stderr!.setEncoding("utf8").on("data", (text: string) => errors += text);
      if (until !== undefined) {
        background.push(async () => {
          child.kill("SIGTERM");
          await closed;
        });
      }
    });
  }

  try {
    prepare?.(work);
    const used = (text: string) =>
      Object.entries(instead).reduce((result, [from, to]) => result.replaceAll(from, to), text);
    let printed: { readonly command: string; readonly text: string } | undefined;
    for (const { info, text: written, file } of blocksOf(readFileSync(join(root, path), "utf8"))) {
      const text = used(written);
      const last = printed;
      printed = undefined;
      if (file !== undefined) {
        mkdirSync(dirname(join(work, file)), { recursive: true });
        writeFileSync(join(work, file), text);
      } else if (info === "sh") {
        if (/^npm install\s/.test(text)) install(text, work);
        else printed = { command: text, text: await run(text) };
      } else if (info === "sh background") await run(text.trim(), READY);
      else if (info === "text" && last !== undefined) assertPrinted(last.text, text, last.command);
      else {assert.ok(
          ["sh registry", "sh checkout"].includes(info),
          `${path}: a block that is neither a file nor run: ${info}\n${text}`,
        );}
    }
  } finally {
    for (const stop of background) await stop();
    if (existsSync(join(work, "node_modules"))) rmSync(join(work, "node_modules"));
    rmSync(folder, { recursive: true, force: true });
  }
}
