/** What the registry flags say (`spec/cli.md §3`), as options of the artifact room. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import {
  type ArtifactEvent,
  type ArtifactOptions,
  dockerConfigFile,
  NO_SOURCES,
  readSources,
  type Sources,
} from "../../artifact/mod.ts";
import { type Arguments, CliError, type Context, type LogLevel } from "../types/command.ts";
import { pathsOf } from "./paths.ts";
import { progressBar } from "./progress.ts";

/** What nobody needs who learns in the end whether it worked. */
const DETAILS: ReadonlySet<string> = new Set(["operation failed", "trying again"]);
const LEVELS: Readonly<Record<string, LogLevel>> = { debug: "DEBUG", info: "INFO", warn: "WARN" };

async function sourcesFor(context: Context, path: string | undefined): Promise<Sources> {
  const { cwd, env } = context;
  const fallback = pathsOf(env).defaultSources;
  const file = path === undefined ? (existsSync(fallback) ? fallback : undefined) : resolve(cwd, path);
  if (file === undefined) return NO_SOURCES;
  try {
    return await readSources(file, {
      onEvent: (event) => event.kind === "log" && context.log("WARN", `${event.message} (${file})`),
    });
  } catch (error) {
    throw new CliError(`Error getting remote server options: ${(error as Error).message}`);
  }
}

/** Options for everything that talks to a registry. Reads the files that the flags name, and warns of absent ones. */
export async function artifactOptions(context: Context, args: Arguments): Promise<ArtifactOptions> {
  const { cwd, env, signal } = context;
  const given = args.value("docker-config-json-path");
  const named = given === undefined ? undefined : resolve(cwd, given);
  const directory = named ?? env["DOCKER_CONFIG"];
  if (directory && !existsSync(dockerConfigFile(directory))) {
    context.log(
      "WARN",
      "Docker config file not found. Check if you are pointing to the directory containing the file. " +
        `The file path should be ${dockerConfigFile(directory)}.`,
    );
  }
  const progress = progressBar(context);
  return {
    sources: await sourcesFor(context, args.value("sources-path")),
    env,
    signal,
    // The variable is read where the logins are: the flag keeps all other places out, and it doesn't.
    ...(named === undefined ? {} : { dockerConfigDir: named }),
    onEvent(event: ArtifactEvent) {
      if (event.kind === "progress") return progress(event);
      const fields = Object.fromEntries(
        Object.entries(event.fields).map(([name, value]) => [name, JSON.stringify(value)]),
      );
      const level = DETAILS.has(event.message) ? "DEBUG" : LEVELS[event.level] ?? "INFO";
      context.log(level, event.message, fields);
    },
  };
}
