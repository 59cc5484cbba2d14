/** What came of asking a policy about an object. */
import type { Auditable } from "./policies.ts";

export type Judgement =
  | { readonly outcome: "pass" | "fail"; readonly message: string | undefined }
  | {
    readonly outcome: "error";
    readonly message: string | undefined;
    /** `answer`: the policy server said so; `request`: it could not be asked or understood; `condition`: matchConditions. */
    readonly from: "answer" | "request" | "condition";
  };

/** A policy's judgement and when it came in, in seconds since the epoch. */
export type Evaluation = {
  readonly policy: Auditable;
  readonly judgement: Judgement;
  readonly seconds: number;
};

/** An object of the cluster, as it came from the API server. */
export type Audited = {
  /** JSON, with `apiVersion` and `kind`; numbers as the API server wrote them. */
  readonly text: string;
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace: string | undefined;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly labels: { readonly [name: string]: string } | undefined;
};
