/** `bench`: how long policies take, alone, beside another policy, or beside another runtime. */
import { spawn } from "node:child_process";
import { resolve } from "node:path";
import process from "node:process";
import { DefinitionEvaluator, distinctModules, type ReadyDefinition } from "../apply/evaluator.ts";
import {
  type EvaluationInputs,
  loadModules,
  readInputs,
  type RequestInput,
} from "../apply/evaluation_inputs.ts";
import { type HostWorld, worldFromFlags } from "../apply/host_world.ts";
import { readDefinitions } from "../apply/definitions.ts";
import { measure, type MeasureOptions } from "../apply/measure.ts";
import { comparisonText, type Measured, type Side } from "../render/bench_text.ts";
import { percentile } from "../render/statistics.ts";
import { compactJson } from "../render/yaml.ts";
import { type Arguments, CliError, type Context, type Run } from "../types/command.ts";
import { COMMANDS } from "../types/commands.ts";
import { type Definition, titleOf } from "../types/definition.ts";
import { append } from "../../program/types/lists.ts";

function numberOf(args: Arguments, flag: string, preset: number, unit: "seconds" | "number"): number {
  const text = args.value(flag);
  if (text === undefined) return preset;
  // `Number` also reads blanks, hexadecimals and exponents, which 1.36 refuses.
  const value = /^\+?\d+(?:\.\d+)?$/.test(text) ? Number(text) : NaN;
  const good = unit === "seconds"
    ? value > 0 && value <= 86_400
    : Number.isInteger(value) && value > 0 && value <= 1e7;
  if (!good) {
    throw new CliError(
      `Cannot convert '${flag}' to ${unit}: ${JSON.stringify(text)} is not a positive number in range`,
    );
  }
  return value;
}

function optionsOf({ cwd }: Context, args: Arguments): MeasureOptions {
  return {
    measurementMs: numberOf(args, "measurement-time", 5, "seconds") * 1000,
    warmUpMs: numberOf(args, "warm-up-time", 3, "seconds") * 1000,
    samples: numberOf(args, "num-samples", 100, "number"),
    resamples: numberOf(args, "num-resamples", 100_000, "number"),
    resultsFolder: args.has("dump-results-to-disk") ? resolve(cwd, "target/tiny-bench") : undefined,
    print: !args.has("json"),
  };
}

const sideOf = (name: string, { label, single, summary }: Measured): Side => ({
  name,
  label,
  meanMs: summary.mean,
  p50Ms: percentile(single, 0.5),
  p99Ms: percentile(single, 0.99),
});

interface Bench {
  readonly context: Context;
  readonly args: Arguments;
  readonly inputs: EvaluationInputs;
  readonly options: MeasureOptions;
  /** One for all definitions: they share a recording. */
  readonly world: HostWorld;
}

/** What is measured is one request. Throws {@link CliError} for a file of several. */
function onlyRequest({ requests }: EvaluationInputs): RequestInput {
  if (requests.length > 1) {
    throw new CliError(`the request file holds ${requests.length} objects: bench measures one request`);
  }
  return requests[0]!;
}

/** Measures one definition: validating its settings, and the request. */
async function benchDefinition(
  { context, inputs, options, world }: Bench,
  definition: Definition,
): Promise<Measured[]> {
  const title = titleOf(definition);
  const evaluator = new DefinitionEvaluator(context, inputs.options, world);
  try {
    const { review, raw } = onlyRequest(inputs).reviewFor(definition);
    let ready: ReadyDefinition;
    try {
      ready = await evaluator.load(definition, inputs.modules);
    } catch (error) {
      throw new CliError(`[${title}] - ${(error as Error).message}`);
    }
    if (ready.settings !== undefined) {
      throw new CliError(`[${title}] - [${title}] - provided settings are not valid: ${ready.settings}`);
    }
    const measured = [
      await measure(context, "validate_settings", () => evaluator.validateSettings(ready), options),
      await measure(context, "validate", () => {
        // A session that is played back begins anew each time (spec/cli.md, sharp edge 18).
        world.begin(true);
        return evaluator.judge(ready, review, raw);
      }, options),
    ];
    if (!options.print) {
      for (const one of measured) {
        context.out(
          `${compactJson({ definition: title, ...sideOf("", one), iterations: one.iterations })}\n`,
        );
      }
    }
    return measured;
  } finally {
    await evaluator.close();
  }
}

