/** Evaluates policies and groups for one command: modules, settings, host capabilities, verdicts. */
import { hostCallHandler } from "../../evaluator/apply/host_calls.ts";
import { InlineEvaluator } from "../../evaluator/apply/inline.ts";
import { InlineFirstEvaluator } from "../../evaluator/apply/inline_first.ts";
import { EvaluatorPool } from "../../evaluator/apply/pool.ts";
import { prepareModule, readMetadata } from "../../evaluator/apply/prepare.ts";
import { workerUrl } from "../../evaluator/apply/worker_url.ts";
import { readExpression } from "../../evaluator/render/group_expression.ts";
import type { Review } from "../../evaluator/render/review.ts";
import type { PolicyLogEntry } from "../../evaluator/types/evaluation.ts";
import type { CapabilityAllowList } from "../../evaluator/types/host_capabilities.ts";
import type { ContextAwareResource, ExecutionMode, PolicyMetadata } from "../../evaluator/types/metadata.ts";
import { evaluate } from "../../policy_server/apply/evaluate.ts";
import type { Log } from "../../policy_server/apply/log.ts";
import { createMetrics } from "../../policy_server/apply/metrics.ts";
import type { Evaluable, PolicySet, ServedPolicy } from "../../policy_server/apply/policy_set.ts";
import type { AdmissionResponse } from "../../admission/types/admission.ts";
import type { PolicyModule } from "../../policy_server/types/policies.ts";
import { checkVersion, executionMode } from "../render/module_mode.ts";
import { CliError, type Context } from "../types/command.ts";
import { type Definition, type ModuleDefinition, modulesOf, titleOf } from "../types/definition.ts";
import { COMPATIBLE_VERSION } from "../types/version.ts";
import type { HostWorld } from "./host_world.ts";
import { shownUri } from "./resolve.ts";

/** A module that was fetched and looked at. */
export interface LoadedModule {
  readonly bytes: Uint8Array;
  readonly metadata: PolicyMetadata | undefined;
  readonly mode: ExecutionMode;
}

/** How modules are run. */
export interface EvaluatorOptions {
  readonly allowed: CapabilityAllowList;
  /** How the user wants modules to be run; undefined: as their metadata says. */
  readonly mode: ExecutionMode | undefined;
  /** Milliseconds that one call may take. */
  readonly limitMs: number;
  readonly memoryMib: number;
}

/** A definition that is ready to judge. */
export interface ReadyDefinition {
  readonly definition: Definition;
  readonly served: ServedPolicy;
  readonly settings: SettingsCheck;
}

/** What came of validating settings: undefined when they are good, else the whole text. */
export type SettingsCheck = string | undefined;

/** As long as the servers wait by default, and a little more: a laptop's first evaluation is not a server's. */
export const DEFAULT_LIMIT_MS = 10_000;
const MEMORY_MIB = 256;
/** What takes longer in the calling thread is begun anew in another. */
const INLINE_MS = 500;

/** The options that flags give. */
export function evaluatorOptions(allowed: CapabilityAllowList, mode: string | undefined): EvaluatorOptions {
  return {
    allowed,
    mode: mode === undefined ? undefined : mode === "kubewarden" ? "kubewarden-wapc" : mode as ExecutionMode,
    limitMs: DEFAULT_LIMIT_MS,
    memoryMib: MEMORY_MIB,
  };
}

/** Reads what the module at `uri` is. Throws {@link CliError}. */
export function lookAt(bytes: Uint8Array, wanted: ExecutionMode | undefined, uri: string): LoadedModule {
  let metadata: PolicyMetadata | undefined;
  try {
    metadata = readMetadata(bytes);
  } catch (error) {
    throw new CliError(`${(error as Error).message} (${shownUri(uri)})`);
  }
  checkVersion(metadata, COMPATIBLE_VERSION);
  return { bytes, metadata, mode: executionMode(bytes, metadata, wanted) };
}

/** Log entries of the server's rooms, as this tool shows them. */
function logOf({ log, verbose }: Context): Log {
  const method = (level: "DEBUG" | "INFO" | "WARN" | "ERROR") => (message: string, fields = {}) =>
    log(
      level,
      message,
      Object.fromEntries(
        Object.entries(fields).map(([name, value]) => [name, JSON.stringify(value ?? null)]),
      ),
    );
  return {
    trace: method("DEBUG"),
    debug: method("DEBUG"),
    info: method("INFO"),
    warn: method("WARN"),
    error: method("ERROR"),
    enabled: (level) => verbose || (level !== "debug" && level !== "trace"),
    flush: () => {},
  } as Log;
}

