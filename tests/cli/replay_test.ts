// All recorded command lines of the original, in their order, in one folder (`tests/vectors/cli`).
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseAllDocuments } from "../../deps.ts";
import { DELIBERATE } from "./deliberate_differences.ts";
import { reeve } from "./reeve.ts";

interface Recording {
  readonly args: readonly string[];
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
}

const vectors = fileURLToPath(new URL("../vectors/", import.meta.url));
const recordings = JSON.parse(readFileSync(join(vectors, "cli/cli.json"), "utf8")) as readonly Recording[];
const folder = mkdtempSync(join(tmpdir(), "reeve-replay-"));
const home = mkdtempSync(join(tmpdir(), "reeve-home-"));

/** A recorded text without the colours that 1.36 prints into pipes too. */
// deno-lint-ignore no-control-regex
const withoutColours = (text: string): string => text.replace(/\u001b\[[0-9;]*m/g, "");

/** Standard output as data: JSON lines, YAML, or a table's cells. */
function data(stdout: string, args: readonly string[]): unknown {
  // Borders and widths of tables are ours.
  if (args[0] === "inspect" && !args.includes("yaml")) {
    return withoutColours(stdout).split("\n").map((line) => line.trim().split(/\s+/).join(" "))
      .filter((line) => line !== "");
  }
  if (stdout.startsWith("{")) {
    return stdout.trimEnd().split(/\n(?=\{)/).map((line) => JSON.parse(line) as unknown);
  }
  const documents = [...parseAllDocuments(stdout)].map((document) => {
    for (const error of document.errors) throw error;
    return document.toJS() as unknown;
  });
  return JSON.parse(JSON.stringify(documents).replace(/"createdAt":"[^"]*"/, '"createdAt":"NOW"'));
}

/** The errors, without log lines and without the notes that only explain. */
function errors(stderr: string): string {
  const lines = withoutColours(stderr).split("\n").filter((line) =>
    !/^(TIME|\d{4}-\d\d-\d\dT\S+)\s+(TRACE|DEBUG|INFO|WARN|ERROR) /.test(line)
  );
  return lines.join("\n").replace(/\n+/g, "\n").trim();
}

test.before(() => {
  cpSync(join(vectors, "cli/files"), folder, { recursive: true });
  cpSync(join(vectors, "verdict-echo.wasm"), join(folder, "verdict-echo.wasm"));
  const crs = join(folder, "cap.yml");
  writeFileSync(crs, readFileSync(crs, "utf8").replaceAll("@W@", folder));
});
test.after(() => {
  for (const path of [folder, home]) rmSync(path, { recursive: true, force: true });
});

const here = (text: string) => text.replaceAll("@W@", folder).replaceAll("@HOME@", home);

for (const [index, { args, exit, stdout, stderr }] of recordings.entries()) {
  const name = `${index}: ${args.join(" ")}`;
  test(name, async () => {
    const result = await reeve(args.map(here), { cwd: folder, home, program: "kwctl" });
    const difference = DELIBERATE[args.join(" ")];
    const wanted = { exit, stdout: here(stdout), ...difference?.instead };
    const wantedErrors = difference?.instead.stderr ?? here(stderr);
    assert.is(result.exit, wanted.exit, `${name}: exit code; ${result.stderr}`);
    assert.equal(data(result.stdout, args), data(wanted.stdout, args), name);
    // Usage texts are ours; what is wrong is named alike.
    if (wantedErrors instanceof RegExp) assert.match(errors(result.stderr), wantedErrors);
    else if (wanted.exit === 2) {
      assert.is(errors(result.stderr).split("\n")[0], errors(wantedErrors).split("\n")[0], name);
    } else assert.is(errors(result.stderr), errors(wantedErrors), name);
  });
}

test("every deliberate difference belongs to a recording, and is one", () => {
  for (const [args, { instead, reason }] of Object.entries(DELIBERATE)) {
    const recording = recordings.find((one) => one.args.join(" ") === args);
    assert.ok(recording, `no recording of: ${args}`);
    assert.ok(reason.length > 20);
    assert.ok(
      Object.entries(instead).some(([field, value]) => recording![field as keyof Recording] !== value),
      args,
    );
  }
});

test.run();
