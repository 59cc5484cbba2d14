/** What the main thread and a thread that serves tell each other. */
import type { PreparedModule } from "../../evaluator/types/module.ts";
import type { EvaluablePolicy } from "../../evaluator/types/policy.ts";
import type { Outcome, ThreadMemory } from "../../evaluator/types/protocol.ts";
import type { ConnectionLimits, Ending, TlsSettings } from "../../http/types.ts";
import type { LogLevel } from "../types/options.ts";
import type { CountedRequests } from "./metrics_relay.ts";
import type { PolicySet } from "./policy_set.ts";

/** How a thread serves, the same for all of them. */
export interface ServingSettings {
  readonly host: string;
  readonly maxBodyBytes: number;
  /** Threads that share the port, and with it what connections may take. */
  readonly threads: number;
  readonly logLevel: LogLevel;
  readonly logFormat: "text" | "json";
  readonly alwaysAcceptNamespace: string | null;
  /** Of all these threads' connections. */
  readonly limits: ConnectionLimits;
  /** What the thread may hold of guests that run no request. */
  readonly memory: ThreadMemory | undefined;
}

/** What a thread is started with. */
export interface ServingStart {
  readonly port: MessagePort;
  readonly settings: ServingSettings;
  /** What both threads see at once, by {@link SHARED}. */
  readonly shared: Int32Array;
}

/**
 * Indices into {@link ServingStart.shared}: a counter that is odd while a guest runs in the thread, and 1 while requests are to be
 * refused because memory is short.
 */
export const SHARED = { running: 0, memoryIsShort: 1 } as const;

/** What the main thread tells a serving thread. */
export type ToServing =
  | { readonly kind: "module"; readonly id: number; readonly module: PreparedModule }
  | { readonly kind: "policy"; readonly id: number; readonly policy: EvaluablePolicy }
  | { readonly kind: "remove"; readonly policies: readonly number[]; readonly modules: readonly number[] }
  | { readonly kind: "shrink" }
  /** Serve these policies from now on. */
  | { readonly kind: "set"; readonly set: number; readonly policies: PolicySet["policies"] }
  | { readonly kind: "listen"; readonly port: number; readonly tls: TlsSettings | undefined }
  | { readonly kind: "tls"; readonly tls: TlsSettings }
  /** What came of an evaluation in the pool; with what it costs there, see `placed.ts`. */
  | { readonly kind: "outcome"; readonly id: number; readonly outcome: Outcome; readonly costMs: number }
  | { readonly kind: "overloaded"; readonly id: number; readonly message: string }
  /** Hand on what was counted. */
  | { readonly kind: "relay"; readonly id: number }
  | { readonly kind: "end"; readonly ending: Ending };

/** What a serving thread tells the main thread. */
export type FromServing =
  /** Its code is loaded. */
  | { readonly kind: "loaded" }
  | { readonly kind: "listening" }
  /** The port can't be had. */
  | { readonly kind: "refused"; readonly code: string | undefined; readonly message: string }
  /** To be evaluated in the pool. */
  | {
    readonly kind: "evaluate";
    readonly id: number;
    readonly policy: number;
    readonly json: Uint8Array;
    readonly object: readonly [start: number, end: number] | undefined;
  }
  /** Nobody waits for that evaluation any more. */
  | { readonly kind: "cancel"; readonly id: number }
  | { readonly kind: "log"; readonly lines: string }
  | { readonly kind: "counted"; readonly counted: CountedRequests }
  | { readonly kind: "relayed"; readonly id: number }
  /** No request uses this set any more, which was replaced. */
  | { readonly kind: "unused"; readonly set: number }
  /** All connections are closed. */
  | { readonly kind: "ended" };
