/**
 * Prints what `lookups.ts` finds, as JSON.
 *
 * usage: print_lookups.ts FOLDER PATTERN      (a project's folder; files that match, by their paths from there)
 */
import { join } from "node:path";
import process from "node:process";
import { uncheckedLookups } from "./lookups.ts";

const [folder = ".", pattern = ""] = process.argv.slice(2);
const covered = new RegExp(pattern);
const found = uncheckedLookups(folder, join(folder, "tsconfig.json"), (file) => covered.test(file));
process.stdout.write(JSON.stringify(found));
