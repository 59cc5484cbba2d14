/** Policies as the command line runs them: from a module and flags, or from custom resources. */
import type { ContextAwareResource, PolicyMode } from "../../policy_server/types/policies.ts";

/** What of the cluster a policy may read. */
export type Grants =
  /** What its metadata asks for, if the user agrees. */
  | { readonly kind: "metadata"; readonly agreed: boolean }
  | { readonly kind: "listed"; readonly resources: readonly ContextAwareResource[] };

/** A module with what it is run with. */
export interface ModuleDefinition {
  /** Where it is, with a scheme. */
  readonly uri: string;
  /** The settings object as compact JSON. */
  readonly settingsJson: string;
  readonly grants: Grants;
}

/** One policy, or a group of them. */
export type Definition =
  | ModuleDefinition & {
    readonly kind: "policy";
    readonly id: string;
    readonly mode: PolicyMode;
    readonly allowedToMutate: boolean;
    readonly message: string | null;
  }
  | {
    readonly kind: "group";
    readonly id: string;
    readonly mode: PolicyMode;
    readonly expression: string;
    readonly message: string;
    readonly members: ReadonlyMap<string, ModuleDefinition>;
  };

/** Every module of a definition. */
export function modulesOf(definition: Definition): readonly ModuleDefinition[] {
  return definition.kind === "policy" ? [definition] : [...definition.members.values()];
}

/** How errors and benchmarks call a definition. */
export function titleOf(definition: Definition): string {
  return definition.kind === "policy"
    ? `Policy ${definition.id} (${definition.uri})`
    : `Policy Group ${definition.id}`;
}
