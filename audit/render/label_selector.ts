/** Label selectors as Kubernetes reads them (spec/audit.md §5.1, §8). */
import { own } from "../../program/types/own.ts";
import type { LabelSelector } from "../../crd/types.ts";

type Labels = { readonly [name: string]: string };

export type LabelMatcher = (labels: Labels | undefined) => boolean;

const NAME = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const PREFIX = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

/** Keys and values are as long as who wrote the policy made them. */
const quoted = (text: string) => JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);

function validKey(key: string): boolean {
  const slash = key.indexOf("/");
  const prefix = slash < 0 ? undefined : key.slice(0, slash);
  return NAME.test(key.slice(slash + 1)) &&
    (prefix === undefined || prefix.length <= 253 && PREFIX.test(prefix));
}

const validValue = (value: string) => value === "" || NAME.test(value);

/** A selector as a function; without one, everything matches. Throws an error that says what is wrong with it. */
export function labelMatcher(selector: LabelSelector | undefined): LabelMatcher {
  const equal = Object.entries(selector?.matchLabels ?? {});
  const expressions = selector?.matchExpressions ?? [];
  for (const [key, value] of equal) {
    if (!validKey(key)) throw new Error(`invalid label key ${quoted(key)}`);
    if (!validValue(value)) throw new Error(`invalid label value ${quoted(value)} for key ${key}`);
  }
  for (const { key, operator, values = [] } of expressions) {
    if (!validKey(key)) throw new Error(`invalid label key ${quoted(key)}`);
    if (operator === "In" || operator === "NotIn") {
      if (values.length === 0) throw new Error(`for 'in', 'notin' operators, values set can't be empty`);
    } else if (operator === "Exists" || operator === "DoesNotExist") {
      if (values.length > 0) throw new Error("values set must be empty for exists and does not exist");
    } else throw new Error(`${quoted(operator)} is not a valid label selector operator`);
    const bad = values.find((value) => !validValue(value));
    if (bad !== undefined) throw new Error(`invalid label value ${quoted(bad)} for key ${key}`);
  }
  return (labels = {}) => {
    const has = (key: string) => Object.hasOwn(labels, key);
    return equal.every(([key, value]) => has(key) && own(labels, key) === value) &&
      expressions.every(({ key, operator, values = [] }) => {
        switch (operator) {
          case "In":
            return has(key) && values.includes(own(labels, key)!);
          case "NotIn":
            return !has(key) || !values.includes(own(labels, key)!);
          case "Exists":
            return has(key);
          default:
            return !has(key);
        }
      });
  };
}
