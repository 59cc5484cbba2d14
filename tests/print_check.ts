/**
 * Prints what `lookups.ts` or `lengths.ts` finds, as JSON.
 *
 * usage: print_check.ts lookups|lengths FOLDER PATTERN      (a project's folder; files that match, by their paths from there)
 */
import { join } from "node:path";
import process from "node:process";
import { longPieces } from "./lengths.ts";
import { uncheckedLookups } from "./lookups.ts";

const [check = "", folder = ".", pattern = ""] = process.argv.slice(2);
const covered = new RegExp(pattern);
const find = new Map<string, typeof uncheckedLookups | typeof longPieces>([
  ["lookups", uncheckedLookups],
  ["lengths", longPieces],
]).get(check);
if (find === undefined) throw new Error(`${check} is neither lookups nor lengths`);
process.stdout.write(
  JSON.stringify(find(folder, join(folder, "tsconfig.json"), (file) => covered.test(file))),
);
