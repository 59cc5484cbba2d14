// What command lines mean, and what is said of those that mean nothing.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseCommandLine, type Parsed } from "../../cli/apply/parse.ts";
import { main } from "../../cli/program.ts";
import { errorText, usageErrorText } from "../../cli/render/error.ts";
import { helpText } from "../../cli/render/help.ts";
import { LOADERS } from "../../cli/serve/commands.ts";
import type { CommandDescription, Context } from "../../cli/types/command.ts";
import { CliError } from "../../cli/types/command.ts";
import { COMMANDS } from "../../cli/types/commands.ts";
import { UsageError } from "../../cli/types/usage_error.ts";

function given(...words: string[]): Parsed & { kind: "command" } {
  const parsed = parseCommandLine("reeve", words);
  if (parsed.kind !== "command") throw new Error(`read as ${parsed.kind}`);
  return parsed;
}

function refused(...words: string[]): string {
  try {
    parseCommandLine("reeve", words);
  } catch (error) {
    if (error instanceof UsageError) return usageErrorText(error);
    throw error;
  }
  throw new Error(`accepted: ${words.join(" ")}`);
}

test("values: behind the flag, behind an equals sign, attached, and - for standard input", async () => {
  for (
    const words of [
      ["-r", "a.json"],
      ["-ra.json"],
      ["-r=a.json"],
      ["--request-path", "a.json"],
      ["--request-path=a.json"],
    ]
  ) {
    const { args } = await given("run", "p.wasm", ...words);
    assert.is(args.value("request-path"), "a.json");
    assert.is(args.word("uri_or_sha_prefix_or_yaml_file"), "p.wasm");
  }
  assert.is((await given("run", "-r", "-", "p.wasm")).args.value("request-path"), "-");
});

test("values that clap knows otherwise: empty ones, dashes, equals signs, clusters", () => {
  const value = (...words: string[]) => given("annotate", "-m", "m", ...words, "w").args.value("output-path");
  for (
    const [words, expected] of [
      [["-o==x"], "=x"],
      [["-o=-1"], "-1"],
      [["-o-1"], "-1"],
      [["--output-path=-1"], "-1"],
      [["-o-"], "-"],
      [["-fo", "x"], "x"],
      [["-fox"], "x"],
      [["-fo=x"], "x"],
      [["-ofo"], "fo"],
    ] as const
  ) assert.is(value(...words), expected, words.join(" "));
  for (const words of [["-o", ""], ["-o="], ["--output-path="], ["--output-path", ""]]) {
    assert.match(
      refused("annotate", "-m", "m", "w", ...words),
      "error: a value is required for '--output-path <PATH>' but none was supplied\n",
      words.join(" "),
    );
  }
  assert.match(
    refused("annotate", "-m", "m", "-o", "x", ""),
    "a value is required for '<wasm-path>' but none",
  );
  assert.match(refused("save", "-o", "f", "a", ""), "a value is required for '<policies>...' but none");
  assert.match(refused("test", ""), "a value is required for '[suites]...' but none was supplied");
  assert.is(given("test", "--filter", "").args.value("filter"), "");
  assert.is(given("scaffold", "artifacthub", "-v", "").args.value("version"), "");
  assert.match(
    refused("annotate", "-m", "m", "-o", "-x.wasm", "w"),
    "none was supplied\n\n  tip: a value that begins with a dash is attached: '--output-path=-x.wasm'\n",
  );
  for (const next of ["-f", "--force", "--", "--metadata-path=x"]) {
    assert.not.match(refused("annotate", "-o", next, "w"), "tip", next);
  }
});

test("what stands before the command is a flag of the root's or refused", () => {
  for (const words of [["-", "policies"], ["--", "policies"], ["-v", "--", "policies"], ["-"], ["--"]]) {
    assert.match(
      refused(...words),
      /^error: unexpected argument '--?' found\n\nUsage: reeve /,
      words.join(" "),
    );
  }
  assert.not.match(refused(""), "tip");
  for (
    const [words, kind] of [
      [["-vh"], "help"],
      [["-hv"], "help"],
      [["-h", "-V"], "help"],
      [["--help", "--version"], "help"],
      [["-vV"], "version"],
      [["-V", "-h"], "version"],
      [["-v", "--version", "run"], "version"],
      [["annotate", "-hf"], "help"],
    ] as const
  ) assert.is(parseCommandLine("reeve", words).kind, kind, words.join(" "));
  assert.is(given("save", "-o", "f", "--", "-h").args.word("policies"), "-h");
  for (const flag of ["-v", "--verbose", "--no-color"]) {
    for (const command of [["run"], ["scaffold"]]) {
      assert.match(
        refused(...command, flag),
        `error: unexpected argument '${flag}' found\n\n  tip: '${flag}' stands before the command\n`,
      );
    }
  }
});