/** The other policy, with everything else as it is for the first. */
async function otherInputs({ context, args, inputs }: Bench, policy: string): Promise<EvaluationInputs> {
  const definitions = await readDefinitions(context, policy, args);
  const modules = await loadModules(context, distinctModules(definitions), inputs.options, inputs.fetching);
  return { ...inputs, definitions, modules: new Map([...inputs.modules, ...modules]) };
}

/** Where Bun keeps the script of a single executable. */
const IN_EXECUTABLE = /^(\/\$bunfs\/|[A-Z]:[\\/]~BUN)/;

/** What is this run's own business, and not the other's. */
const OWN_FLAGS = [
  "against",
  "against-runtime",
  "dump-results-to-disk",
  "json",
  "record-host-capabilities-interactions",
  "request-path",
];

/** The flags as they were given, without {@link OWN_FLAGS}. */
function passedOn(args: Arguments): readonly string[] {
  const { flags = [] } = COMMANDS.find(({ name }) => name === "bench")!;
  return flags.filter(({ name }) => args.has(name) && !OWN_FLAGS.includes(name)).flatMap((flag) => {
    const word = `--${flag.name}`;
    if (flag.greedy) return [word, ...args.values(flag.name)];
    if (flag.repeatable) return args.values(flag.name).map((value) => `${word}=${value}`);
    return [flag.value === undefined ? word : `${word}=${args.value(flag.name)}`];
  });
}

/** Runs the same command on another runtime and reads what it measured. */
async function onRuntime({ context, args, inputs }: Bench, runtime: string): Promise<readonly Side[]> {
  const script = process.argv[1];
  if (script === undefined || IN_EXECUTABLE.test(script) || !/\.[jt]s$|\/(reeve|kwctl)$/.test(script)) {
    throw new CliError(
      "--against-runtime needs the tool as a script: a single executable carries its runtime",
    );
  }
  // The request was read here already: standard input can't be read twice.
  const words = [
    "bench",
    "--json",
    "--request-path",
    "-",
    ...passedOn(args),
    "--",
    args.word("uri_or_sha_prefix_or_yaml_file"),
  ];
  const child = spawn(runtime, [script, ...words], {
    cwd: context.cwd,
    env: context.env as NodeJS.ProcessEnv,
    stdio: ["pipe", "pipe", "inherit"],
    signal: context.signal,
  });
  // If it ends before it reads, its exit code says more.
  child.stdin.on("error", () => {});
  child.stdin.end(onlyRequest(inputs).json);
  const output: Uint8Array[] = [];
  child.stdout.on("data", (piece: Uint8Array) => output.push(piece));
  const code = await new Promise<number | null>((settle, reject) => {
    child.on("error", (error) => reject(new CliError(`cannot run ${runtime}: ${error.message}`)));
    child.on("close", settle);
  });
  if (code !== 0) throw new CliError(`the benchmark on ${runtime} failed with exit code ${code}`);
  return Buffer.concat(output).toString().trimEnd().split("\n").map((line) => ({
    ...JSON.parse(line) as Side,
    name: runtime,
  }));
}

/** Says how the second ones compare with the first; in JSON each has its line, and there is nothing more to say. */
function compare(
  { context, options }: Bench,
  name: string,
  first: readonly Measured[],
  second: readonly Side[],
): void {
  if (!options.print) return;
  context.out(comparisonText(
    first.flatMap((one, index) =>
      second[index] === undefined ? [] : [[sideOf(name, one), second[index]] as const]
    ),
  ));
}

export const run: Run = async (context, args) => {
  const options = optionsOf(context, args);
  const policy = args.word("uri_or_sha_prefix_or_yaml_file");
  const inputs = await readInputs(context, args, policy);
  const world = await worldFromFlags(context, args, inputs.fetching);
  const bench: Bench = { context, args, inputs, options, world };
  try {
    const measured: Measured[] = [];
    for (const definition of inputs.definitions) append(measured, await benchDefinition(bench, definition));
    const against = args.value("against");
    if (against !== undefined) {
      const other = { ...bench, inputs: await otherInputs(bench, against) };
      const second: Measured[] = [];
      for (const definition of other.inputs.definitions) {
        append(second, await benchDefinition(other, definition));
      }
      compare(bench, policy, measured, second.map((one) => sideOf(against, one)));
    }
    const runtime = args.value("against-runtime");
    if (runtime !== undefined) {
      const second = await onRuntime(bench, runtime);
      if (!options.print) {
        for (const side of second) context.out(`${compactJson({ runtime, ...side })}\n`);
      }
      compare(bench, process.execPath, measured, second);
    }
  } finally {
    await world.close();
  }
};