/** Evaluates one definition after the other. Close it when all is done. */
export class DefinitionEvaluator {
  readonly #context: Context;
  readonly #options: EvaluatorOptions;
  readonly #world: HostWorld;
  readonly #evaluator: InlineFirstEvaluator;
  readonly #log: Log;
  readonly #prepared = new Map<string, Promise<number>>();
  /** Of modules whose metadata say that they change nothing, whether the person was told that one does. */
  readonly #unchanging = new Map<string, boolean>();
  readonly #warn: Context["log"];
  readonly #metrics = createMetrics();

  /** `warn` tells the author what is wrong with a module, where what policies log is shown elsewhere or not at all. */
  constructor(context: Context, options: EvaluatorOptions, world: HostWorld, warn = context.log) {
    this.#context = context;
    this.#warn = warn;
    this.#options = options;
    this.#world = world;
    this.#log = logOf(context);
    const onLog = (policy: string, { level, message, data }: PolicyLogEntry) =>
      this.#log[level](message, { policy_id: policy, ...(data === undefined ? {} : { data }) });
    // A process that runs one policy once starts much sooner in its own thread. A guest that asks has to wait for the host's answer,
    // which this thread is the one to get, as it is the one that hears of Ctrl-C.
    this.#evaluator = new InlineFirstEvaluator({
      Inline: InlineEvaluator,
      inlineMs: INLINE_MS,
      answersAtOnce: false,
      onLog,
      openPool: async () =>
        new EvaluatorPool({
          worker: await workerUrl(),
          threads: 1,
          spare: false,
          ownProcess: true,
          onLog,
          onThreadError: (message) => this.#log.error(message),
        }),
    });
  }

  #prepare(uri: string, { bytes, mode }: LoadedModule): Promise<number> {
    let prepared = this.#prepared.get(uri);
    if (prepared === undefined) {
      const { memoryMib } = this.#options;
      prepared = prepareModule(bytes, { memoryMib }, mode).then(
        (module) => this.#evaluator.addModule(module),
        (error) => {
          throw new CliError(`${shownUri(uri)}: ${(error as Error).message}`);
        },
      );
      this.#prepared.set(uri, prepared);
    }
    return prepared;
  }

  /** The kinds that a module may read, with the warnings that it wants more. */
  #granted({ grants }: ModuleDefinition, { metadata }: LoadedModule): readonly ContextAwareResource[] {
    const { log } = this.#context;
    if (grants.kind === "listed") return grants.resources;
    const wanted = metadata?.contextAwareResources ?? [];
    if (grants.agreed) {
      if (metadata === undefined) {
        log("INFO", "Policy is not annotated, access to Kubernetes resources is not allowed");
      }
      return wanted;
    }
    if (wanted.length > 0) {
      log(
        "WARN",
        "Policy requires access to Kubernetes resources at evaluation time. During this execution the access to " +
          "Kubernetes resources is denied. This can cause the policy to not behave properly",
      );
      log(
        "WARN",
        "Carefully review which types of Kubernetes resources the policy needs via the `inspect` command, then run " +
          "the policy using the `--allow-context-aware` flag.",
      );
    }
    return [];
  }

  async #member(
    id: string,
    module: ModuleDefinition,
    loaded: LoadedModule,
  ): Promise<{ readonly policy: number; readonly entry: PolicyModule }> {
    const { allowed, limitMs } = this.#options;
    const contextAwareResources = this.#granted(module, loaded);
    const definition = {
      id,
      module: await this.#prepare(module.uri, loaded),
      settings: new TextEncoder().encode(module.settingsJson),
      limitMs,
      contextAwareResources,
    };
    const { capabilities, inventory, granted = allowed } = this.#world.forPolicy(contextAwareResources);
    const handler = hostCallHandler(
      { policy: id, contextAwareResources },
      granted,
      capabilities,
      (policy, capability, list) =>
        this.#log.error("Policy tried to access a host capability that it was not granted", {
          policy,
          capability,
          allowed_capabilities: list,
        }),
      inventory,
    );
    return {
      policy: this.#evaluator.addPolicy(definition, handler),
      entry: {
        module: module.uri,
        settingsJson: module.settingsJson,
        contextAwareResources,
        timeoutEvalSeconds: null,
        hostCapabilities: ["*"],
      },
    };
  }

  /** Whether a policy takes its settings; the text says why not, undefined that it does. Throws {@link CliError}. */
  async #refusal(policy: number, uri: string): Promise<string | undefined> {
    const outcome = await this.#evaluator.validateSettings(policy);
    if (outcome.kind === "error") throw new CliError(`${shownUri(uri)}: ${outcome.message}`);
    if (outcome.kind !== "settings" || outcome.settings.valid) return undefined;
    return outcome.settings.message ?? "";
  }

  /** Makes a definition ready and validates its settings. Throws {@link CliError}. */
  async load(definition: Definition, modules: ReadonlyMap<string, LoadedModule>): Promise<ReadyDefinition> {
    this.#world.begin();
    const name = definition.id.replaceAll("/", "_");
    if (definition.kind === "policy") {
      const { policy, entry } = await this.#member(name, definition, modules.get(definition.uri)!);
      const { mode: policyMode, allowedToMutate, message, uri } = definition;
      const changesNothing = modules.get(uri)?.metadata?.mutating === false;
      // What a resource says of mutation is what a server goes by.
      if (definition.grants.kind === "metadata" && changesNothing && !this.#unchanging.has(uri)) {
        this.#unchanging.set(uri, false);
      }
      return {
        definition,
        served: {
          kind: "policy",
          entry: { ...entry, kind: "policy", name, policyMode, allowedToMutate, message },
          evaluable: { kind: "ready", policy, traced: {} },
        },
        settings: await this.#refusal(policy, definition.uri),
      };
    }
    const { expression: text, message, mode: policyMode } = definition;
    const members = new Map<string, Evaluable>();
    const policies = new Map<string, PolicyModule>();
    const refusals: string[] = [];
    for (const [member, module] of definition.members) {
      const { policy, entry } = await this.#member(member, module, modules.get(module.uri)!);
      members.set(member, { kind: "ready", policy, traced: {} });
      policies.set(member, entry);
      const refusal = await this.#refusal(policy, module.uri);
      if (refusal !== undefined) {
        refusals.push(`${name}/${member}: settings not valid: Policy settings are invalid: ${refusal}`);
      }
    }
    refusals.sort();
    const expression = await readExpression(text, [...members.keys()]);
    if (typeof expression === "string") refusals.push(`${name}: ${expression}`);
    return {
      definition,
      served: {
        kind: "group",
        entry: { kind: "group", name, policyMode, policies, expression: text, message },
        members,
        expression,
      },
      settings: refusals.length > 0 ? refusals.join(", ") : undefined,
    };
  }

  /** Judges a request. Throws {@link CliError} where the policy can't be run at all. */
  async judge(
    { definition, served }: ReadyDefinition,
    review: Review,
    raw: boolean,
  ): Promise<AdmissionResponse> {
    const name = served.entry.name;
    const set: PolicySet = { policies: new Map([[name, served]]), dispose: () => {} };
    const context = {
      pool: this.#evaluator,
      metrics: this.#metrics,
      log: this.#log,
      alwaysAcceptNamespace: null,
    };
    const evaluated = await evaluate(context, set, name, review, raw ? "raw" : "validate");
    if (evaluated.kind === "response") {
      const { response } = evaluated;
      if (response.patch !== undefined && definition.kind === "policy") this.#warnOfChange(definition.uri);
      return response;
    }
    throw new CliError(
      evaluated.kind === "error" ? evaluated.reason : `${titleOf(definition)} cannot be evaluated`,
    );
  }

  /** A policy may change nothing where its metadata say so: a manifest made of them says `mutating: false`. */
  #warnOfChange(uri: string): void {
    if (this.#unchanging.get(uri) !== false) return;
    this.#unchanging.set(uri, true);
    this.#warn(
      "WARN",
      "the policy changes the request, and its metadata says mutating: false: a server that goes by that rejects " +
        "the request; write mutating: true into the metadata",
      { policy: shownUri(uri) },
    );
  }

  /** Asks a definition's modules whether they take their settings, and forgets the answers. */
  async validateSettings({ definition, served }: ReadyDefinition): Promise<void> {
    const evaluables = served.kind === "policy" ? [served.evaluable] : [...served.members.values()];
    for (const evaluable of evaluables) {
      if (evaluable.kind === "ready") await this.#refusal(evaluable.policy, titleOf(definition));
    }
  }

  close(): Promise<void> {
    return this.#evaluator.close();
  }
}

/** Whether a definition judges any JSON, as its policy's metadata says; groups judge AdmissionRequests. */
export function judgesRaw(definition: Definition, modules: ReadonlyMap<string, LoadedModule>): boolean {
  return definition.kind === "policy" && modules.get(definition.uri)?.metadata?.policyType === "raw";
}

/** Every module of `definitions`, once. */
export function distinctModules(definitions: readonly Definition[]): readonly string[] {
  return [...new Set(definitions.flatMap((definition) => modulesOf(definition).map(({ uri }) => uri)))];
}