test("flags and words stand in any order; -- ends flags", async () => {
  const { args, path } = await given("save", "a", "-o", "f", "b", "--", "-c");
  assert.equal(path, ["save"]);
  assert.equal(args.words("policies"), ["a", "b", "-c"]);
});

test("repeatable flags keep their order, greedy ones take words up to the next flag, also none", async () => {
  assert.equal((await given("verify", "-k", "a", "-k", "b", "u")).args.values("verification-key"), [
    "a",
    "b",
  ]);
  const patterns = async (...words: string[]) => (await given("run", "-r", "x", ...words)).args;
  const some = await patterns("p", "--allowed-host-capabilities", "oci/*", "net/*");
  assert.equal(some.values("allowed-host-capabilities"), ["oci/*", "net/*"]);
  const twice = await patterns(
    ...["--allowed-host-capabilities", "oci/*", "--allowed-host-capabilities", "net/*", "--", "p"],
  );
  assert.equal(twice.values("allowed-host-capabilities"), ["oci/*", "net/*"]);
  assert.match(
    refused("run", "-r", "x", "--allowed-host-capabilities", "oci/*", "p"),
    "<uri_or_sha_prefix_or_yaml_file>\n\n  tip: '--allowed-host-capabilities' takes all words up to the next flag",
  );
  const none = await patterns("p", "--allowed-host-capabilities");
  assert.ok(none.has("allowed-host-capabilities"));
  assert.equal(none.values("allowed-host-capabilities"), []);
  assert.not((await patterns("p")).has("allowed-host-capabilities"));
});

test("a switch that 1.36 gave a value by accident takes none, and any that is attached", async () => {
  for (const word of ["--force", "-f", "--force=x"]) {
    const { args } = await given("push", word, "a.wasm", "registry://r/x");
    assert.ok(args.has("force"));
    assert.is(args.word("policy"), "a.wasm");
    assert.is(args.word("uri"), "registry://r/x");
  }
});

test("flags before the command are its root's, behind it they are its own", async () => {
  const { root, path } = await given("-v", "--no-color", "scaffold", "artifacthub", "-v", "1.2.3");
  assert.equal(root, { verbose: true, colour: false });
  assert.equal(path, ["scaffold", "artifacthub"]);
  assert.match(await refused("run", "-v", "-r", "x", "p"), /unexpected argument '-v' found/);
});

