/**
 * Reads command lines with Commander, which knows where options may stand and how their values are attached. What is required,
 * repeated or excluded is checked here, so that errors name everything that is wrong at once, in 1.36's words.
 */
import { editDistance } from "../../program/types/nearest.ts";
import { own } from "../../program/types/own.ts";
import type { Commander, CommanderCommand } from "../../deps.ts";
import { flagText, positionalText, shortUsage } from "../render/help.ts";
import type { Arguments, CommandDescription, Flag } from "../types/command.ts";
import { COMMANDS, ROOT_FLAGS } from "../types/commands.ts";
import { UsageError } from "../types/usage_error.ts";

/** What was asked for. */
export type Parsed =
  | {
    readonly kind: "help";
    readonly path: readonly string[];
    readonly command: CommandDescription | undefined;
    readonly long: boolean;
    readonly asked: boolean;
  }
  | { readonly kind: "version"; readonly long: boolean }
  | {
    readonly kind: "command";
    readonly path: readonly string[];
    readonly args: Arguments;
    readonly root: RootFlags;
  };

export interface RootFlags {
  readonly verbose: boolean;
  readonly colour: boolean;
}

type Given = Map<string, string[]>;

/** The command that the first words name, with the words before the rest. */
function descend(
  words: readonly string[],
): { readonly path: readonly string[]; readonly command: CommandDescription | undefined } {
  let commands: readonly CommandDescription[] = COMMANDS;
  let command: CommandDescription | undefined;
  const path: string[] = [];
  for (const word of words) {
    const next = commands.find(({ name }) => name === word);
    if (next === undefined) break;
    command = next;
    path.push(word);
    commands = next.commands ?? [];
    if (commands.length === 0) break;
  }
  return { path, command };
}

/** Root flags stand before the command; returns how many words they take. */
function leadingFlags(words: readonly string[]): number {
  const end = words.findIndex((word) => !word.startsWith("-"));
  return end < 0 ? words.length : end;
}

function helpAsked(words: readonly string[]): "-h" | "--help" | undefined {
  const end = words.indexOf("--");
  return (end < 0 ? words : words.slice(0, end)).find((word) => word === "-h" || word === "--help") as
    | "-h"
    | "--help"
    | undefined;
}

/** A value's choice, with its alias resolved; throws where there is none. */
function chosen(flag: Flag, value: string, usage: string): string {
  const known = own(flag.aliases, value) ?? value;
  if (flag.choices === undefined || flag.choices.includes(known)) return known;
  throw new UsageError(
    `invalid value '${value}' for '${flagText(flag)}'`,
    usage,
    [`  [possible values: ${flag.choices.join(", ")}]`],
  );
}

function addFlag(
  commander: Commander,
  to: CommanderCommand,
  flag: Flag,
  given: Given,
  usage: string,
): void {
  const short = flag.short === undefined ? "" : `-${flag.short}, `;
  const value = flag.value === undefined ? "" : flag.greedy ? " [values...]" : " <value>";
  const option = new commander.Option(`${short}--${flag.name}${value}`);
  // Each occurrence comes by here, but for switches and a greedy flag without a value, which raise an event.
  if (flag.value !== undefined) {
    option.argParser((text: string) => {
      const values = given.get(flag.name) ?? [];
      if (values.length > 0 && !flag.repeatable && !flag.greedy) {
        throw new UsageError(`the argument '${flagText(flag)}' cannot be used multiple times`, usage);
      }
      given.set(flag.name, [...values, chosen(flag, text, usage)]);
      return text;
    });
  }
  to.addOption(option);
  to.on(`option:${flag.name}`, () => {
    if (flag.value === undefined && given.has(flag.name)) {
      throw new UsageError(`the argument '--${flag.name}' cannot be used multiple times`, usage);
    }
    if (!given.has(flag.name)) given.set(flag.name, []);
  });
}

/** Commander's own complaints, in our words. */
function translated(error: { code?: string; message: string }, usage: string): UsageError | undefined {
  const suggestion = /\(Did you mean (?:one of )?(.*?)\?\)/.exec(error.message)?.[1]?.split(", ")[0];
  const quoted = /'(.*?)'/.exec(error.message)?.[1] ?? "";
  switch (error.code) {
    case "commander.unknownOption":
      return new UsageError(
        `unexpected argument '${quoted}' found`,
        usage,
        suggestion === undefined ? [] : [`  tip: a similar argument exists: '${suggestion}'`],
      );
    case "commander.optionMissingArgument": {
      const name = /--([\w-]+)/.exec(quoted)?.[1] ?? quoted;
      return new UsageError(`a value is required for '--${name}' but none was supplied`, usage);
    }
    default:
      return undefined;
  }
}

/**
 * The words as Commander reads them like 1.36's parser: `-f=value` is `-fvalue`, and what begins with a dash is nobody's value
 * unless it is attached. Throws {@link UsageError}.
 */
function withPlainValues(flags: readonly Flag[], words: readonly string[], usage: string): readonly string[] {
  const end = words.includes("--") ? words.indexOf("--") : words.length;
  const valued = flags.filter(({ value, greedy }) => value !== undefined && !greedy);
  return words.map((word, index) => {
    if (index >= end) return word;
    const flag = valued.find(({ name, short }) => word === `--${name}` || word === `-${short}`);
    if (flag !== undefined && /^-./.test(words[index + 1] ?? "")) {
      throw new UsageError(`a value is required for '${flagText(flag)}' but none was supplied`, usage);
    }
    const attached = valued.find(({ short }) => short !== undefined && word.startsWith(`-${short}=`));
    return attached === undefined ? word : `-${attached.short}${word.slice(3)}`;
  });
}

