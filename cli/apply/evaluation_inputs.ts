/** Everything that `run`, `bench` and `explain` read before they evaluate, in the order that decides which error wins (`spec/cli.md §7.1`). */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { readModule } from "../../artifact/mod.ts";
import type { Review } from "../../evaluator/render/review.ts";
import { osErrorText } from "../../policy_server/apply/os_error.ts";
import { jsonBytes, reviewOf } from "../render/review_body.ts";
import { type Arguments, CliError, type Context } from "../types/command.ts";
import type { Definition } from "../types/definition.ts";
import { capabilitiesFromFlags, readDefinitions } from "./definitions.ts";
import {
  distinctModules,
  type EvaluatorOptions,
  evaluatorOptions,
  judgesRaw,
  type LoadedModule,
  lookAt,
} from "./evaluator.ts";
import { fetchChecked, type Fetching } from "./fetch_policy.ts";
import { fetchingFromFlags } from "./fetching.ts";
import { pathsOf } from "./paths.ts";

export interface EvaluationInputs {
  readonly definitions: readonly Definition[];
  readonly modules: ReadonlyMap<string, LoadedModule>;
  readonly options: EvaluatorOptions;
  /** What modules are fetched with, and what policies' questions are answered with. */
  readonly fetching: Fetching;
  /** The request as it was given, JSON text. */
  readonly request: Uint8Array;
  /** The request as one definition reads it. */
  readonly reviewFor: (definition: Definition) => { readonly review: Review; readonly raw: boolean };
}

async function requestBytes(context: Context, path: string): Promise<Uint8Array> {
  if (path === "-") {
    try {
      return await context.stdin();
    } catch (error) {
      throw new CliError(`Error reading request from stdin: ${(error as Error).message}`);
    }
  }
  try {
    return await readFile(resolve(context.cwd, path));
  } catch (error) {
    throw new CliError(`Error opening request file ${path}; ${osErrorText(error)}`);
  }
}

/** Fetches the modules at `uris` and looks at them. Throws {@link CliError}. */
export async function loadModules(
  context: Context,
  uris: readonly string[],
  options: EvaluatorOptions,
  fetching: Fetching,
): Promise<ReadonlyMap<string, LoadedModule>> {
  const files: { readonly uri: string; readonly bytes: Uint8Array }[] = [];
  const destination = { kind: "store", root: pathsOf(context.env).store } as const;
  for (const uri of uris) {
    const { path, sha256 } = await fetchChecked(context, uri, destination, fetching);
    try {
      files.push({
        uri,
        bytes: sha256 === undefined ? await readFile(path) : await readModule(path, sha256),
      });
    } catch (error) {
      throw new CliError(`cannot read ${path}: ${osErrorText(error)}`);
    }
  }
  return new Map(files.map(({ uri, bytes }) => [uri, lookAt(bytes, options.mode)]));
}

/** Reads what the flags name. `policy` is the argument that names the policy. Throws {@link CliError}. */
export async function readInputs(
  context: Context,
  args: Arguments,
  policy: string,
): Promise<EvaluationInputs> {
  const options = evaluatorOptions(capabilitiesFromFlags(args), args.value("execution-mode"));
  const definitions = await readDefinitions(context, policy, args);
  const requestPath = args.value("request-path") ?? "-";
  const from = requestPath === "-" ? "from stdin" : requestPath;
  const request = jsonBytes(await requestBytes(context, requestPath), from);
  const asRaw = args.has("raw");
  const reviewed = new Map<boolean, Review>();
  const review = (raw: boolean) => {
    let read = reviewed.get(raw);
    if (read === undefined) reviewed.set(raw, read = reviewOf(request, raw));
    return read;
  };
  if (asRaw) review(true);
  const fetching = await fetchingFromFlags(context, args);
  const modules = await loadModules(context, distinctModules(definitions), options, fetching);
  return {
    definitions,
    modules,
    options,
    fetching,
    request,
    reviewFor(definition) {
      const raw = asRaw || judgesRaw(definition, modules);
      return { review: review(raw), raw };
    },
  };
}
