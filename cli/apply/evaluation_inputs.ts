/** Everything that `run`, `bench` and `explain` read before they evaluate, in the order that decides which error wins (`spec/cli.md §7.1`). */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { readModule } from "../../artifact/mod.ts";
import type { Review } from "../../evaluator/render/review.ts";
import { osErrorText } from "../../program/render/os_error.ts";
import { type GivenRequest, requestsIn, requestText } from "../render/manifest_request.ts";
import { reviewOf } from "../render/review_body.ts";
import type { Admission, Operation } from "../types/admission.ts";
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
import { isGzip, isWasm, moduleInBundle } from "./opa_bundle.ts";
import { pathsOf } from "./paths.ts";
import { shownUri } from "./resolve.ts";

/** One request, as a file gives it. */
export interface RequestInput extends GivenRequest {
  /** The request as one definition reads it. */
  readonly reviewFor: (definition: Definition) => { readonly review: Review; readonly raw: boolean };
}

export interface EvaluationInputs {
  readonly definitions: readonly Definition[];
  readonly modules: ReadonlyMap<string, LoadedModule>;
  readonly options: EvaluatorOptions;
  /** What modules are fetched with, and what policies' questions are answered with. */
  readonly fetching: Fetching;
  /** The requests of the file, in its order: one, or one for each manifest. */
  readonly requests: readonly RequestInput[];
}

/** What the flags say of requests that are made of manifests. */
async function admissionFromFlags(context: Context, args: Arguments): Promise<Admission> {
  const old = args.value("old-object");
  return {
    operation: args.value("operation") as Operation | undefined,
    user: args.value("user"),
    groups: args.has("group") ? args.values("group") : undefined,
    namespace: args.value("namespace"),
    oldObject: old === undefined
      ? undefined
      : { text: requestText(await requestBytes(context, old), old), from: old },
  };
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

/** How other files begin that are given in a module's place, and what to do about it. */
const OTHER_FILES: readonly (readonly [RegExp, string])[] = [
  // deno-lint-ignore no-control-regex
  [/^PK\x03\x04/, "it is a ZIP archive; unpack it and give the module in it"],
  [/^version https:\/\/git-lfs\./, "it is a pointer of Git LFS; get the module itself with `git lfs pull`"],
  [
    /^\s*<(?:!doctype\s+)?html\b/i,
    "it is a page of HTML, as a download that failed leaves it; download it again",
  ],
  [
    /^[^]{257}ustar/,
    "it is a tar archive that isn't compressed; an OPA bundle is one that `gzip` has compressed, and of other archives " +
    "the module in it is wanted",
  ],
  [/^\x7fELF|^MZ|^#!/, "it is a program of an operating system; build the policy for WebAssembly"],
];

/** What somebody gave in a module's place, and what to do. */
function whatItIs(bytes: Uint8Array): string {
  const head = new TextDecoder().decode(bytes.subarray(0, 4096));
  if (bytes.length === 0) return "not a WebAssembly module: it is empty";
  for (const [pattern, what] of OTHER_FILES) {
    if (pattern.test(head)) return `not a WebAssembly module: ${what}`;
  }
  if (/"?\bapiVersion"?\s*:/.test(head)) {
    return "not a WebAssembly module: it looks like a resource of Kubernetes; a policy's custom resource is read from a " +
      "file whose name ends in .yml, .yaml or .json";
  }
  if (/^\s*package\s+[\w.]+/m.test(head)) {
    return "not a WebAssembly module: it looks like Rego; build it with `opa build -t wasm -e PACKAGE/RULE`";
  }
  if (/\bfrom\s*["']portreeve\/policy["']/.test(head)) {
    return "not a WebAssembly module: it is a policy in TypeScript or JavaScript; build it with `reeve build`";
  }
  if (/^\s*\(module\b/.test(head)) {
    return "not a WebAssembly module: it is WebAssembly's text format; translate it with `wat2wasm`";
  }
  return "not a WebAssembly module: it does not begin with the bytes 00 61 73 6d";
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
  const modules = new Map<string, LoadedModule>();
  for (const { uri, bytes } of files) {
    const module = isGzip(bytes) ? await moduleInBundle(bytes, uri) : bytes;
    if (!isWasm(module)) throw new CliError(`${shownUri(uri)}: ${whatItIs(module)}`);
    try {
      modules.set(uri, lookAt(module, options.mode, uri));
    } catch (error) {
      // 1.36 names none; of several it has to be said which.
      if (!(error instanceof CliError) || uris.length === 1 || error.message.includes(shownUri(uri))) {
        throw error;
      }
      throw new CliError(`${error.message} (${shownUri(uri)})`);
    }
  }
  return modules;
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
  const asRaw = args.has("raw");
  const file = await requestBytes(context, requestPath);
  const given = requestsIn(file, from, asRaw, await admissionFromFlags(context, args));
  const review = given.map(({ json, about }) => {
    const reviewed = new Map<boolean, Review>();
    return (raw: boolean) => {
      let read = reviewed.get(raw);
      if (read !== undefined) return read;
      try {
        read = reviewOf(json, raw);
      } catch (error) {
        if (!(error instanceof CliError)) throw error;
        throw new CliError(`${error.message} (${about === undefined ? from : `${about}, ${from}`})`);
      }
      reviewed.set(raw, read);
      return read;
    };
  });
  if (asRaw) review[0]!(true);
  const fetching = await fetchingFromFlags(context, args);
  const modules = await loadModules(context, distinctModules(definitions), options, fetching);
  return {
    definitions,
    modules,
    options,
    fetching,
    requests: given.map((request, index) => ({
      ...request,
      reviewFor(definition) {
        const raw = asRaw || judgesRaw(definition, modules);
        return { review: review[index]!(raw), raw };
      },
    })),
  };
}
