/**
 * Evaluates policies in the thread it lives in. It keeps one guest for each module, puts it back to its snapshot after every
 * call, and makes a new one where that can't be done.
 */
import { extism } from "../runtimes/extism.ts";
import { gatekeeper } from "../runtimes/gatekeeper.ts";
import { opa } from "../runtimes/opa.ts";
import { wapc } from "../runtimes/wapc.ts";
import { wasi } from "../runtimes/wasi.ts";
import {
  ANSWER,
  type EvaluationRequest,
  failure,
  type HostCall,
  type HostCallAnswer,
  type InventoryRequest,
  type PolicyLogEntry,
  TEXT,
  type Verdict,
} from "../types/evaluation.ts";
import {
  type Guest,
  type GuestCall,
  type GuestHost,
  InstantiationError,
  type Runtime,
} from "../types/guest.ts";
import { allows } from "../types/host_capabilities.ts";
import type { ExecutionMode } from "../types/metadata.ts";
import type { PreparedModule } from "../types/module.ts";
import type { EvaluablePolicy } from "../types/policy.ts";
import type { Operation, Outcome, ThreadMemory } from "../types/protocol.ts";
import { GUEST_LIMIT } from "../types/guest_limits.ts";
import { boundedText } from "../render/bounded_text.ts";
import { GUARD } from "../render/instrument.ts";
import { policyLogEntry } from "../render/policy_log.ts";
import { metered } from "../render/work.ts";
import type { Deadline } from "./deadline.ts";
import { KeptGuests, type Slot } from "./kept_guests.ts";
import { link } from "./link.ts";
import { roomFor } from "./request_room.ts";
import { needStackRoom } from "./stack_room.ts";
import { isStackExhaustion, trapText } from "./trap_text.ts";

/** The execution modes that this build can run. */
export const RUNTIMES: Partial<Record<ExecutionMode, Runtime>> = {
  "kubewarden-wapc": wapc,
  wasi,
  opa,
  gatekeeper,
  extism,
};

/** Modes whose evaluations that are interrupted say so in words of their own. */
const REGO_MODES: ReadonlySet<ExecutionMode | undefined> = new Set<ExecutionMode>(["opa", "gatekeeper"]);

/** What stands before the reason why a guest could not be made (`spec/evaluator.md §1, §7.1`). */
const NOT_INSTANTIATED: Partial<Record<ExecutionMode, string>> = {
  "kubewarden-wapc": "unable to rehydrate wapc module: cannot build Wapc host: ",
  wasi: "error when building wasi precompiled stack: ",
  opa: "unable to rehydrate rego module: ",
  gatekeeper: "unable to rehydrate rego module: ",
  extism: "unable to make an Extism plug-in: ",
};

/** What an engine needs from outside of its thread. */
export interface EngineHost {
  /** Answers a host call of a policy while the guest waits, for at most `limitMs`. */
  readonly call: (policy: number, call: HostCall, limitMs: number) => HostCallAnswer;
  readonly log: (policy: number, entry: PolicyLogEntry) => void;
  /** Lets the thread sleep. */
  readonly sleep: (milliseconds: number) => void;
}

/** What a policy may log while it judges one request, in characters; each entry counts {@link ENTRY_COST} besides. */
const MAX_LOGGED = 2 << 20;
const ENTRY_COST = 100;
const NOTHING = new Uint8Array(0);

class OutOfTime extends Error {}

/** What the host makes of an answer (reading it, comparing objects) pays from the time that the guest had. */
function inTime(deadline: Deadline, limitMs: number, text: string, validate: () => Verdict): Verdict {
  const until = performance.now() + limitMs;
  const check = () => {
    if (!deadline.turn(until)) throw new OutOfTime();
  };
  try {
    return metered(check, validate);
  } catch (error) {
    if (error instanceof OutOfTime) return failure(text);
    throw error;
  }
}

