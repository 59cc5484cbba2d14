/** What `npm run bench` understands, and that bad input ends it with one line before anything is measured. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseOptions } from "../../bench/types/options.ts";
import { run } from "./_command.ts";
import { COLD_START_ROW } from "./_sample.ts";

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");

test("every command of the pages is understood", () => {
  for (const page of ["bench/README.md", "docs/benchmarks.md"]) {
    const lines = read(page).replace(/\\\n/g, " ").match(/^(?: {4})?npm run bench(?: -- .*)?$/gm) ?? [];
    assert.ok(lines.length > 0, page);
    for (const line of lines) {
      const words = line.replace(/ +#.*$/, "").trim().split(/\s+/).slice(4);
      assert.not.throws(() => parseOptions(words), undefined, line);
    }
  }
});

test("each of our servers is started once for each number of workers, floors and URLs once", () => {
  const { subjects } = parseOptions([
    ...["--subjects", "floor-node,node,bun", "--workers", "1,2,2", "--url", "https://127.0.0.1:1"],
  ]);
  assert.equal(subjects.map(({ name, workers }) => [name, workers]), [
    ["floor-node", null],
    ["node", 1],
    ["node", 2],
    ["bun", 1],
    ["bun", 2],
    ["https://127.0.0.1:1", null],
  ]);
  assert.equal(parseOptions(["--subjects", "node"]).subjects, [{ name: "node", workers: null }]);
});

test("the original is measured too, once if it is given as a URL as well, with a slash or not; alone where no subject is named", () => {
  const url = "https://127.0.0.1:1";
  const { subjects, original } = parseOptions(["--subjects", "", "--original", `${url}/`, "--url", url]);
  assert.equal(subjects, [{ name: url, workers: null }]);
  assert.is(original, url);
});

/** What is given, and what the error says. */
const REFUSED: readonly (readonly [args: readonly string[], error: string])[] = [
  [
    ["--subjects", "deno"],
    "--subjects: deno is none of floor-node, node, floor-bun, floor-bun-serve, bun",
  ],
  [["--subjects", "node,constructor"], "--subjects: constructor is none of floor-node"],
  [["--subjects", ","], "--subjects: nothing is named"],
  [["--workers", "0"], '--workers: "0" is not a whole number from 1 to 64'],
  [["--workers", "1,65"], '--workers: "65" is not a whole number from 1 to 64'],
  [["--workers", "two"], '--workers: "two" is not a whole number from 1 to 64'],
  [["--workers", "1.5"], '--workers: "1.5" is not a whole number from 1 to 64'],
  [["--workers=-1"], '--workers: "-1" is not a whole number from 1 to 64'],
  [["--workers", ""], "--workers: nothing is named"],
  [["--workers", "1", "--server-flags=--workers 2"], "--workers is given twice"],
  [["--workers", "1", "--server-flags=--log-level error --workers=2"], "--workers is given twice"],
  [["--connections", "0"], '--connections: "0" is not a whole number from 1 to 10000'],
  [["--rounds", "1001"], '--rounds: "1001" is not a whole number from 1 to 1000'],
  [["--duration", "0.5"], '--duration: "0.5" is not a whole number from 1 to 3600'],
  [["--threads", "99999999999"], '--threads: "99999999999" is not a whole number from 1 to 64'],
  [["--policies", "toString"], "--policies: toString is none of pod-privileged"],
  [["--policies", ""], "--policies: nothing is named"],
  [["--generator", "ab"], "--generator: ab is none of wrk, autocannon"],
  [["--url", "127.0.0.1:3000"], "--url: 127.0.0.1:3000 is not an http(s) URL"],
  [["--original", "ftp://127.0.0.1"], "--original: ftp://127.0.0.1 is not an http(s) URL"],
  [["--html", ""], "--html: no file is named"],
  [["--with", "rows.json"], "--with: its rows are shown in the page of --html FILE, which is missing"],
  [["--html"], "'--html <value>' argument missing (see --help)"],
  [["--html", "--quick"], "argument is ambiguous"],
  [["--svg", "x"], "'--svg'"],
  [["node"], "'node'"],
];