test("spellings of execution modes", async () => {
  for (const mode of ["kubewarden", "kubewarden-wapc"]) {
    assert.is((await given("run", "-e", mode, "-r", "x", "p")).args.value("execution-mode"), "kubewarden");
  }
  assert.match(
    await refused("run", "-e", "python", "-r", "x", "p"),
    /^error: invalid value 'python' for '--execution-mode <MODE>'\n {2}\[possible values: opa, gatekeeper, /,
  );
});

test("everything that is missing is named at once, with the usage", async () => {
  assert.is(
    await refused("run"),
    "error: the following required arguments were not provided:\n  --request-path <PATH>\n" +
      "  <uri_or_sha_prefix_or_yaml_file>\n\n" +
      "Usage: reeve run --request-path <PATH> <uri_or_sha_prefix_or_yaml_file>\n\n" +
      "For more information, try '--help'.\n",
  );
});

test("unknown flags and commands, with the nearest known one", async () => {
  assert.match(
    await refused("run", "p", "--requst-path", "x"),
    /unexpected argument '--requst-path' found\n\n {2}tip: a similar argument exists: '--request-path'\n\nUsage: /,
  );
  assert.match(await refused("inspekt", "p"), /unrecognized subcommand 'inspekt'\n\n.*exists: 'inspect'/);
  assert.match(await refused("scaffold", "manifst"), /unrecognized subcommand 'manifst'\n\n.*'manifest'/);
  assert.match(await refused("--nonsense"), /unexpected argument '--nonsense' found/);
  assert.match(await refused("scaffold", "--nonsense"), /unexpected argument '--nonsense' found/);
  assert.match(await refused("run", "p", "--req", "x"), "a similar argument exists: '--request-path'\n");
  for (const flag of ["-😀", "-é", "--😀", "--__proto__", "--constructor", "---", "--=x", "-="]) {
    assert.match(refused("run", flag), `error: unexpected argument '${flag}' found\n`);
  }
  assert.match(await refused("zzzzzz"), /^error: unrecognized subcommand 'zzzzzz'\n\nUsage/);
});

test("help of what there is not is an error as well", async () => {
  for (const words of [["help", "nonsense"], ["nonsense", "--help"], ["help", "scaffold", "nonsense"]]) {
    assert.match(await refused(...words), "error: unrecognized subcommand 'nonsense'\n");
  }
  assert.match(refused("scaffold", "help", "nonsense"), "error: unrecognized subcommand 'nonsense'\n");
  for (const words of [["help", "scaffold", "vap"], ["scaffold", "help", "vap"], ["scaffold", "vap", "-h"]]) {
    const parsed = parseCommandLine("reeve", words);
    assert.equal(parsed.kind === "help" && parsed.path, ["reeve", "scaffold", "vap"]);
  }
  const group = parseCommandLine("reeve", ["scaffold", "help"]);
  assert.equal(group.kind === "help" && group.path, ["reeve", "scaffold"]);
});

test("what is too much, given twice, without its value, or against another flag", async () => {
  assert.match(await refused("load", "x.tar.gz"), /unexpected argument 'x\.tar\.gz' found/);
  assert.match(
    await refused("run", "-r", "a", "-r", "b", "p"),
    /'--request-path <PATH>' cannot be used multiple/,
  );
  assert.match(
    await refused("run", "--raw", "--raw", "-r", "a", "p"),
    /'--raw' cannot be used multiple times/,
  );
  assert.match(await refused("run", "p", "-r"), /a value is required for '--request-path <PATH>' but/);
  assert.match(
    await refused("annotate", "-m", "-o", "x.wasm", "p.wasm"),
    "a value is required for '--metadata-path <PATH>' but none was supplied",
  );
  assert.is((await given("digest", "u", "--sources-path=-x")).args.value("sources-path"), "-x");
  assert.match(
    await refused(
      ...["run", "-r", "a", "p", "--record-host-capabilities-interactions", "x"],
      ...["--replay-host-capabilities-interactions", "y"],
    ),
    /cannot be used with '--replay-host-capabilities-interactions <FILE>'/,
  );
});

test("help of every command, on standard output; nothing given is told on standard error", async () => {
  const outputs = { out: "", err: "" };
  const context = () =>
    ({
      out: (text: string) => void (outputs.out += text),
      err: (text: string) => void (outputs.err += text),
    }) as unknown as Context;
  const visit = async (commands: readonly CommandDescription[], path: readonly string[]): Promise<void> => {
    for (const command of commands) {
      const words = [...path, command.name];
      for (const call of [[...words, "--help"], [...words, "-h"], ["help", ...words]]) {
        outputs.out = outputs.err = "";
        assert.is(await main("reeve", call, context), 0);
        assert.ok(outputs.out.includes(`Usage: reeve ${words.join(" ")}`), call.join(" "));
        assert.ok(outputs.out.includes(command.about));
        for (const flag of command.flags ?? []) assert.ok(outputs.out.includes(`--${flag.name}`));
        assert.is(outputs.err, "");
      }
      await visit(command.commands ?? [], words);
    }
  };
  await visit(COMMANDS, []);
  for (
    const [call, usage] of [[["scaffold"], "reeve scaffold"]] as const
  ) {
    outputs.out = outputs.err = "";
    assert.is(await main("reeve", call, context), 2);
    assert.is(outputs.out, "");
    assert.ok(outputs.err.includes(usage));
  }
});

test("every command can be called", () => {
  const names = (commands: readonly CommandDescription[], path: string): string[] =>
    commands.flatMap(({ name, commands }) =>
      commands === undefined ? [`${path}${name}`] : names(commands, `${path}${name} `)
    );
  assert.equal(Object.keys(LOADERS).sort(), names(COMMANDS, "").sort());
});

test("the version, by the name that the tool was called by", async () => {
  let out = "";
  const context = () => ({ out: (text: string) => void (out += text) }) as unknown as Context;
  assert.is(await main("kwctl", ["--version"], context), 0);
  assert.match(
    out,
    /^kwctl 1\.36\.\d+(-\S+)?\n\nUse the `info` command to display system information\.\n\n$/,
  );
  out = "";
  assert.is(await main("reeve", ["-V"], context), 0);
  assert.match(out, /^reeve 1\.36\.\d+(-\S+)?\n$/);
});

test("errors tell their causes, and end where a chain goes round", () => {
  assert.is(errorText(new CliError("a")), "Error: a\n");
  assert.is(
    errorText(new CliError("a", { cause: new Error("b\nc") })),
    "Error: a\n\nCaused by:\n    b\n    c\n",
  );
  const inner = new Error("b", { cause: "c" });
  assert.is(
    errorText(new CliError("a", { cause: inner })),
    "Error: a\n\nCaused by:\n    0: b\n    1: c\n",
  );
  const circle = new Error("x");
  circle.cause = circle;
  assert.is(errorText(circle).split("\n").filter((line) => line.includes("x")).length, 16);
});

test("help folds long texts and lists flags by name", () => {
  const command = COMMANDS.find(({ name }) => name === "run")!;
  const text = helpText(["reeve", "run"], command, true);
  assert.ok(text.split("\n").every((line) => line.length <= 100));
  const shown = [...text.matchAll(/^ {2}(?:-\w, | {4})--([\w-]+)/gm)].map((match) => match[1]);
  assert.equal(shown.slice(0, -1), [...shown.slice(0, -1)].sort());
});

test.run();
