/** How the scanner tells what it does (spec/audit.md §15). */
import type { LogLevel } from "./settings.ts";

export type Fields = { readonly [name: string]: unknown };
export type Log = (level: LogLevel, message: string, fields?: Fields) => void;
