/** What lives as long as one evaluation of a Rego policy: its time, its random values, what it has to tell. */
import { randomFillSync } from "node:crypto";
import type { HostCallAnswer, PolicyLogEntry } from "../types/evaluation.ts";
import type { GuestCall } from "../types/guest.ts";
import { BuiltinError, BuiltinHalt, type RegoContext, type RegoValue } from "../types/rego.ts";

/** A policy that prints in a loop must not flood the log. */
const MAX_ENTRIES = 100;
/** No log entry of a policy is longer, in UTF-16 units; the same as for entries that come through host calls. */
const MAX_ENTRY = 64 * 1024;
/** Answers that are kept for one evaluation, and the length of their keys together: memory for nothing else. */
const MAX_KEPT = 10_000;
const MAX_KEYS = 1024 * 1024;

function cut(message: string): string {
  return message.length > MAX_ENTRY
    ? `${message.slice(0, MAX_ENTRY)}… (${message.length} characters)`
    : message;
}

/** Keeps answers for one evaluation. */
function memory(): RegoContext["remember"] {
  const kept = new Map<string, RegoValue>();
  let length = 0;
  return (key, make) => {
    let value = kept.get(key);
    if (value === undefined) {
      length += key.length;
      if (kept.size >= MAX_KEPT || length > MAX_KEYS) {
        throw new BuiltinHalt(
          `more than ${MAX_KEPT} random values, or keys of more than ${MAX_KEYS} characters`,
        );
      }
      kept.set(key, value = make());
    }
    return value;
  };
}

/** A resolver's words for a name that has no address. All other failures leave it open whether there is one. */
const NO_ADDRESS = /(Name or service not known|No address associated with hostname)$/;

const nobody = (): HostCallAnswer => ({ ok: false, error: "there is no host to ask" });

function addressesOf(name: string, call: (call: GuestCall) => HostCallAnswer): readonly string[] {
  const answer = call({
    binding: "kubewarden",
    namespace: "net",
    operation: "v1/dns_lookup_host",
    payload: new TextEncoder().encode(JSON.stringify(name)),
  });
  if (!answer.ok) {
    if (NO_ADDRESS.test(answer.error)) throw new BuiltinError(`lookup ${name}: no such host`);
    throw new BuiltinHalt(answer.error);
  }
  return (JSON.parse(new TextDecoder().decode(answer.payload)) as { readonly ips: readonly string[] }).ips;
}

/** One evaluation. */
export class RegoEvaluation {
  readonly context: RegoContext;
  readonly #log: (entry: PolicyLogEntry) => void;
  #entries = 0;
  timeIsUp = false;

  /**
   * `call` answers host calls in the policy's name; `turn` is called now and then while a builtin works, which ends as if its
   * time were up when that returns false.
   */
  constructor(
    limitMs: number,
    log: (entry: PolicyLogEntry) => void,
    call: (call: GuestCall) => HostCallAnswer = nobody,
    turn: () => boolean = () => true,
  ) {
    this.#log = log;
    const until = performance.now() + limitMs;
    let now: bigint | undefined;
    this.context = {
      now: () => now ??= BigInt(Date.now()) * 1_000_000n,
      random: (length) => randomFillSync(new Uint8Array(length)),
      remember: memory(),
      check: () => {
        if (turn() && performance.now() < until) return;
        this.timeIsUp = true;
        throw new BuiltinHalt("the time is up");
      },
      resolve: (name) => addressesOf(name, call),
      note: (message) => this.#tell({ level: "debug", message: cut(message), data: undefined }),
    };
  }

  #tell(entry: PolicyLogEntry): void {
    if (this.#entries++ < MAX_ENTRIES) this.#log(entry);
  }

  /** Passes on what the policy printed. */
  print(message: string): void {
    this.#tell({ level: "info", message: cut(message), data: undefined, rego: "println" });
  }

  /** Tells of a builtin's error, because the expression that is now undefined may turn the verdict round. */
  builtinFailed(name: string, reason: string): void {
    this.#tell({
      level: "warn",
      message: `Builtin error ["${name}"]: ${reason.slice(0, 500)}; the expression is undefined`,
      data: JSON.stringify({ builtin: name }),
    });
  }

  /** Says how much was left out. */
  end(): void {
    const dropped = this.#entries - MAX_ENTRIES;
    if (dropped > 0) {
      this.#log({
        level: "warn",
        message: `${dropped} further log entries of the policy were dropped`,
        data: undefined,
      });
    }
  }
}
