/** Reports as they are written (spec/audit.md §11, §12). */

export type Outcome = "pass" | "fail" | "error";

export type Severity = "critical" | "high" | "medium" | "low" | "info";

export type Summary = {
  readonly pass: number;
  readonly fail: number;
  readonly warn: number;
  readonly error: number;
  readonly skip: number;
};

export type Result = {
  readonly source: "kubewarden";
  readonly policy: string;
  readonly category?: string;
  readonly severity?: Severity;
  readonly timestamp: { readonly seconds: number; readonly nanos: 0 };
  readonly result: Outcome;
  readonly scored: true;
  readonly resourceSelector: Readonly<Record<string, never>>;
  readonly message?: string;
  readonly properties: { readonly [name: string]: string };
};

/** The audited object, as a report refers to it. */
export type ObjectReference = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace?: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
};

export type Report = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels: { readonly [name: string]: string };
    readonly annotations: { readonly [name: string]: string };
    readonly ownerReferences: readonly {
      readonly apiVersion: string;
      readonly kind: string;
      readonly name: string;
      readonly uid: string;
    }[];
  };
  readonly scope: ObjectReference;
  readonly summary: Summary;
  /** Always there, be it empty: what somebody else put into the report must not stay (spec/audit.md §13.1). */
  readonly results: readonly Result[];
};
