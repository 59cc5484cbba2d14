/**
 * Reads command lines by the tokens of `node:util`'s `parseArgs`. What is required, repeated or excluded is checked here, so that
 * errors name everything that is wrong at once, in 1.36's words.
 */
import { parseArgs, type ParseArgsOptionsConfig } from "node:util";
import { nearestName } from "../../program/types/nearest.ts";
import { own } from "../../program/types/own.ts";
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

/** A flag where it stands on a command line. */
type Occurrence = {
  readonly name: string;
  readonly rawName: string;
  readonly value?: string | undefined;
  /** Whether the value is attached: `--flag=value`, `-fvalue`. */
  readonly inlineValue?: boolean | undefined;
};

function unknownFlag(
  { name, rawName, value, inlineValue }: Occurrence,
  flags: readonly Flag[],
  usage: string,
) {
  const near = rawName.startsWith("--") ? nearestName(name, flags.map((flag) => flag.name)) : undefined;
  return new UsageError(
    `unexpected argument '${rawName}${inlineValue ? `=${value}` : ""}' found`,
    usage,
    near === undefined ? [] : [`  tip: a similar argument exists: '--${near}'`],
  );
}

/** The value of a flag: what begins with a dash is nobody's unless it is attached, and `-f=value` is `-fvalue`. */
function valueOf(flag: Flag, { rawName, value, inlineValue }: Occurrence, usage: string): string {
  if (value === undefined || (!inlineValue && /^-./.test(value))) {
    throw new UsageError(`a value is required for '${flagText(flag)}' but none was supplied`, usage);
  }
  const text = inlineValue && !rawName.startsWith("--") ? value.replace(/^=/, "") : value;
  return chosen(flag, text, usage);
}

function unknownCommand(
  word: string,
  path: readonly string[],
  command: CommandDescription | undefined,
): UsageError {
  const names = (command?.commands ?? COMMANDS).map(({ name }) => name);
  const near = names.find((name) => name.startsWith(word) || word.startsWith(name)) ??
    nearestName(word, names);
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

/** The words with what is attached to the short names of switches that take anything cut off. */
function withoutToleratedValues(flags: readonly Flag[], words: readonly string[]): string[] {
  const end = words.includes("--") ? words.indexOf("--") : words.length;
  const tolerated = flags.flatMap(({ tolerant, short }) => tolerant && short ? [`-${short}=`] : []);
  return words.map((word, index) =>
    index < end && tolerated.some((start) => word.startsWith(start)) ? word.slice(0, 2) : word
  );
}

/** Reads the words of one command. Throws {@link UsageError}. */
function readFlags(
  flags: readonly Flag[],
  given: readonly string[],
  usage: string,
): { readonly given: Given; readonly words: readonly string[] } {
  const options: ParseArgsOptionsConfig = Object.fromEntries(
    flags.map(({ name, short, value, greedy }) => [
      name,
      { type: value === undefined || greedy ? "boolean" : "string", ...(short && { short }) },
    ]),
  );
  const args = withoutToleratedValues(flags, given);
  const { tokens } = parseArgs({ args, options, strict: false, allowPositionals: true, tokens: true });
  const found: Given = new Map();
  const words: string[] = [];
  /** The values of a greedy flag, as long as words come that are no flags. */
  let open: string[] | undefined;
  for (const token of tokens) {
    if (token.kind === "positional") (open ?? words).push(token.value);
    else open = undefined;
    if (token.kind !== "option") continue;
    const flag = flags.find(({ name }) => name === token.name);
    if (flag === undefined || (token.inlineValue && flag.value === undefined && !flag.tolerant)) {
      throw unknownFlag(token, flags, usage);
    }
    const before = found.get(flag.name);
    if (before !== undefined && !flag.repeatable && !flag.greedy) {
      throw new UsageError(`the argument '${flagText(flag)}' cannot be used multiple times`, usage);
    }
    const values = before ?? [];
    found.set(flag.name, values);
    if (flag.greedy && !token.inlineValue) open = values;
    else if (flag.value !== undefined) values.push(valueOf(flag, token, usage));
  }
  return { given: found, words };
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
export function parseCommandLine(program: string, words: readonly string[]): Parsed {
  const leading = leadingFlags(words);
  const [rootWords, rest] = [words.slice(0, leading), words.slice(leading)];
  if (rootWords.includes("-V")) return { kind: "version", long: false };
  if (rootWords.includes("--version")) return { kind: "version", long: true };
  const help = helpQuestion(program, words, rest);
  if (help !== undefined) return help;
  const root = readFlags(ROOT_FLAGS, rootWords, shortUsage([program], undefined));
  const { path, command } = descend(rest);
  const fullPath = [program, ...path];
  if (command === undefined || command.commands !== undefined) {
    const unknown = rest[path.length];
    if (unknown === undefined) return { kind: "help", path: fullPath, command, long: false, asked: false };
    throw unknownCommand(unknown, fullPath, command);
  }
  const flags = command.flags ?? [];
  const usage = shortUsage(fullPath, command);
  const found = readFlags(flags, rest.slice(path.length), usage);
  checkRequired(command, found.given, found.words, usage);
  return {
    kind: "command",
    path,
    args: argumentsOf(command, found.given, found.words),
    root: { verbose: root.given.has("verbose"), colour: !root.given.has("no-color") },
  };
}
