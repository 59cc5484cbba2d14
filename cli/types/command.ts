/**
 * A command line as data: parsing (`apply/parse.ts`), help, completions and the reference (`render/`) all come from these
 * descriptions, which load nothing of what the commands do.
 */
import type { Text } from "../../program/types/text.ts";

/** A flag. Without a {@link Flag.value} it is a switch. */
export interface Flag {
  /** Without the dashes. */
  readonly name: string;
  readonly short?: string;
  /** What the value is called in help, for example `PATH`. */
  readonly value?: string;
  readonly help: string;
  /** May be given several times. */
  readonly repeatable?: boolean;
  /** Takes all words up to the next flag, none included; may be given several times. */
  readonly greedy?: boolean;
  /** A switch that also takes `--flag=anything`, which 1.36 asked for by accident. */
  readonly tolerant?: boolean;
  readonly required?: boolean;
  /** Takes an empty value, too, which else names nothing. */
  readonly mayBeEmpty?: boolean;
  readonly choices?: readonly string[];
  /** Further spellings of choices that are taken and not shown. */
  readonly aliases?: Readonly<Record<string, string>>;
  /** What holds without the flag, as help says it. */
  readonly preset?: string;
  /** Flags that can't be given together with this one. */
  readonly conflicts?: readonly string[];
}

/** A flag as help shows it: `-o, --output <FILE>`, without `<…>` a switch. */
export function flag(shown: string, help: string, more: Omit<Flag, "name" | "help"> = {}): Flag {
  const [, short, name = "", value] = /^(?:-(\w), )?--([\w-]+)(?: <(.+)>)?$/.exec(shown)!;
  return { name, ...(short && { short }), ...(value && { value }), help, ...more };
}

/** A word without dashes. */
export interface Positional {
  readonly name: string;
  readonly help: string;
  /** Takes one or more words. */
  readonly many?: boolean;
  readonly optional?: boolean;
}

/** A command, or a group of commands. */
export interface CommandDescription {
  readonly name: string;
  /** One line. */
  readonly about: string;
  /** What `--help` says more than `-h`. */
  readonly details?: string;
  readonly flags?: readonly Flag[];
  readonly positionals?: readonly Positional[];
  readonly commands?: readonly CommandDescription[];
}

/** What was given on the command line. */
export interface Arguments {
  /** Whether a switch, or a flag with a value, was given. */
  has(flag: string): boolean;
  /** The value of a flag; its default is the command's business. */
  value(flag: string): string | undefined;
  /** All values of a repeatable or greedy flag, in order. */
  values(flag: string): readonly string[];
  /** The word in this place; "" if it is optional and absent. */
  word(positional: string): string;
  /** All words of a positional that takes many. */
  words(positional: string): readonly string[];
}

export type LogLevel = "DEBUG" | "INFO" | "WARN" | "ERROR";

/** The world of a command, as the process has it. */
export interface ProcessContext {
  /** What the tool was called: `reeve`, or `kwctl` for scripts that know it by that name. */
  readonly program: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Writes what the command was asked for. Commands print through {@link Context}. */
  readonly out: (text: string | Uint8Array) => void;
  /** False once whoever read what {@link Context.out} writes has gone; where nothing was written, what {@link Context.err} does. */
  readonly outputRead?: () => boolean;
  /** Writes beside it, unadorned: progress, warnings without a log line's dress. */
  readonly err: (text: string) => void;
  readonly log: (level: LogLevel, message: string, fields?: Readonly<Record<string, string>>) => void;
  /** Whether standard output, and standard error, are terminals. */
  readonly terminal: { readonly out: boolean; readonly err: boolean; readonly columns: number };
  /** Whether text for people may be coloured: a terminal, no `--no-color`, no `NO_COLOR`. */
  readonly colour: boolean;
  readonly verbose: boolean;
  /** Reads all of standard input. */
  readonly stdin: () => Promise<Uint8Array>;
  /** Fires on Ctrl-C; what is half written then has to go. */
  readonly signal: AbortSignal;
}

/** What a command has of the world: all output goes through it. */
export interface Context extends Omit<ProcessContext, "out" | "err"> {
  /** Prints what the command was asked for: text for a terminal, in which strings can't steer it, or the bytes of a file. */
  readonly out: (text: Text | Uint8Array) => void;
  /** Prints beside it, unadorned: progress, warnings without a log line's dress. */
  readonly err: (text: Text) => void;
}

/** What a command's file exports. Resolves to the exit code, 0 if it is nothing. */
export type Run = (context: Context, args: Arguments) => Promise<number | void>;

/** Failure that a user is told of as `Error: message`, with the chain of its `cause`s; the exit code is 1. */
export class CliError extends Error {
  override readonly name = "CliError";
}
