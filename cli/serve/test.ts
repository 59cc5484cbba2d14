/** `test`: judges policies by suites, once or whenever something changes. */
import { stat } from "node:fs/promises";
import { basename, dirname, join, relative, resolve } from "node:path";
import { osErrorText } from "../../program/render/os_error.ts";
import { fetchingFromFlags } from "../apply/fetching.ts";
import { writeGiven } from "../apply/given_files.ts";
import { readSuite } from "../apply/read_suite.ts";
import { runSuite } from "../apply/run_suite.ts";
import { junitText, resultsText } from "../render/suite_report.ts";
import { type Arguments, CliError, type Context, type Run } from "../types/command.ts";
import type { CaseResult } from "../types/suite.ts";
import { append } from "../../program/types/lists.ts";
import { repeatOnChange, WatchedFolders } from "./repeat_on_change.ts";

const SUITE_NAME = "suite.yml";

/** No suite reads sources, nor what compilers and npm keep: what is built of them starts the next run. */
const UNREAD = /\.([cm]?[jt]sx?|rs|go|rego)$|(^|[\\/])(node_modules|target|\.git)([\\/]|$)/;

async function suitePaths({ cwd }: Context, names: readonly string[]): Promise<readonly string[]> {
  const paths: string[] = [];
  for (const name of names.length > 0 ? names : ["."]) {
    const path = resolve(cwd, name);
    try {
      paths.push((await stat(path)).isDirectory() ? join(path, SUITE_NAME) : path);
    } catch (error) {
      throw new CliError(`cannot read ${name}: ${osErrorText(error)}`);
    }
  }
  return paths;
}

async function runAll(context: Context, args: Arguments, paths: readonly string[]): Promise<boolean> {
  const fetching = await fetchingFromFlags(context, args);
  const results: CaseResult[] = [];
  for (const path of paths) {
    const suite = await readSuite(path);
    const own = await runSuite(context, suite, fetching, args.value("filter") ?? "");
    append(results, own.map((result) => ({ ...result, suite: relative(context.cwd, result.suite) })));
  }
  if (results.length === 0) {
    throw new CliError(`no case has ${JSON.stringify(args.value("filter"))} in its name`);
  }
  context.out(resultsText(results));
  const junit = args.value("junit");
  if (junit !== undefined) await writeGiven(context, junit, junitText(results));
  return results.every(({ faults }) => faults.length === 0);
}

/** Runs again on every change that a suite may see below the suites' folders, until interrupted, or until nobody reads the results. */
async function runForEver(
  context: Context,
  args: Arguments,
  paths: readonly string[],
): Promise<0 | 1> {
  const junit = args.value("junit");
  // The report is no reason for another one, nor the file that becomes it.
  const report = junit === undefined ? undefined : resolve(context.cwd, junit);
  const isReport = (path: string) =>
    report !== undefined &&
    (path === report || path.startsWith(join(dirname(report), `.${basename(report)}-`)));
  const isRead = (path: string) => paths.some((suite) => !UNREAD.test(relative(dirname(suite), path)));
  const folders = new WatchedFolders((path) => isRead(path) && !isReport(path));
  for (const path of paths) folders.add(dirname(path), true);
  return await repeatOnChange(context, folders, () => runAll(context, args, paths));
}

export const run: Run = async (context, args) => {
  const paths = await suitePaths(context, args.words("suites"));
  if (args.has("watch")) return await runForEver(context, args, paths);
  return await runAll(context, args, paths) ? 0 : 1;
};
