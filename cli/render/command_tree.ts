/** All commands in a row, for what describes every one of them: completions and the reference. */
import type { CommandDescription, Flag } from "../types/command.ts";
import { COMMANDS, ROOT_FLAGS } from "../types/commands.ts";
import { ABOUT } from "./help.ts";

/** A command with the words that lead to it. */
export interface CommandNode {
  /** Without the program's name; empty for the program itself. */
  readonly path: readonly string[];
  readonly about: string;
  readonly command: CommandDescription | undefined;
  readonly commands: readonly CommandDescription[];
  /** Its own flags and those that every command has. */
  readonly flags: readonly Flag[];
}

const HELP: Flag = { name: "help", short: "h", help: "Print help" };
const VERSION: Flag = { name: "version", short: "V", help: "Print version" };

const sorted = (flags: readonly Flag[]) => [...flags].sort((a, b) => (a.name < b.name ? -1 : 1));

function below(path: readonly string[], commands: readonly CommandDescription[]): CommandNode[] {
  return commands.flatMap((command) => {
    const own = [...path, command.name];
    const node: CommandNode = {
      path: own,
      about: command.about,
      command,
      commands: command.commands ?? [],
      flags: [...sorted(command.flags ?? []), HELP],
    };
    return [node, ...below(own, command.commands ?? [])];
  });
}

/** The program first, then its commands, each before its own. */
export function commandTree(): readonly CommandNode[] {
  const root: CommandNode = {
    path: [],
    about: ABOUT,
    command: undefined,
    commands: COMMANDS,
    flags: [...sorted(ROOT_FLAGS), HELP, VERSION],
  };
  return [root, ...below([], COMMANDS)];
}

/** What can stand for a value. */
export type ValueKind =
  | { readonly kind: "words"; readonly words: readonly string[] }
  | { readonly kind: "files" }
  | { readonly kind: "anything" };

const FILE_VALUES = /^(PATH|FILE|DIR|input)$|\.ya?ml$/;

/** What to offer for a flag's value; undefined for a switch. */
export function valueOf(flag: Flag): ValueKind | undefined {
  if (flag.value === undefined) return undefined;
  if (flag.choices !== undefined) return { kind: "words", words: flag.choices };
  return FILE_VALUES.test(flag.value) ? { kind: "files" } : { kind: "anything" };
}

/** A flag's spellings, the short one first. */
export function spellings(flag: Flag): readonly string[] {
  return [...(flag.short === undefined ? [] : [`-${flag.short}`]), `--${flag.name}`];
}
