/**
 * The policies that a server serves, made ready from the entries of policies.yml: modules loaded, prepared once each,
 * settings validated (`spec/policy-server.md §3`). A set is immutable; a new one is built to the side and takes its place.
 */
import { createHash } from "node:crypto";
import { PortreeveError } from "../../program/types/error.ts";
import { type Capabilities, hostCallHandler, type OnViolation } from "../../evaluator/apply/host_calls.ts";
import type { EvaluatorPool } from "../../evaluator/apply/pool.ts";
import { type ModuleLimits, prepareModule, readMetadata } from "../../evaluator/apply/prepare.ts";
import { type Expression, readExpression } from "../../evaluator/render/group_expression.ts";
import type { InventoryHandler } from "../../evaluator/types/evaluation.ts";
import { parseCapabilities } from "../../evaluator/types/host_capabilities.ts";
import { NO_METADATA, type PolicyMetadata } from "../../evaluator/types/metadata.ts";
import type { PreparedModule } from "../../evaluator/types/module.ts";
import type { SpanFields, Tracer } from "../../telemetry/types/spans.ts";
import { evaluatorFields } from "../render/spans.ts";
import type { Policy, PolicyEntry, PolicyGroup, PolicyModule } from "../types/policies.ts";
import type { CodeMemory } from "./code_memory.ts";
import type { Log } from "./log.ts";
import type { LoadModule } from "./module_source.ts";
import { semaphore } from "./semaphore.ts";
import type { SharedModule, SharedModules } from "./shared_modules.ts";
import { readyPolicies, whenStalled } from "./stalled_policies.ts";

/** The version of the original whose policies are served (`minimumKubewardenVersion`). */
export const COMPATIBLE_VERSION = "1.36.0";

/** A policy or member that can be evaluated, or what is wrong with it. */
export type Evaluable =
  | {
    readonly kind: "ready";
    readonly policy: number;
    /** Who judges, as spans show it. */
    readonly traced: SpanFields;
  }
  | { readonly kind: "failed"; readonly reason: string };

/** What is served under one name. */
export type ServedPolicy =
  | { readonly kind: "policy"; readonly entry: Policy; readonly evaluable: Evaluable }
  | {
    readonly kind: "group";
    readonly entry: PolicyGroup;
    readonly members: ReadonlyMap<string, Evaluable>;
    /** The parsed expression, or what is wrong with it. */
    readonly expression: Expression | string;
  };

/** All policies by name. */
export interface PolicySet {
  readonly policies: ReadonlyMap<string, ServedPolicy>;
  /** Lets go of modules and guests as soon as no request needs them. */
  dispose(): void;
}

/** What makes modules and policies known to all who evaluate. */
export type Evaluators = Pick<EvaluatorPool, "addModule" | "addPolicy" | "remove" | "validateSettings">;

/** What a set is built with. */
export interface PolicySetOptions {
  readonly pool: Evaluators;
  readonly loadModule: LoadModule;
  /** What other sets of this server use too. */
  readonly modules: SharedModules;
  /** What the modules' compiled code may take. */
  readonly codeMemory: CodeMemory;
  readonly limits: ModuleLimits;
  /** Seconds that a policy without a timeout of its own may take; null: no limit for any policy. */
  readonly policyTimeoutSeconds: number | null;
  readonly continueOnErrors: boolean;
  readonly capabilities: Capabilities;
  /** What Rego policies see of the cluster. */
  readonly inventory: InventoryHandler;
  readonly log: Log;
  /** Absent unless spans are sent. */
  readonly tracer?: Tracer | undefined;
  /** Milliseconds of the process at which a part of a module arrived last. */
  readonly arrivedAt: () => number;
}

/** What keeps one policy from being served. */
export interface PolicyFailure {
  /** The name in policies.yml; `group/member` for a member. */
  readonly policy: string;
  /** Why. */
  readonly message: string;
  /** Whether it is a reason that all policies together are refused for; the name is then that of one of them. */
  readonly ofAll?: true;
}

