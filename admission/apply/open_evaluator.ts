/** What runs the modules of a policy or of a group, with threads or without, and what each module is given. */
import { isObject } from "../../program/types/json_object.ts";
import { hostCallHandler, noInventory } from "../../evaluator/apply/host_calls.ts";
import type { PolicyEvaluator } from "../../evaluator/apply/inline.ts";
import { InlineFirstEvaluator } from "../../evaluator/apply/inline_first.ts";
import { EvaluatorPool } from "../../evaluator/apply/pool.ts";
import { prepareModule, readMetadata } from "../../evaluator/apply/prepare.ts";
import { DEFAULT_THREADS, workerUrl } from "../../evaluator/apply/worker_url.ts";
import { boundedText } from "../../evaluator/render/bounded_text.ts";
import { jsonExcess } from "../../evaluator/render/json_size.ts";
import { type HostCallHandler, type PolicyLogEntry, TEXT } from "../../evaluator/types/evaluation.ts";
import { parseCapabilities } from "../../evaluator/types/host_capabilities.ts";
import { NO_METADATA, type PolicyMetadata } from "../../evaluator/types/metadata.ts";
import { errorReason, givenBytes, givenJson } from "../render/given_json.ts";
import type { ModuleOptions, PolicyLog, RunOptions } from "../types/options.ts";
import { PolicyError } from "../types/policy_error.ts";
import { loadPart } from "./load_part.ts";

/** A module that is known to an evaluator. */
export interface LoadedModule {
  readonly metadata: PolicyMetadata;
  /** Its number, by which the evaluator knows it. */
  readonly policy: number;
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const DEFAULT_TIMEOUT_MS = 2_000;
const DEFAULT_MEMORY_MIB = 256;

const invalid = (text: string) => new PolicyError("invalid_options", text);

/** An evaluator that has no modules yet. */
export async function openEvaluator(
  options: RunOptions,
  onLog: (entry: PolicyLog) => void,
): Promise<PolicyEvaluator> {
  const { threads = DEFAULT_THREADS, onThreadError } = options;
  const log = (policy: string, entry: PolicyLogEntry) => onLog({ policy, ...entry });
  const openPool = async (threads: number) =>
    new EvaluatorPool({
      worker: await loadPart(workerUrl()),
      threads,
      spare: false,
      onLog: log,
      ...(onThreadError && { onThreadError }),
    });
  if (threads > 0) return await openPool(threads);
  // The engine is large, and where there are threads it is theirs alone.
  const { InlineEvaluator } = await loadPart(import("../../evaluator/apply/inline.ts"));
  return new InlineFirstEvaluator({
    Inline: InlineEvaluator,
    inlineMs: Infinity,
    answersAtOnce: true,
    onLog: log,
    openPool: () => openPool(1),
  });
}

/**
 * Settings as the bytes that the policy gets. They become a part of the JSON that holds the request, too: text that is not one JSON
 * object could put another request in the place of the one that is evaluated.
 */
function settingsJson(settings: ModuleOptions["settings"]): Uint8Array {
  if (givenBytes(settings) !== undefined) {
    throw invalid("settings: they are bytes: give the text or the object");
  }
  const json = givenJson(
    settings === undefined ? {} : settings,
    (reason) => invalid(`settings: they can't be written as JSON: ${reason}`),
  );
  const excess = jsonExcess(json);
  if (excess !== undefined) throw invalid(`settings: they have ${excess}`);
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(json));
  } catch (error) {
    throw invalid(`settings: they are no JSON: ${errorReason(error)}`);
  }
  if (!isObject(value)) throw invalid("settings: they are no JSON object");
  return json;
}

const notGranted: HostCallHandler = ({ namespace, operation, inventory }) => ({
  ok: false,
  error: inventory
    ? TEXT.noInventory
    : `Policy has not been granted access to the '${
      boundedText(`${namespace}/${operation}`, 600)
    }' host capability. ` +
      "The violation has been reported.",
});

function handlerOf(name: string, options: ModuleOptions, metadata: PolicyMetadata): HostCallHandler {
  const { host, hostCapabilities, onHostCall } = options;
  if (onHostCall) {
    if (host || hostCapabilities) {
      throw invalid(`${name}: onHostCall answers all host calls; leave host and hostCapabilities out`);
    }
    return onHostCall;
  }
  const allowed = parseCapabilities(hostCapabilities ?? []);
  if (typeof allowed === "string") throw invalid(`${name}: hostCapabilities: ${allowed}`);
  if (!host) {
    if (hostCapabilities && hostCapabilities.length > 0) {
      throw invalid(
        `${name}: hostCapabilities are granted, and there is nothing to ask: give a host (hostCapabilities(…), replaySession(…))`,
      );
    }
    return notGranted;
  }
  const contextAwareResources = options.contextAwareResources ?? metadata.contextAwareResources;
  return hostCallHandler(
    { policy: name, contextAwareResources },
    allowed,
    host.capabilities,
    () => {},
    host.inventory ?? noInventory,
  );
}

/** Throws {@link PolicyError} unless the policy takes its settings. */
async function checkSettings(evaluator: PolicyEvaluator, policy: number, name: string): Promise<void> {
  const outcome = await evaluator.validateSettings(policy);
  if (outcome.kind === "error") throw new PolicyError("not_runnable", `${name}: ${outcome.message}`);
  if (outcome.kind !== "settings" || outcome.settings.valid) return;
  const reason = outcome.settings.message?.trim().replace(/\s*\n\s*/g, " ") || "it does not say why";
  throw new PolicyError("invalid_settings", `${name}: the policy refuses its settings: ${reason}`);
}

/**
 * Makes the module in `bytes` known to an evaluator, and has the policy check its settings. Throws {@link PolicyError} or
 * `ModuleError`.
 */
export async function loadModule(
  evaluator: PolicyEvaluator,
  bytes: Uint8Array,
  name: string,
  options: ModuleOptions,
  { timeoutMs = DEFAULT_TIMEOUT_MS, memoryMib = DEFAULT_MEMORY_MIB }: RunOptions,
): Promise<LoadedModule> {
  if (!(bytes instanceof Uint8Array)) throw invalid(`${name}: a module's bytes are a Uint8Array`);
  const metadata = readMetadata(bytes) ?? NO_METADATA;
  const handler = handlerOf(name, options, metadata);
  const settings = settingsJson(options.settings);
  const prepared = await prepareModule(bytes, { memoryMib });
  const definition = {
    id: name,
    module: evaluator.addModule(prepared),
    settings,
    limitMs: timeoutMs,
    contextAwareResources: options.contextAwareResources ?? metadata.contextAwareResources,
  };
  const policy = evaluator.addPolicy(definition, handler);
  if (options.validateSettings !== false) await checkSettings(evaluator, policy, name);
  return { metadata, policy };
}