/** The guests of one thread. */
export class Engine {
  readonly #host: EngineHost;
  readonly #deadline: Deadline;
  readonly #modules = new Map<number, PreparedModule>();
  readonly #policies = new Map<number, EvaluablePolicy>();
  readonly #kept: KeptGuests;
  readonly #guestHost: GuestHost;
  /** The memory of the instance that was linked last. */
  #linked: WebAssembly.Memory | undefined;
  #current = -1;
  /** What a host function threw during the running call. */
  #fault: readonly [unknown] | undefined;
  /** How much was logged during the current task, see {@link MAX_LOGGED}. */
  #logged = 0;
  #exhausted = false;

  /** @param memory what may be held of guests that run no request; much unless given */
  constructor(host: EngineHost, deadline: Deadline, memory?: ThreadMemory) {
    this.#host = host;
    this.#kept = new KeptGuests(memory);
    this.#deadline = deadline;
    this.#guestHost = {
      link: async (module, imports) => {
        const guard: { budget?: WebAssembly.Global } = {};
        const entering = () => {
          // A loop may go round some more times before it has to ask; the host no longer works for it.
          if (deadline.expired) throw new Error("the time is up");
          if (this.#fault) throw this.#fault[0];
        };
        const returning = (fault?: readonly [unknown]) => {
          this.#fault ??= fault;
          if (guard.budget && (deadline.afterHostCall() || fault)) guard.budget.value = 0;
        };
        const instance = await link(module, imports, entering, returning);
        guard.budget = instance.exports[GUARD.budget] as WebAssembly.Global;
        deadline.attach(instance);
        this.#linked = instance.exports[GUARD.memory] as WebAssembly.Memory | undefined;
        return instance;
      },
      arm: (limitMs) => this.#arm(limitMs),
      run: (limitMs, call) => this.#run(limitMs, call),
      expired: () => deadline.expired,
      left: () => deadline.left(),
      call: (call) => this.#hostCall(call),
      inventory: (inventory) => this.#inventory(inventory),
      log: (entry) => this.#log(entry),
      turn: () => deadline.turn(),
      longWork: () => deadline.longWork(),
      answered: (bytes) => {
        if (this.#leavesCopies(bytes)) deadline.longWork();
      },
      mayHold: (bytes) => this.#kept.mayHold(bytes),
      trap: (error) => {
        this.#exhausted ||= isStackExhaustion(error);
        return trapText(error);
      },
      sleep: (milliseconds) => host.sleep(Math.min(milliseconds, deadline.left())),
    };
  }

  addModule(id: number, module: PreparedModule): void {
    this.#modules.set(id, module);
  }

  addPolicy(id: number, policy: EvaluablePolicy): void {
    this.#policies.set(id, policy);
  }

  /** Forgets policies and modules, and the guests made of them. */
  remove(policies: readonly number[], modules: readonly number[]): void {
    for (const id of policies) this.#policies.delete(id);
    for (const id of modules) this.#modules.delete(id);
    this.#kept.remove(policies, modules);
  }

  #arm(limitMs: number): void {
    this.#fault = undefined;
    this.#deadline.arm(limitMs);
  }

  #run<T>(limitMs: number, call: () => T): T {
    this.#arm(limitMs);
    try {
      const result = call();
      if (this.#fault) throw (this.#fault as readonly [unknown])[0];
      return result;
    } catch (error) {
      throw this.#fault ? this.#fault[0] : error;
    }
  }