/** A failure with the policy's name; texts of 1.36 that hold it already stay as they are. */
export function failureLine({ policy, message, ofAll }: PolicyFailure): string {
  const named = ofAll === true || message.startsWith(`bootstrap failure: ${policy}: `) ||
    message.includes(`'${policy}'`);
  return named ? message : `policy ${policy}: ${message}`;
}

/** Raised when policies can't be served. It names all of them, with the reason for each. */
export class PolicySetError extends PortreeveError {
  /** Always this one. */
  override readonly code = "policies_not_served";
  /** The name of the error. */
  override readonly name = "PolicySetError";
  /** What keeps each of them from being served. */
  readonly failures: readonly PolicyFailure[];

  /** Its message has a line for each failure. */
  constructor(failures: readonly PolicyFailure[]) {
    super(failures.map(failureLine).join("\n"));
    this.failures = failures;
  }
}

/** Modules that are fetched at once, and that are prepared at once. */
const PARALLEL_LOADS = 4;
/** A load that takes longer no longer keeps others waiting. */
const MAX_LOAD_TURN_MS = 5_000;

type Loaded =
  | { readonly kind: "loaded"; readonly module: number; readonly prepared: PreparedModule }
  | { readonly kind: "failed"; readonly reason: string };

/** Builds the set. Throws {@link PolicySetError}, having let go of all that was made ready. */
export async function buildPolicySet(
  entries: ReadonlyMap<string, PolicyEntry>,
  options: PolicySetOptions,
): Promise<PolicySet> {
  const builder = new Builder(options);
  try {
    return await builder.build(entries);
  } catch (error) {
    builder.dispose();
    throw error;
  }
}

/** A set that serves what is ready; `whole` is the one to put in its place when everything else is ready, or has failed. */
export interface OpenedPolicySet {
  readonly set: PolicySet;
  /** Absent where `set` is whole already. Never rejects. */
  readonly whole?: Promise<PolicySet>;
}

/**
 * Builds the first set. With `continueOnErrors`, policies that are ready don't wait for modules whose registry has stalled: until
 * these are there, their policies refuse every request. Throws {@link PolicySetError} like {@link buildPolicySet}.
 */
export async function openPolicySet(
  entries: ReadonlyMap<string, PolicyEntry>,
  options: PolicySetOptions,
): Promise<OpenedPolicySet> {
  const builder = new Builder(options);
  const whole = builder.build(entries);
  try {
    const set = options.continueOnErrors
      ? await Promise.race([whole, whenStalled(builder.served, entries.size, options.arrivedAt, whole)])
      : await whole;
    if (set !== undefined || builder.fatal) return { set: set ?? await whole };
    // The whole set, which takes the place of this one, lets go of everything.
    return {
      set: { policies: readyPolicies(entries, builder.served, options.log), dispose: () => {} },
      whole,
    };
  } catch (error) {
    builder.dispose();
    throw error;
  }
}

class Builder {
  readonly #options: PolicySetOptions;
  /** Digests of the modules that this set uses. */
  readonly #modules = new Set<string>();
  readonly #policies: number[] = [];
  readonly #failures: PolicyFailure[] = [];
  /** What is ready, or has failed, so far. */
  readonly served = new Map<string, ServedPolicy>();
  readonly #fetching = semaphore(PARALLEL_LOADS, MAX_LOAD_TURN_MS);
  readonly #preparing = semaphore(PARALLEL_LOADS);
  /** Failures that no flag lets pass. */
  fatal = false;

  constructor(options: PolicySetOptions) {
    this.#options = options;
  }

  dispose(): void {
    const { pool, modules, codeMemory } = this.#options;
    const unused = [...this.#modules].flatMap((digest) => {
      const id = modules.release(digest);
      if (id !== undefined) codeMemory.release(digest);
      return id ?? [];
    });
    this.#modules.clear();
    pool.remove(this.#policies, unused);
  }

