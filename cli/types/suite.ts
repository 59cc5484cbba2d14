/** Suites of cases by which `reeve test` judges policies (`docs/reeve_test.md`). */
import type { DocumentValue } from "../../policy_server/types/document.ts";
import type { Exchange } from "./exchange.ts";

/** An answer that a suite declares to a host call. */
export interface DeclaredAnswer {
  /** The capability's path. */
  readonly call: string;
  /** Members that the call's payload must have; undefined: any call of the capability. */
  readonly with: DocumentValue | undefined;
  readonly answer: { readonly payload: string } | { readonly error: string };
}

/** What policies find when they ask. */
export type SuiteContext =
  /** Nothing: unless capabilities are granted, they are refused. */
  | { readonly kind: "none" }
  | { readonly kind: "session"; readonly exchanges: readonly Exchange[] }
  | {
    readonly kind: "declared";
    /** Objects of the cluster as JSON text. */
    readonly objects: readonly string[];
    readonly answers: readonly DeclaredAnswer[];
  };

/** What a case expects; absent members are not looked at. */
export type Expectations = ReadonlyMap<string, DocumentValue>;

export interface SuiteCase {
  readonly name: string;
  /** The request as JSON text; undefined: only the settings are looked at. */
  readonly request: string | undefined;
  /** Compact JSON; undefined: the definition's own. */
  readonly settings: string | undefined;
  readonly context: SuiteContext;
  readonly expectations: Expectations;
}

export interface Suite {
  readonly path: string;
  /** A path, a URI, or a YAML file of custom resources. */
  readonly policy: string;
  /** Which of several definitions of a YAML file is meant. */
  readonly definition: string | undefined;
  readonly executionMode: string | undefined;
  readonly raw: boolean;
  /** Whether the policy may read what its metadata asks for. */
  readonly contextAware: boolean;
  /** Undefined: all where there is a context, none elsewhere. */
  readonly hostCapabilities: readonly string[] | undefined;
  readonly cases: readonly SuiteCase[];
}

/** What came of a case. */
export interface CaseResult {
  readonly suite: string;
  readonly name: string;
  /** What is not as the case says; empty if it passed. */
  readonly faults: readonly string[];
  readonly milliseconds: number;
}
