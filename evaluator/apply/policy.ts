/** A policy as a value to call: what the embeddable library hands out (`mod.ts`). */
import { boundedText } from "../render/bounded_text.ts";
import { jsonExcess } from "../render/json_size.ts";
import { readRawReview, readReview } from "../render/review.ts";
import {
  type HostCall,
  type HostCallAnswer,
  type HostCallHandler,
  type PolicyLogEntry,
  type SettingsVerdict,
  TEXT,
  type Verdict,
} from "../types/evaluation.ts";
import { NO_METADATA, type PolicyMetadata } from "../types/metadata.ts";
import type { Outcome } from "../types/protocol.ts";
import { InlineEvaluator, type PolicyEvaluator } from "./inline.ts";
import { EvaluatorPool } from "./pool.ts";
import { prepareModule, readMetadata } from "./prepare.ts";
import { WORKER_URL } from "./worker_url.ts";

/** How a policy is loaded. */
export interface PolicyOptions {
  /** The policy's settings; `{}` unless given. An object is sent as JSON; text is taken as JSON, numbers as they are written. */
  readonly settings?: Readonly<Record<string, unknown>> | string;
  /** How long one call of the policy may take, in milliseconds; 2000 unless given, `Infinity` for no limit. */
  readonly timeoutMs?: number;
  /** Memory that the policy may use, in MiB; 256 unless given. */
  readonly memoryMib?: number;
  /**
   * Worker threads to evaluate in; 1 unless given. 0 evaluates in the calling thread, which then waits for the policy and, as
   * nothing can be taken away from it, lacks the second wall of SECURITY.md.
   */
  readonly threads?: number;
  /** Gets what the policy logs and prints. */
  readonly onLog?: (entry: PolicyLogEntry) => void;
  /** Answers the policy's host calls; unless given, none is granted. With `threads: 0` it must not return a promise. */
  readonly onHostCall?: (call: HostCall) => HostCallAnswer | Promise<HostCallAnswer>;
  /** Names the policy in errors. */
  readonly name?: string;
}

/** Raised when a policy can't be loaded or run; the message says why. */
export class PolicyError extends Error {
  /** The name of the error. */
  override readonly name = "PolicyError";
}

const encoder = new TextEncoder();

/** Threads are as many as processors at most where they are of use; each takes some 30 MiB. */
const MAX_THREADS = 1_024;
/** What a 32-bit memory can have. */
const MAX_MEMORY_MIB = 4_096;

/**
 * Settings as the bytes that the policy gets. They become a part of the JSON that holds the request, too: text that is not one JSON object
 * could put another request in the place of the one that is judged.
 */
function settingsJson(settings: Readonly<Record<string, unknown>> | string): Uint8Array {
  let text: string | undefined;
  try {
    text = typeof settings === "string" ? settings : JSON.stringify(settings);
  } catch (error) {
    throw new PolicyError(`settings: they can't be written as JSON: ${boundedText(String(error), 500)}`);
  }
  const json = encoder.encode(text ?? "");
  const excess = jsonExcess(json);
  if (excess !== undefined) throw new PolicyError(`settings: they have ${excess}`);
  let value: unknown;
  try {
    value = JSON.parse(text ?? "");
  } catch {
    throw new PolicyError("settings: they are no JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new PolicyError("settings: they are no JSON object");
  }
  return json;
}

function checkOption(name: string, value: number, holds: boolean, expected: string): void {
  if (!holds) throw new PolicyError(`${name}: it is ${String(value).slice(0, 100)}, expected ${expected}`);
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

/** A loaded policy. Close it, or declare it with `await using`, to end its threads. */
export class Policy implements AsyncDisposable {
  /** What the module says of itself. */
  readonly metadata: PolicyMetadata;
  readonly #evaluator: PolicyEvaluator;
  readonly #policy: number;

  private constructor(metadata: PolicyMetadata, evaluator: PolicyEvaluator, policy: number) {
    this.metadata = metadata;
    this.#evaluator = evaluator;
    this.#policy = policy;
  }

  /** Loads a policy from the bytes of its module. Throws {@link PolicyError} or `ModuleError`. */
  static async fromBytes(module: Uint8Array, options: PolicyOptions = {}): Promise<Policy> {
    const {
      settings = {},
      timeoutMs = 2000,
      memoryMib = 256,
      threads = 1,
      onLog,
      onHostCall,
      name = "policy",
    } = options;
    const whole = (value: number, least: number, most: number) =>
      Number.isInteger(value) && value >= least && value <= most;
    checkOption(
      "threads",
      threads,
      whole(threads, 0, MAX_THREADS),
      `a whole number from 0 to ${MAX_THREADS}`,
    );
    checkOption(
      "memoryMib",
      memoryMib,
      whole(memoryMib, 1, MAX_MEMORY_MIB),
      `a whole number from 1 to ${MAX_MEMORY_MIB}`,
    );
    checkOption("timeoutMs", timeoutMs, typeof timeoutMs === "number" && timeoutMs > 0, "a number above 0");
    const settingsBytes = settingsJson(settings);
    const metadata = readMetadata(module) ?? NO_METADATA;
    const prepared = await prepareModule(module, { memoryMib });
    const evaluator: PolicyEvaluator = threads > 0
      ? new EvaluatorPool({ worker: WORKER_URL, threads, spare: false, onLog: (_, entry) => onLog?.(entry) })
      : new InlineEvaluator((_, entry) => onLog?.(entry));
    const definition = {
      id: name,
      module: evaluator.addModule(prepared),
      settings: settingsBytes,
      limitMs: timeoutMs,
      contextAwareResources: metadata.contextAwareResources,
    };
    return new Policy(metadata, evaluator, evaluator.addPolicy(definition, onHostCall ?? notGranted));
  }

  /**
   * Judges an AdmissionRequest (the `request` of an AdmissionReview), or for a raw policy any JSON value. Text and bytes are
   * taken as JSON and reach the policy as they are. Throws for a request that is no JSON or of the wrong shape.
   */
  async validate(request: unknown): Promise<Verdict> {
    const json = typeof request === "string"
      ? encoder.encode(request)
      : request instanceof Uint8Array
      ? request
      : encoder.encode(JSON.stringify(request));
    const body = new Uint8Array(json.length + 12);
    body.set(encoder.encode('{"request":'));
    body.set(json, 11);
    body[body.length - 1] = 0x7d;
    const review = this.metadata.policyType === "raw" ? readRawReview(body) : readReview(body);
    const outcome = await this.#evaluator.validate(this.#policy, review);
    if (outcome.kind === "verdict") return outcome.verdict;
    throw unexpected(outcome);
  }

  /** Whether the policy takes the settings it was loaded with. */
  async validateSettings(): Promise<SettingsVerdict> {
    const outcome = await this.#evaluator.validateSettings(this.#policy);
    if (outcome.kind === "settings") return outcome.settings;
    throw unexpected(outcome);
  }

  /** The protocol version that the policy answers when it is asked; only waPC and Extism policies can be. */
  async protocolVersion(): Promise<string> {
    const outcome = await this.#evaluator.protocolVersion(this.#policy);
    if (outcome.kind === "protocol") return outcome.version;
    throw unexpected(outcome);
  }

  /** Ends the policy's threads. What still runs ends with an error. */
  close(): Promise<void> {
    return this.#evaluator.close();
  }

  /** The same as {@link Policy.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function unexpected(outcome: Outcome): PolicyError {
  return new PolicyError(outcome.kind === "error" ? outcome.message : `unexpected outcome ${outcome.kind}`);
}