  async build(entries: ReadonlyMap<string, PolicyEntry>): Promise<PolicySet> {
    const { log, continueOnErrors } = this.#options;
    const users = usersOfModules(entries);
    const count = users.reduce((sum, { names }) => sum + names.length, 0);
    log.info("policies download", { policies_count: count, status: "init" });
    const loaded = new Map(users.map(({ url, names }) => [url, this.#load(url, names[0]!)]));
    // Settings are validated in the worker threads while the next modules are prepared here.
    const { served } = this;
    await Promise.all([...entries.values()].map(async (entry) => {
      served.set(
        entry.name,
        entry.kind === "policy" ? await this.#policy(entry, loaded) : await this.#group(entry, loaded),
      );
    }));
    const shortage = this.#options.codeMemory.shortage();
    const [first] = this.#failures;
    // What all of them need comes first: it is what there is to change.
    if (shortage !== undefined && first) {
      this.#failures.unshift({ policy: first.policy, message: shortage, ofAll: true });
    }
    if (this.#failures.length > 0 && (this.fatal || !continueOnErrors)) {
      throw new PolicySetError(this.#failures);
    }
    for (const { policy, message } of this.#failures) {
      log.error("policy is not served", { policy_id: policy, error: message });
    }
    const inOrder = new Map([...entries.keys()].map((name) => [name, served.get(name)!]));
    return { policies: inOrder, dispose: () => this.dispose() };
  }

  async #load(url: string, name: string): Promise<Loaded> {
    const { log, loadModule } = this.#options;
    try {
      const bytes = await this.#fetching.run(() => loadModule(url, name));
      const metadata = readMetadata(bytes) ?? NO_METADATA;
      checkMetadata(metadata);
      const digest = createHash("sha256").update(bytes).digest("hex");
      log.info("policy download", { name, path: url, sha256sum: digest, mutating: metadata.mutating });
      const { id, prepared } = await this.#module(digest, bytes);
      return { kind: "loaded", module: id, prepared };
    } catch (error) {
      const reason = (error as Error).message;
      log.error("policy download failed", { name, url, error: reason });
      return { kind: "failed", reason };
    }
  }

  async #module(digest: string, bytes: Uint8Array): Promise<SharedModule> {
    const { modules, codeMemory, limits, pool } = this.#options;
    const module = await modules.acquire(digest, async () => {
      codeMemory.take(digest, bytes.length);
      try {
        const prepared = await this.#preparing.run(() => prepareModule(bytes, limits));
        return { id: pool.addModule(prepared), prepared };
      } catch (error) {
        codeMemory.release(digest);
        throw error;
      }
    });
    // Two addresses may have the same module.
    if (this.#modules.has(digest)) modules.release(digest);
    this.#modules.add(digest);
    return module;
  }

  #fail(policy: string, message: string): Evaluable {
    this.#failures.push({ policy, message });
    return { kind: "failed", reason: message };
  }

  /** Makes a policy or member ready. `id` names it in logs, `fullName` in errors. */
  async #evaluable(
    id: string,
    fullName: string,
    entry: PolicyModule,
    loaded: ReadonlyMap<string, Promise<Loaded>>,
  ): Promise<Evaluable> {
    const { pool, policyTimeoutSeconds, capabilities, inventory, log } = this.#options;
    const allowed = parseCapabilities(entry.hostCapabilities);
    if (typeof allowed === "string") {
      this.fatal = true;
      return this.#fail(
        fullName,
        `bootstrap failure: invalid hostCapabilities pattern for policy ${fullName}: ${allowed}`,
      );
    }
    const module = await loaded.get(entry.module)!;
    if (module.kind === "failed") {
      return this.#fail(fullName, `bootstrap failure: ${fullName}: ${module.reason}`);
    }
    const limitSeconds = policyTimeoutSeconds === null
      ? Infinity
      : entry.timeoutEvalSeconds ?? policyTimeoutSeconds;
    const definition = {
      id,
      module: module.module,
      settings: new TextEncoder().encode(entry.settingsJson),
      limitMs: limitSeconds * 1000,
      contextAwareResources: entry.contextAwareResources,
      hostCapabilities: allowed,
    };
    const caller = { policy: id, contextAwareResources: entry.contextAwareResources };
    const onViolation: OnViolation = (policy, capability, list) =>
      log.error("Policy tried to access a host capability that it was not granted", {
        policy,
        capability,
        allowed_capabilities: list,
      });
    const handler = hostCallHandler(caller, allowed, capabilities, onViolation, inventory);
    const policy = pool.addPolicy(definition, handler);
    this.#policies.push(policy);
    const traced = evaluatorFields(fullName, module.prepared.mode, entry.settingsJson);
    const span = this.#options.tracer?.root("validate_settings", traced);
    const outcome = await pool.validateSettings(policy);
    span?.end();
    if (outcome.kind === "error") {
      return this.#fail(
        fullName,
        `WebAssembly failure: cannot rehydrate PolicyEvaluatorPre: ${outcome.message}`,
      );
    }
    if (outcome.kind === "settings" && !outcome.settings.valid) {
      const reason = outcome.settings.message ?? "no message";
      return this.#fail(fullName, `Policy settings are invalid: ${reason}`);
    }
    return { kind: "ready", policy, traced };
  }

  async #policy(entry: Policy, loaded: ReadonlyMap<string, Promise<Loaded>>): Promise<ServedPolicy> {
    return { kind: "policy", entry, evaluable: await this.#evaluable(entry.name, entry.name, entry, loaded) };
  }

  async #group(entry: PolicyGroup, loaded: ReadonlyMap<string, Promise<Loaded>>): Promise<ServedPolicy> {
    const members = await Promise.all(
      [...entry.policies].map(async ([name, member]) =>
        [name, await this.#evaluable(name, `${entry.name}/${name}`, member, loaded)] as const
      ),
    );
    const expression = await readExpression(entry.expression, [...entry.policies.keys()]);
    if (typeof expression === "string") {
      this.#fail(entry.name, `error evaluating policy group expression: ${entry.name}: ${expression}`);
    }
    return { kind: "group", entry, members: new Map(members), expression };
  }
}

