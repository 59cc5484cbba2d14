/** Help and usage lines of commands, laid out as users of 1.36 know them. */
import type { CommandDescription, Flag, Positional } from "../types/command.ts";
import { COMMANDS, ROOT_FLAGS } from "../types/commands.ts";
import { greatest } from "../../program/types/lists.ts";

export const ABOUT = "Tool to manage Kubewarden policies";
const WIDTH = 100;

/** A flag with its value, as usage lines and errors name it. */
export function flagText(flag: Flag): string {
  const value = flag.value === undefined ? "" : ` <${flag.value}>${flag.repeatable ? "..." : ""}`;
  return `--${flag.name}${flag.greedy ? ` [<${flag.value}>...]` : value}`;
}

/** A positional, as usage lines and errors name it. */
export function positionalText({ name, many, optional }: Positional): string {
  const text = `${optional ? "[" : "<"}${name}${optional ? "]" : ">"}`;
  return many ? `${text}...` : text;
}

/** How a command is called; `path` is the program's name and the commands' down to it. */
export function usageLine(path: readonly string[], command: CommandDescription | undefined): string {
  if (command === undefined) return `${path.join(" ")} [OPTIONS] <COMMAND>`;
  if (command.commands !== undefined) return `${path.join(" ")} <COMMAND>`;
  const flags = command.flags ?? [];
  const required = flags.filter((flag) => flag.required);
  return [
    ...path,
    ...(flags.length > required.length ? ["[OPTIONS]"] : []),
    ...required.map(flagText),
    ...(command.positionals ?? []).map(positionalText),
  ].join(" ");
}

/** A usage line as errors show it: only what is required. */
export function shortUsage(path: readonly string[], command: CommandDescription | undefined): string {
  return usageLine(path, command).replace(command === undefined ? "" : " [OPTIONS]", "");
}

function wrapped(text: string, indent: number): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && indent + line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line].join(`\n${" ".repeat(indent)}`);
}

function section(title: string, rows: readonly (readonly [string, string])[]): string {
  if (rows.length === 0) return "";
  const width = Math.min(40, greatest(rows.map(([left]) => left.length)));
  const text = rows.map(([left, right]) =>
    left.length > width
      ? `  ${left}\n${" ".repeat(width + 4)}${wrapped(right, width + 4)}`
      : `  ${left.padEnd(width)}  ${wrapped(right, width + 4)}`
  );
  return `\n${title}:\n${text.map((line) => line.trimEnd()).join("\n")}\n`;
}

/** What help says of a flag besides its text. */
export function flagNotes({ choices, preset, repeatable }: Flag): string {
  return [
    ...(preset === undefined ? [] : [`[default: ${preset}]`]),
    ...(choices === undefined ? [] : [`[possible values: ${choices.join(", ")}]`]),
    ...(repeatable ? ["[repeatable]"] : []),
  ].join(" ");
}

function flagRows(flags: readonly Flag[]): (readonly [string, string])[] {
  return [...flags].sort((a, b) => (a.name < b.name ? -1 : 1)).map((flag) =>
    [
      `${flag.short === undefined ? "    " : `-${flag.short}, `}${flagText(flag)}`,
      [flag.help, flagNotes(flag)].filter((part) => part !== "").join(" "),
    ] as const
  );
}

const HELP_ROW = ["-h, --help", "Print help"] as const;

/** The help of a command, or of the whole tool. `long` is what `--help` shows, otherwise `-h`. */
export function helpText(
  path: readonly string[],
  command: CommandDescription | undefined,
  long: boolean,
): string {
  const commands = command === undefined ? COMMANDS : command.commands ?? [];
  const rows = commands.map(({ name, about }) => [name, about] as const);
  const flags = command === undefined ? ROOT_FLAGS : command.flags ?? [];
  return [
    `${command?.about ?? ABOUT}\n`,
    long && command?.details !== undefined ? `\n${wrapped(command.details, 0)}\n` : "",
    `\nUsage: ${usageLine(path, command)}\n`,
    section(
      "Commands",
      rows.length === 0 ? [] : [...rows, ["help", "Print this message or the help of a command"]],
    ),
    section(
      "Arguments",
      (command?.positionals ?? []).map((word) => [positionalText(word), word.help] as const),
    ),
    section("Options", [
      ...flagRows(flags),
      HELP_ROW,
      ...(command === undefined ? [["-V, --version", "Print version"] as const] : []),
    ]),
  ].join("");
}
