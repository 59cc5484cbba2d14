/** What a policy in TypeScript is made of. */
import type { Host } from "./host.ts";
import type { AdmissionRequest } from "./request.ts";
import type { SettingsOf, SettingsSchema } from "./schema.ts";
import type { KubernetesObject } from "./workloads.ts";

/** What a policy answers, as it goes to the policy server. `accept`, `reject` and `mutate` make it. */
export interface Answer {
  /** Whether the request is allowed. */
  readonly accepted: boolean;
  /** What the user is told. */
  readonly message?: string;
  /** An HTTP status, 0 to 65535. */
  readonly code?: number;
  /** The whole object as it should be. */
  readonly mutated_object?: unknown;
  /** What the API server shows the user besides. */
  readonly warnings?: readonly string[];
  /** What the API server writes into its audit log. */
  readonly audit_annotations?: Readonly<Record<string, string>>;
}

/** What a policy has for one request. */
export interface PolicyContext<Settings> {
  /** The settings, as the schema gives them. */
  readonly settings: Settings;
  /** What can be asked of the host. */
  readonly host: Host;
}

/** What `definePolicy` takes. `Object` is what the requests hold, as `validate` says it. */
export interface PolicyDefinition<Schema extends SettingsSchema | undefined, Object = KubernetesObject> {
  /** What settings there are: a schema of valibot, zod or another library that follows Standard Schema. */
  readonly settings?: Schema;
  /** Judges a request. It must not be asynchronous. */
  validate(request: AdmissionRequest<Object>, context: PolicyContext<SettingsOf<Schema>>): Answer;
  /** What is wrong with settings that the schema takes; nothing if nothing is. */
  validateSettings?(settings: SettingsOf<Schema>): string | undefined | void;
}

/** What a policy says of its settings. */
export type SettingsAnswer = { readonly valid: true } | { readonly valid: false; readonly message: string };

/** A policy, to be exported as a module's default. */
export interface DefinedPolicy {
  /**
   * Judges a request as the module will. `settings` are as a user writes them. `host` answers what the policy asks; without one,
   * every call of the host fails. Throws what the policy throws.
   */
  validate(
    request: AdmissionRequest<never>,
    options?: { readonly settings?: unknown; readonly host?: Host },
  ): Answer;
  /** Whether the policy takes settings, as a user writes them. */
  validateSettings(settings: unknown): SettingsAnswer;
}
