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

/** Which help is asked for; `-h` also stands before other short flags, which then don't count. */
function helpAsked(words: readonly string[]): "-h" | "--help" | undefined {
  const end = words.indexOf("--");
  const word = (end < 0 ? words : words.slice(0, end)).find((word) => /^(?:-h|--help$)/.test(word));
  return word === undefined || word === "--help" ? word : "-h";
}

/** What the root flags ask for instead of a command; the first one counts, alone or behind switches: `-vh`, `-vV`. */
function askedByRoot(words: readonly string[]): "help" | "version" | "long version" | undefined {
  for (const word of words) {
    if (word === "--help" || /^-v*h/.test(word)) return "help";
    if (word === "--version") return "long version";
    if (/^-v*V/.test(word)) return "version";
  }
  return undefined;
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
  /** Which of the words it stands in. */
  readonly index: number;
  readonly rawName: string;
  readonly value?: string | undefined;
  /** Whether the value is attached: `--flag=value`, `-fvalue`. */
  readonly inlineValue?: boolean | undefined;
};

/** The names that a word may have been meant as: what it abbreviates, else what it is closest to. */
function meantName(word: string, names: readonly string[]): string | undefined {
  if (word === "") return undefined;
  return names.find((name) => name.startsWith(word) || word.startsWith(name)) ?? nearestName(word, names);
}

const isNamed = (flag: Flag, rawName: string) => rawName === `--${flag.name}` || rawName === `-${flag.short}`;

function unknownFlag(
  { name, rawName, value, inlineValue, index }: Occurrence,
  flags: readonly Flag[],
  args: readonly string[],
  usage: string,
) {
  // Short flags are read by UTF-16 units: half of a character is shown with the word that it stands in.
  const whole = /^-[^\x21-\x7e]/.test(rawName);
  const shown = whole ? args[index] : `${rawName}${inlineValue ? `=${value}` : ""}`;
  const near = rawName.startsWith("--") ? meantName(name, flags.map((flag) => flag.name)) : undefined;
  const tip = flags !== ROOT_FLAGS && ROOT_FLAGS.some((flag) => isNamed(flag, rawName))
    ? [`  tip: '${rawName}' stands before the command`]
    : near === undefined
    ? []
    : [`  tip: a similar argument exists: '--${near}'`];
  return new UsageError(`unexpected argument '${shown}' found`, usage, tip);
}

const noValue = (shown: string, usage: string, tip: readonly string[] = []) =>
  new UsageError(`a value is required for '${shown}' but none was supplied`, usage, tip);

/**
 * The value of a flag: what begins with a dash is nobody's unless it is attached, and `-f=value` is `-fvalue`. An empty one, as an unset
 * variable of a script gives it, names nothing: as a path it would be the working directory.
 */
function valueOf(
  flag: Flag,
  { rawName, value, inlineValue }: Occurrence,
  flags: readonly Flag[],
  usage: string,
): string {
  if (value === undefined) throw noValue(flagText(flag), usage);
  if (!inlineValue && /^-./.test(value)) {
    const meant = value === "--" || flags.some((other) => isNamed(other, value.split("=", 1)[0]!));
    throw noValue(
      flagText(flag),
      usage,
      meant ? [] : [`  tip: a value that begins with a dash is attached: '--${flag.name}=${value}'`],
    );
  }
  const text = inlineValue && !rawName.startsWith("--") ? value.replace(/^=/, "") : value;
  if (text === "" && !flag.mayBeEmpty && flag.choices === undefined) throw noValue(flagText(flag), usage);
  return chosen(flag, text, usage);
}

function unknownCommand(
  word: string,
  path: readonly string[],
  command: CommandDescription | undefined,
): UsageError {
  const names = (command?.commands ?? COMMANDS).map(({ name }) => name);
  const near = meantName(word, names);
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
  const empty = words.indexOf("");
  if (empty >= 0) throw noValue(positionalText((positionals[empty] ?? positionals.at(-1))!), usage);
  const missing = [
    ...flags.filter((flag) => flag.required && !given.has(flag.name)).map(flagText),
    ...positionals.filter((positional, index) => !positional.optional && words.length <= index).map(
      positionalText,
    ),
  ];
  if (missing.length > 0) {
    const greedy = flags.find((flag) => flag.greedy && (given.get(flag.name)?.length ?? 0) > 0);
    const tip = greedy === undefined || words.length >= positionals.length
      ? []
      : ["", `  tip: '--${greedy.name}' takes all words up to the next flag, or up to '--'`];
    throw new UsageError(
      "the following required arguments were not provided:",
      usage,
      [...missing.map((text) => `  ${text}`), ...tip],
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
  flag: "-h" | "--help" | undefined,
  rest: readonly string[],
): Parsed | undefined {
  const group = descend(rest);
  const isGroup = group.command === undefined || group.command.commands !== undefined;
  // Every group has a command `help`, as the root has.
  const named = isGroup && rest[group.path.length] === "help";
  if (!named && flag === undefined) return undefined;
  const asked = named ? rest.toSpliced(group.path.length, 1) : rest;
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
      throw unknownFlag(token, flags, args, usage);
    }
    const before = found.get(flag.name);
    if (before !== undefined && !flag.repeatable && !flag.greedy) {
      throw new UsageError(`the argument '${flagText(flag)}' cannot be used multiple times`, usage);
    }
    const values = before ?? [];
    found.set(flag.name, values);
    if (flag.greedy && !token.inlineValue) open = values;
    else if (flag.value !== undefined) values.push(valueOf(flag, token, flags, usage));
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
  const rootUsage = shortUsage([program], undefined);
  // A dash alone, and what ends flags, are no flags of the root's and no command.
  const stray = rootWords.find((word) => word === "-" || word === "--");
  if (stray !== undefined) throw new UsageError(`unexpected argument '${stray}' found`, rootUsage);
  const asked = askedByRoot(rootWords);
  if (asked === "version" || asked === "long version") return { kind: "version", long: asked !== "version" };
  const flag = helpAsked(words) ?? (asked === "help" ? "-h" : undefined);
  const help = helpQuestion(program, flag, rest);
  if (help !== undefined) return help;
  const root = readFlags(ROOT_FLAGS, rootWords, rootUsage);
  const { path, command } = descend(rest);
  const fullPath = [program, ...path];
  if (command === undefined || command.commands !== undefined) {
    const unknown = rest[path.length];
    if (unknown === undefined) return { kind: "help", path: fullPath, command, long: false, asked: false };
    // Groups have no flags: reading one as theirs says so.
    if (unknown.startsWith("-")) readFlags([], [unknown], shortUsage(fullPath, command));
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
