/** What the demonstration serves and asks. */

/** A request that is tried, and what it shows. */
export interface Sample {
  readonly policy: string;
  /** Of the request below `requests/` of the policy, without `.json`. */
  readonly request: string;
  /** The request in words: `a Pod without an owner`. */
  readonly words: string;
}

export const SAMPLES: readonly Sample[] = [
  { policy: "required-labels", request: "unlabelled", words: "a Pod without the label `owner`" },
  { policy: "default-seccomp", request: "no-context", words: "a Pod without a seccomp profile" },
];

/** The policies with settings with which they have something to say. */
export const POLICIES: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  "default-seccomp": { allowedToMutate: true },
  "raw-quota": {
    allowedToMutate: true,
    settings: { quotas: { "team-shop": { "gpu-hours": 10 } }, on_excess: "cap" },
  },
  "required-labels": { settings: { required: ["owner"] } },
};

/** A sample with what the server answered. */
export interface Answered {
  readonly sample: Sample;
  /** The whole path of the file that holds the request. */
  readonly file: string;
  readonly url: string;
  /** The body of the answer, an AdmissionReview. */
  readonly body: string;
}

/** A port that was wanted and had by another program. */
export interface Moved {
  readonly from: number;
  readonly to: number;
}
