/** Judges a policy by a suite. */
import { dirname } from "node:path";
import { noInventory } from "../../evaluator/apply/host_calls.ts";
import { type CapabilityAllowList, parseCapabilities } from "../../evaluator/types/host_capabilities.ts";
import { declaredAnswer } from "../render/declared_answers.ts";
import { responseFaults, settingsFaults } from "../render/expectation.ts";
import { requestsIn } from "../render/manifest_request.ts";
import { caseReview } from "../render/review_body.ts";
import { CliError, type Context } from "../types/command.ts";
import type { Definition } from "../types/definition.ts";
import type { CaseResult, Suite, SuiteCase, SuiteContext } from "../types/suite.ts";
import { readDefinitions } from "./definitions.ts";
import { DefinitionEvaluator, distinctModules, evaluatorOptions, judgesRaw } from "./evaluator.ts";
import { loadModules } from "./evaluation_inputs.ts";
import type { Fetching } from "./fetch_policy.ts";
import type { HostWorld } from "./host_world.ts";
import { OF_SETTINGS } from "./read_suite.ts";
import { answeringWorld, replayedWorld } from "./recording.ts";
import { append } from "../../program/types/lists.ts";

const NO_FLAGS = {
  has: () => false,
  value: () => undefined,
  values: () => [],
  word: () => "",
  words: () => [],
};

async function definitionOf(context: Context, suite: Suite): Promise<Definition> {
  const here = { ...context, cwd: dirname(suite.path) };
  const definitions = await readDefinitions(here, suite.policy, {
    ...NO_FLAGS,
    has: (flag: string) => flag === "allow-context-aware" && suite.contextAware,
  });
  const named = suite.definition === undefined
    ? definitions
    : definitions.filter(({ id }) => id === suite.definition);
  if (named.length === 1) return named[0]!;
  const ids = definitions.map(({ id }) => id).join(", ");
  throw new CliError(`${suite.path}: definition: say which of ${suite.policy} is meant: ${ids}`);
}

const NOTHING_GRANTED: CapabilityAllowList = { kind: "listed", prefixes: [], exact: [] };

/** Where a suite declares nothing, there is nothing, and unless it says otherwise nothing is granted. */
function emptyWorld(grantsSaid: boolean): HostWorld {
  return {
    begin: () => {},
    forPolicy: () => ({
      capabilities: {},
      inventory: noInventory,
      ...(grantsSaid ? {} : { granted: NOTHING_GRANTED }),
    }),
    close: () => Promise.resolve(),
  };
}

/** Tells what a session says, with the name of the case that plays it back: that is no policy's log. */
const namingLog = (context: Context, name: string): Context => ({
  ...context,
  log: (level, message, fields = {}) =>
    context.log(level, message, { case: JSON.stringify(name), ...fields }),
});

/** A world that the cases take turns to be in. Closing it leaves the one that is there, and tells what is left of its session. */
function switchingWorld(
  context: Context,
  empty: HostWorld,
): HostWorld & { enter(next: SuiteContext, name: string): void } {
  let current = empty;
  const worldOf = (next: SuiteContext, name: string): HostWorld => {
    switch (next.kind) {
      case "none":
        return empty;
      case "session":
        return replayedWorld(namingLog(context, name), next.exchanges);
      case "declared":
        return answeringWorld((request) => declaredAnswer(request, next.objects, next.answers));
    }
  };
  return {
    enter: (next, name) => current = worldOf(next, name),
    begin: (again) => current.begin(again),
    forPolicy: (resources) => current.forPolicy(resources),
    close: async () => {
      const left = current;
      current = empty;
      await left.close();
    },
  };
}

function withSettings(definition: Definition, { settings }: SuiteCase): Definition {
  if (settings === undefined) return definition;
  if (definition.kind === "policy") return { ...definition, settingsJson: settings };
  throw new CliError("settings: a group's members have settings of their own, in the YAML file");
}

/** The request of a case, which may be given as a manifest. Throws {@link CliError} for several. */
function onlyRequest(text: string, raw: boolean): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  if (raw) return bytes;
  const requests = requestsIn(bytes, "of the case", false);
  if (requests.length === 1) return requests[0]!.json;
  throw new CliError(`the request holds ${requests.length} objects: a case has one request`);
}

/** Runs the cases of a suite whose names contain `filter`. Throws {@link CliError} for a suite that can't be run. */
export async function runSuite(
  outside: Context,
  suite: Suite,
  fetching: Fetching,
  filter: string,
): Promise<readonly CaseResult[]> {
  // What policies log belongs to no report; who wants to see it asks for more words.
  const context = outside.verbose ? outside : { ...outside, log: () => {} };
  const allowed = parseCapabilities(suite.hostCapabilities ?? ["*"]);
  if (typeof allowed === "string") throw new CliError(`${suite.path}: hostCapabilities: ${allowed}`);
  const definition = await definitionOf(context, suite);
  const options = evaluatorOptions(allowed, suite.executionMode);
  const modules = await loadModules(context, distinctModules([definition]), options, fetching);
  const world = switchingWorld(outside, emptyWorld(suite.hostCapabilities !== undefined));
  const evaluator = new DefinitionEvaluator(context, options, world, outside.log);
  const results: CaseResult[] = [];
  try {
    for (const one of suite.cases) {
      if (!one.name.includes(filter)) continue;
      context.signal.throwIfAborted();
      const started = performance.now();
      const faults: string[] = [];
      try {
        world.enter(one.context, one.name);
        const ready = await evaluator.load(withSettings(definition, one), modules);
        append(faults, settingsFaults(one.expectations, ready.settings));
        if (one.request !== undefined && ready.settings === undefined) {
          const raw = suite.raw || judgesRaw(definition, modules);
          const review = caseReview(onlyRequest(one.request, raw), raw);
          append(faults, responseFaults(one.expectations, await evaluator.judge(ready, review, raw)));
        } else if (ready.settings !== undefined && faults.length === 0) {
          // What can't be looked at must not pass.
          const unseen = [...one.expectations.keys()].filter((member) => !OF_SETTINGS.includes(member));
          append(
            faults,
            unseen.map((member) => `${member} is expected, but with these settings nothing is judged`),
          );
        }
      } catch (error) {
        if (!(error instanceof CliError)) throw error;
        faults.push(error.message);
      }
      await world.close();
      results.push({ suite: suite.path, name: one.name, faults, milliseconds: performance.now() - started });
    }
  } finally {
    await evaluator.close();
    await world.close();
  }
  return results;
}
