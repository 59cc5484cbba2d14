/** `bench`: how long policies take, alone, beside another policy, or beside another runtime. */
import { spawn } from "node:child_process";
import { resolve } from "node:path";
import process from "node:process";
import { DefinitionEvaluator, distinctModules, type ReadyDefinition } from "../apply/evaluator.ts";
import { type EvaluationInputs, loadModules, readInputs } from "../apply/evaluation_inputs.ts";
import { fetchingFromFlags } from "../apply/fetching.ts";
import { worldFromFlags } from "../apply/host_world.ts";
import { readDefinitions } from "../apply/definitions.ts";
import { measure, type MeasureOptions } from "../apply/measure.ts";
import { comparisonText, type Measured, type Side } from "../render/bench_text.ts";
import { percentile } from "../render/statistics.ts";
import { type Arguments, CliError, type Context, type Run } from "../types/command.ts";
import { type Definition, titleOf } from "../types/definition.ts";

function numberOf(args: Arguments, flag: string, preset: number, unit: "seconds" | "number"): number {
  const text = args.value(flag);
  if (text === undefined) return preset;
  const value = Number(text);
  const good = unit === "seconds"
    ? value > 0 && value <= 86_400
    : Number.isInteger(value) && value > 0 && value <= 1e7;
  if (text.trim() === "" || !good) {
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
}

/** Measures one definition: validating its settings, and the request. */
async function benchDefinition(
  { context, args, inputs, options }: Bench,
  definition: Definition,
): Promise<Measured[]> {
  const title = titleOf(definition);
  const world = await worldFromFlags(context, args, inputs.artifact, inputs.trustRoot);
  const evaluator = new DefinitionEvaluator(context, inputs.options, world);
  try {
    const { review, raw } = inputs.reviewFor(definition);
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
        // A session that is played back begins anew each time (sharp edge 18).
        world.begin();
        return evaluator.judge(ready, review, raw);
      }, options),
    ];
    if (!options.print) {
      for (const one of measured) {
        context.out(
          `${JSON.stringify({ definition: title, ...sideOf("", one), iterations: one.iterations })}\n`,
        );
      }
    }
    return measured;
  } finally {
    await evaluator.close();
    await world.close();
  }
}

/** The other policy, with everything else as it is for the first. */
async function otherInputs({ context, args, inputs }: Bench, policy: string): Promise<EvaluationInputs> {
  const definitions = await readDefinitions(context, policy, args);
  const fetching = await fetchingFromFlags(context, args);
  const modules = await loadModules(context, distinctModules(definitions), inputs.options, fetching);
  return { ...inputs, definitions, modules: new Map([...inputs.modules, ...modules]) };
}

/** Runs the same command on another runtime and reads what it measured. */
async function onRuntime({ context, args }: Bench, runtime: string): Promise<readonly Side[]> {
  const script = process.argv[1];
  if (script === undefined || !/\.[jt]s$|\/(reeve|kwctl)$/.test(script)) {
    throw new CliError(
      "--against-runtime needs the tool as a script: a single executable carries its runtime",
    );
  }
  const words = ["bench", "--json", args.word("uri_or_sha_prefix_or_yaml_file")];
  for (
    const flag of [
      "request-path",
      "settings-path",
      "settings-json",
      "execution-mode",
      "measurement-time",
      "warm-up-time",
    ]
  ) {
    const value = args.value(flag);
    if (value !== undefined) words.push(`--${flag}`, value);
  }
  for (const flag of ["raw", "allow-context-aware"]) if (args.has(flag)) words.push(`--${flag}`);
  const child = spawn(runtime, [script, ...words], {
    cwd: context.cwd,
    env: context.env as NodeJS.ProcessEnv,
    stdio: ["ignore", "pipe", "inherit"],
    signal: context.signal,
  });
  let output = "";
  child.stdout.on("data", (piece: Uint8Array) => output += new TextDecoder().decode(piece));
  const code = await new Promise<number | null>((settle, reject) => {
    child.on("error", (error) => reject(new CliError(`cannot run ${runtime}: ${error.message}`)));
    child.on("close", settle);
  });
  if (code !== 0) throw new CliError(`the benchmark on ${runtime} failed with exit code ${code}`);
  return output.trimEnd().split("\n").map((line) => ({ ...JSON.parse(line) as Side, name: runtime }));
}

export const run: Run = async (context, args) => {
  const options = optionsOf(context, args);
  const policy = args.word("uri_or_sha_prefix_or_yaml_file");
  const inputs = await readInputs(context, args, policy);
  const bench: Bench = { context, args, inputs, options };
  const measured: Measured[] = [];
  for (const definition of inputs.definitions) measured.push(...await benchDefinition(bench, definition));
  const against = args.value("against");
  if (against !== undefined) {
    const other = await otherInputs(bench, against);
    const second: Measured[] = [];
    for (const definition of other.definitions) {
      second.push(...await benchDefinition({ ...bench, inputs: other }, definition));
    }
    context.out(comparisonText(
      measured.flatMap((one, index) =>
        second[index] === undefined ? [] : [[sideOf(policy, one), sideOf(against, second[index])] as const]
      ),
    ));
  }
  const runtime = args.value("against-runtime");
  if (runtime !== undefined) {
    const others = await onRuntime(bench, runtime);
    context.out(comparisonText(
      measured.flatMap((one, index) =>
        others[index] === undefined ? [] : [[sideOf(process.execPath, one), others[index]] as const]
      ),
    ));
  }
};