  #log(entry: PolicyLogEntry): void {
    if (this.#logged > MAX_LOGGED) return;
    const message = boundedText(entry.message, GUEST_LIMIT.logMessage.max);
    this.#logged += ENTRY_COST + message.length + (entry.data?.length ?? 0);
    this.#host.log(
      this.#current,
      this.#logged <= MAX_LOGGED ? { ...entry, message } : {
        level: "warn",
        message: "log entries were dropped: the policy logs too much for one request",
        data: undefined,
      },
    );
  }

  #hostCall(call: GuestCall): HostCallAnswer {
    for (const name of ["binding", "namespace", "operation"] as const) {
      const { what, max } = GUEST_LIMIT[name];
      const { length } = call[name];
      if (length > max) {
        return { ok: false, error: `the ${what} has ${length} characters, the limit is ${max}` };
      }
    }
    if (call.binding !== "kubewarden") return { ok: false, error: `unknown binding: ${call.binding}` };
    if (call.namespace === "tracing" && call.operation === "log") {
      this.#log(policyLogEntry(call.payload));
      return { ok: true, payload: NOTHING };
    }
    const { namespace, operation } = call;
    const { hostCapabilities } = this.#policies.get(this.#current) ?? {};
    const refused = hostCapabilities && !allows(hostCapabilities, `${namespace}/${operation}`);
    // The handler refuses it before it looks at the payload (spec/evaluator.md §5.1).
    const payload = refused ? NOTHING : call.payload;
    needStackRoom();
    this.#leavesCopies(payload.length);
    const answer = this.#host.call(this.#current, { namespace, operation, payload }, this.#deadline.left());
    // Time spent in host calls counts; a guest that comes back late is stopped at its next step.
    if (this.#deadline.left() === 0) this.#deadline.expire();
    return answer;
  }

  /** Counts what the host makes of bytes that a guest gave. Returns whether they are many. */
  #leavesCopies(bytes: number): boolean {
    if (bytes <= ANSWER.large) return false;
    this.#kept.abandoned.addCopies(bytes);
    return true;
  }

  #inventory(inventory: InventoryRequest): HostCallAnswer {
    const call = { namespace: "rego", operation: "inventory", payload: NOTHING, inventory };
    needStackRoom();
    const answer = this.#host.call(this.#current, call, this.#deadline.left());
    if (this.#deadline.left() === 0) this.#deadline.expire();
    return answer;
  }

  async #guest(policy: EvaluablePolicy, slot: Slot): Promise<Guest> {
    this.#kept.clean(slot);
    if (slot.guest) return slot.guest;
    if (this.#kept.abandoned.due() === 0) await this.collect();
    this.#linked = undefined;
    try {
      return slot.guest = await this.#instantiate(policy, slot.room);
    } finally {
      slot.memory = this.#linked;
      this.#linked = undefined;
      this.#kept.measure(slot);
    }
  }

  #instantiate(policy: EvaluablePolicy, room: number): Promise<Guest> {
    const prepared = this.#modules.get(policy.module);
    if (!prepared) throw new InstantiationError("its module was removed");
    const { mode } = prepared;
    const runtime = RUNTIMES[mode];
    if (!runtime) throw new InstantiationError(`this build can't run execution mode ${mode}`);
    return runtime(room === 0 ? prepared : { ...prepared, room }, policy.limitMs, this.#guestHost);
  }

  #hasInventory({ module, contextAwareResources }: EvaluablePolicy): boolean {
    return REGO_MODES.has(this.#modules.get(module)?.mode) && (contextAwareResources?.length ?? 0) > 0;
  }

  /** Whether a guest of the last {@link run} wanted more of the thread's call stack than there is. */
  get exhausted(): boolean {
    return this.#exhausted;
  }

  /**
   * Evaluates in a guest that holds nothing of the cluster, or what is true now. What the guest waits for, and what making it anew takes,
   * counts within the policy's limit.
   */
  async #validate(
    policy: EvaluablePolicy,
    request: EvaluationRequest,
    slot: Slot,
  ): Promise<Verdict> {
    const until = performance.now() + policy.limitMs;
    let guest = await this.#guest(policy, slot);
    slot.dirty = true;
    let limitMs = policy.limitMs;
    if (guest.prepare && !guest.prepare(request, policy)) {
      this.#kept.abandon(slot);
      guest = await this.#guest(policy, slot);
      slot.dirty = true;
      limitMs = Math.max(1, until - performance.now());
      guest.prepare?.(request, { ...policy, limitMs });
    }
    const isRego = REGO_MODES.has(this.#modules.get(policy.module)?.mode);
    const text = isRego ? TEXT.regoInterrupted : TEXT.interrupted;
    return inTime(this.#deadline, limitMs, text, () => guest.validate(request, policy));
  }

  /** Evaluates one request, or validates the policy's settings. Never throws. */
  async run(id: number, operation: Operation, request: EvaluationRequest | undefined): Promise<Outcome> {
    const policy = this.#policies.get(id);
    if (!policy) return { kind: "error", message: "the policy was removed" };
    const room = this.#modules.get(policy.module)?.restorable ? roomFor(request?.json.length ?? 0) : 0;
    const slot = this.#kept.slotFor(policy.module, this.#hasInventory(policy) ? id : undefined, room);
    slot.usedBy = id;
    this.#current = id;
    this.#logged = 0;
    this.#exhausted = false;
    try {
      if (operation === "validate") {
        if (!request) return { kind: "error", message: "no request was given" };
        return { kind: "verdict", verdict: await this.#validate(policy, request, slot) };
      }
      const guest = await this.#guest(policy, slot);
      slot.dirty = true;
      return operation === "validate_settings"
        ? { kind: "settings", settings: guest.validateSettings(policy) }
        : { kind: "protocol", version: guest.protocolVersion(policy.limitMs) };
    } catch (error) {
      this.#kept.abandon(slot);
      if (error instanceof InstantiationError) {
        if (error.interrupted && operation === "validate") {
          return { kind: "verdict", verdict: failure(TEXT.interrupted) };
        }
        const { mode, hint = "" } = this.#modules.get(policy.module) ?? {};
        const reason = boundedText(error.message, GUEST_LIMIT.error.max);
        return { kind: "error", message: `${mode && NOT_INSTANTIATED[mode] || ""}${reason}${hint}` };
      }
      const message = error instanceof Error ? error.message : String(error);
      return { kind: "error", message: boundedText(message, GUEST_LIMIT.error.max) };
    } finally {
      this.#current = -1;
      // An error has a trace, and that the guest's instance: its memory would stay as long as nothing else is run.
      this.#fault = undefined;
    }
  }

  /**
   * Puts guests that were used back to their snapshots, so that the next request finds them ready. Returns after how many
   * milliseconds to call {@link collect}, even if nothing was run until then; 0 for now. `done` is called after each guest, with the
   * policy that had used it.
   */
  tidy(done?: (policy: number) => void): number {
    return Math.min(this.#kept.tidy(done), this.#kept.abandoned.due());
  }

  /**
   * Makes one guest anew that a request has used up: it outgrew its room, or can't be put back. To be called while nothing waits, after
   * {@link tidy}: the request that needs it then finds it. Returns whether there was one to make. However long that takes, no more guests
   * are made than without, but for the last.
   */
  async makeAhead(): Promise<boolean> {
    const slot = this.#kept.nextSpent();
    const policy = slot && this.#policies.get(slot.usedBy);
    if (!policy) return slot !== undefined;
    this.#deadline.begin();
    this.#current = slot.usedBy;
    this.#logged = 0;
    try {
      await this.#guest(policy, slot);
    } catch {
      // Told to the request that needs it, for which it is tried again.
      this.#kept.abandon(slot);
    } finally {
      this.#current = -1;
    }
    return true;
  }

  /** Drops all guests. */
  clear(): void {
    this.#kept.clear();
  }

  /** Gives the memory of dropped guests back to the system. Returns the policies that used them last. */
  collect(): Promise<readonly number[]> {
    this.#deadline.longWork();
    return this.#kept.collect(() => this.#deadline.longWork());
  }

  /** Drops all guests; what they took is given back by the {@link collect} that {@link tidy} asks for. */
  shrink(): void {
    this.#kept.clear();
    this.#kept.abandoned.expire();
  }
}
