/**
 * What a report was made from, as one short text on the report: the object's version, a digest of everything else that the
 * report depends on, and how each policy judged. `--incremental` compares it and needs not read the report itself.
 */
import type { Auditable, Plan, Subject } from "../types/policies.ts";
import type { Outcome } from "../types/report.ts";

/** Changes when the same inputs would make another report than before. */
const FORMAT = 1;

/** The policies of a subject, in the order of results. */
export function policiesOf({ primary, others }: Subject): readonly Auditable[] {
  const all = new Set([primary, ...others].flatMap(({ policies }) => policies));
  return [...all].sort((a, b) => a.order - b.order);
}

/** The text whose digest stands for all that the reports on a subject's objects depend on besides the object. */
export function basisOf(subject: Subject, plan: Plan): string {
  const buckets = [subject.primary, ...subject.others].map(({ served, policies }) => [
    served.group,
    served.version,
    served.kind,
    policies.map((
      { id, properties },
    ) => [id, properties["policy-uid"], properties["policy-resource-version"]]),
  ]);
  return JSON.stringify([FORMAT, buckets, plan.skipped.length, plan.errored.length]);
}

/** What each policy of a subject answered; `undefined`: it does not look at the object. */
export type Outcomes = readonly (Outcome | undefined)[];

const LETTERS: { readonly [O in Outcome]: string } = { pass: "p", fail: "f", error: "e" };
const UNASKED = "-";

export function inputsText(resourceVersion: string, basis: string, outcomes: Outcomes): string {
  const letters = outcomes.map((outcome) => outcome === undefined ? UNASKED : LETTERS[outcome]).join("");
  return `${resourceVersion}/${basis}/${letters}`;
}

export type Inputs = {
  readonly resourceVersion: string;
  readonly basis: string;
  readonly outcomes: Outcomes;
};

/** The parts of the text; `undefined` when it is none. */
export function parseInputs(text: string): Inputs | undefined {
  const [, resourceVersion, basis, letters] = /^([^/]*)\/([^/]*)\/([pfe-]*)$/.exec(text) ?? [];
  if (resourceVersion === undefined || basis === undefined || letters === undefined) return undefined;
  const outcomes = [...letters].map((letter) =>
    (Object.keys(LETTERS) as Outcome[]).find((outcome) => LETTERS[outcome] === letter)
  );
  return { resourceVersion, basis, outcomes };
}