function unknownCommand(
  word: string,
  path: readonly string[],
  command: CommandDescription | undefined,
): UsageError {
  const names = (command?.commands ?? COMMANDS).map(({ name }) => name);
  const near = names.find((name) =>
    name.startsWith(word) || word.startsWith(name) || editDistance(name, word) <= 2
  );
  return new UsageError(
    `unrecognized subcommand '${word}'`,
    shortUsage(path, command),
    near === undefined ? [] : [`  tip: a similar subcommand exists: '${near}'`],
  );
}

function checkRequired(
  command: CommandDescription,
  given: Given,
  words: readonly string[],
  usage: string,
): void {
  const flags = command.flags ?? [];
  const positionals = command.positionals ?? [];
  const excess = positionals.some(({ many }) => many) ? undefined : words[positionals.length];
  if (excess !== undefined) throw new UsageError(`unexpected argument '${excess}' found`, usage);
  const missing = [
    ...flags.filter((flag) => flag.required && !given.has(flag.name)).map(flagText),
    ...positionals.filter((positional, index) => !positional.optional && words.length <= index).map(
      positionalText,
    ),
  ];
  if (missing.length > 0) {
    throw new UsageError(
      "the following required arguments were not provided:",
      usage,
      missing.map((text) => `  ${text}`),
    );
  }
  for (const flag of flags) {
    const other = given.has(flag.name) ? flag.conflicts?.find((name) => given.has(name)) : undefined;
    if (other === undefined) continue;
    const against = flags.find(({ name }) => name === other)!;
    throw new UsageError(
      `the argument '${flagText(flag)}' cannot be used with '${flagText(against)}'`,
      usage,
    );
  }
}

/** What is asked for with `help`, `-h` or `--help`; undefined where none of them stands. Throws {@link UsageError}. */
function helpQuestion(
  program: string,
  words: readonly string[],
  rest: readonly string[],
): Parsed | undefined {
  const flag = helpAsked(words);
  if (rest[0] !== "help" && flag === undefined) return undefined;
  const asked = rest[0] === "help" ? rest.slice(1) : rest;
  const { path, command } = descend(asked);
  const next = asked[path.length];
  const takesCommand = command === undefined || command.commands !== undefined;
  if (takesCommand && next !== undefined && !next.startsWith("-")) {
    throw unknownCommand(next, [program, ...path], command);
  }
  return { kind: "help", path: [program, ...path], command, long: flag !== "-h", asked: true };
}

/** Reads the words of one command with Commander. Throws {@link UsageError}. */
function readFlags(
  commander: Commander,
  flags: readonly Flag[],
  words: readonly string[],
  usage: string,
): { readonly given: Given; readonly words: readonly string[] } {
  const given: Given = new Map();
  const reader = new commander.Command().exitOverride().helpOption(false).allowExcessArguments()
    .configureOutput({ writeOut: () => {}, writeErr: () => {} }).argument("[words...]").action(() => {});
  for (const flag of flags) addFlag(commander, reader, flag, given, usage);
  try {
    reader.parse([...words], { from: "user" });
  } catch (error) {
    throw translated(error as { code?: string; message: string }, usage) ?? error;
  }
  return { given, words: reader.args };
}

/** Cuts what is attached to switches that take anything. */
function withoutToleratedValues(flags: readonly Flag[], words: readonly string[]): readonly string[] {
  const end = words.includes("--") ? words.indexOf("--") : words.length;
  const tolerant = flags.filter((flag) => flag.tolerant);
  return words.map((word, index) => {
    if (index >= end) return word;
    const flag = tolerant.find(({ name, short }) =>
      word.startsWith(`--${name}=`) || (short !== undefined && word.startsWith(`-${short}=`))
    );
    return flag === undefined ? word : `--${flag.name}`;
  });
}

function argumentsOf(command: CommandDescription, given: Given, words: readonly string[]): Arguments {
  const positionals = command.positionals ?? [];
  const place = (name: string) => positionals.findIndex((positional) => positional.name === name);
  return {
    has: (flag) => given.has(flag),
    value: (flag) => given.get(flag)?.[0],
    values: (flag) => given.get(flag) ?? [],
    word: (name) => words[place(name)] ?? "",
    words: (name) => words.slice(place(name)),
  };
}

/** Reads `words`, the command line without the program's name. Throws {@link UsageError}. */
export async function parseCommandLine(program: string, words: readonly string[]): Promise<Parsed> {
  const leading = leadingFlags(words);
  const [rootWords, rest] = [words.slice(0, leading), words.slice(leading)];
  if (rootWords.includes("-V")) return { kind: "version", long: false };
  if (rootWords.includes("--version")) return { kind: "version", long: true };
  const help = helpQuestion(program, words, rest);
  if (help !== undefined) return help;
  // On demand, for `deps.ts` brings more than questions for the version or for help need.
  const commander = await (await import("../../deps.ts")).loadCommander();
  const root = readFlags(commander, ROOT_FLAGS, rootWords, shortUsage([program], undefined));
  const { path, command } = descend(rest);
  const fullPath = [program, ...path];
  if (command === undefined || command.commands !== undefined) {
    const unknown = rest[path.length];
    if (unknown === undefined) return { kind: "help", path: fullPath, command, long: false, asked: false };
    throw unknownCommand(unknown, fullPath, command);
  }
  const flags = command.flags ?? [];
  const usage = shortUsage(fullPath, command);
  const plain = withPlainValues(flags, withoutToleratedValues(flags, rest.slice(path.length)), usage);
  const found = readFlags(commander, flags, plain, usage);
  checkRequired(command, found.given, found.words, usage);
  return {
    kind: "command",
    path,
    args: argumentsOf(command, found.given, found.words),
    root: { verbose: root.given.has("verbose"), colour: !root.given.has("no-color") },
  };
}