/** Every module's URL once, with the names of those who use it; members are named as the original names them here. */
function usersOfModules(
  entries: ReadonlyMap<string, PolicyEntry>,
): readonly { url: string; names: readonly string[] }[] {
  const users = new Map<string, string[]>();
  const add = (url: string, name: string) => {
    const names = users.get(url);
    if (names) names.push(name);
    else users.set(url, [name]);
  };
  for (const entry of entries.values()) {
    if (entry.kind === "policy") add(entry.module, entry.name);
    else for (const [member, { module }] of entry.policies) add(module, `${entry.name}/#${member}`);
  }
  return [...users].map(([url, names]) => ({ url, names }));
}

/** `spec/policy-server.md §3.4`. */
function checkMetadata(metadata: PolicyMetadata): void {
  const { minimumKubewardenVersion: minimum, executionMode, protocolVersion } = metadata;
  if (minimum !== undefined) {
    const [major, minor] = versionNumbers(minimum);
    const [ourMajor, ourMinor] = versionNumbers(COMPATIBLE_VERSION);
    if (major > ourMajor || (major === ourMajor && minor > ourMinor)) {
      throw new Error(
        `Policy required Kubewarden version ${minimum} but is running on ${COMPATIBLE_VERSION}`,
      );
    }
  }
  if (executionMode !== "kubewarden-wapc" || protocolVersion === "v1") return;
  throw new Error(
    protocolVersion === null
      ? "Policy is missing protocol version, which is required for KubewardenWapc execution mode"
      : `Policy uses protocol version ${protocolVersion} but only V1 is supported`,
  );
}

function versionNumbers(version: string): readonly [major: number, minor: number] {
  const match = /^(\d+)\.(\d+)\.\d+(?:[-+].*)?$/.exec(version);
  if (!match) {
    throw new Error(
      `minimumKubewardenVersion: \`${version}\` is not a version of the form MAJOR.MINOR.PATCH`,
    );
  }
  return [Number(match[1]), Number(match[2])];
}