for (const [args, error] of REFUSED) {
  test(`refused: ${args.join(" ")}`, () => {
    try {
      parseOptions(args);
    } catch (thrown) {
      const { message } = thrown as Error;
      // The runtimes word what is wrong with an option differently.
      if (!("bun" in process.versions) || !error.includes("argument")) assert.match(message, error);
      assert.not.match(message, "\n");
      return;
    }
    assert.unreachable(args.join(" "));
  });
}

test("files that can't be read or written are named in one line, before anything is started", async () => {
  const folder = mkdtempSync(join(tmpdir(), "portreeve-bench-test-"));
  const file = (name: string, content: string) => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };
  const good = file("good.json", JSON.stringify([COLD_START_ROW]));
  mkdirSync(join(folder, "folder"));
  const html = join(folder, "page.html");
  const cases: readonly (readonly [readonly string[], string])[] = [
    ...["--html", "--json", "--results"].flatMap((option) =>
      [
        [
          [option, join(folder, "none/x")],
          `${option}: ${folder}/none/x can't be written: no such file or folder`,
        ],
        [[option, join(folder, "folder")], `${option}: ${folder}/folder can't be written: it is a folder`],
        [[option, join(good, "x")], `${option}: ${good}/x can't be written: a part of its path is no folder`],
      ] as const
    ),
    ...([
      [join(folder, "none"), "can't be read: no such file or folder"],
      [join(folder, "folder"), "can't be read: it is a folder"],
      [file("text.json", "not JSON"), "is no JSON ("],
      [file("empty.json", "[]"), "holds no rows of `npm run bench:cold-start -- --json FILE`"],
      [file("object.json", "{}"), "holds no rows of `npm run bench:cold-start -- --json FILE`"],
      [file("null.json", "[null]"), "row 1 is no object"],
      [
        file("other.json", JSON.stringify([COLD_START_ROW, { subject: "node" }])),
        'row 2 has no text "runtime"',
      ],
      [
        file("number.json", JSON.stringify([{ ...COLD_START_ROW, readyMs: "900" }])),
        'row 1 has no number "readyMs"',
      ],
      [
        file("null_ms.json", JSON.stringify([{ ...COLD_START_ROW, readyMs: null }])),
        'row 1 has no number "readyMs"',
      ],
      [
        file("negative.json", JSON.stringify([{ ...COLD_START_ROW, answeredRssMb: -1 }])),
        'row 1 has neither a number nor null as "answeredRssMb"',
      ],
    ] as const).map(([path, error]) => [["--html", html, "--with", path], `--with: ${path}`, error] as const)
      .map(([args, start, error]) =>
        [args, error.startsWith("can't") ? `${start} ${error}` : `${start}: ${error}`] as const
      ),
  ];
  try {
    for (const [args, error] of cases) {
      const { code, output } = await run(["bench/main.ts", ...args]);
      assert.is(code, 1, output);
      assert.match(output, `Error: ${error}`);
      assert.is(output.trim().split("\n").length, 1, output);
    }
    assert.throws(() => readFileSync(html), "ENOENT");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("every benchmark ends with one line when an option is unknown, or its rows can't be written", async () => {
  const folder = mkdtempSync(join(tmpdir(), "portreeve-bench-test-"));
  const commands = [
    "main",
    "attack_isolation",
    "cli_start",
    "cold_start",
    "instruction_prices",
    "inventory",
    "loop_isolation",
  ];
  try {
    for (const command of commands) {
      for (
        const [args, error] of [
          [["--nonsense"], /^error: unknown option '--nonsense'.*\n$/i],
          [
            ["--json", folder],
            new RegExp(`^error: --json: ${folder} can't be written: it is a folder\n$`, "i"),
          ],
        ] as const
      ) {
        const { code, output } = await run([`bench/${command}.ts`, ...args]);
        assert.is(code, 1, `${command}: ${output}`);
        assert.match(output, error);
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test.run();
