/** The answers that a policy can give. */
import { own } from "../../program/types/own.ts";
import type { Answer } from "../types/policy.ts";
import { withExactNumbers } from "./exact_numbers.ts";

/** What goes with an answer. */
export interface AnswerOptions {
  /** Shown to the user whatever the answer is. */
  readonly warnings?: readonly string[];
  /** Written into the API server's audit log. */
  readonly auditAnnotations?: Readonly<Record<string, string>>;
}

/** What goes with a rejection. */
export interface RejectOptions extends AnswerOptions {
  /** An HTTP status; the API server says 400 unless one is given. */
  readonly code?: number;
}

const besides = ({ warnings, auditAnnotations }: AnswerOptions) => ({
  warnings,
  audit_annotations: auditAnnotations,
});

/** What most requests get, checked and written once. */
export const ACCEPTED: Answer = Object.freeze({ accepted: true });

/** The request is allowed. Throws {@link TypeError} for options that a policy server would refuse. */
export function accept(options?: AnswerOptions): Answer {
  return options === undefined ? ACCEPTED : exactAnswer({ accepted: true, ...besides(options) });
}

/**
 * The request is rejected; `message` tells the user why. Throws {@link TypeError} for what a policy server would refuse, so that the
 * stack shows where it was written.
 */
export function reject(message: string, options: RejectOptions = {}): Answer {
  return exactAnswer({ accepted: false, message, code: options.code, ...besides(options) });
}

/**
 * The request is allowed, with `object` in the place of its object: the whole of it, which may be the request's own, changed. The
 * policy's metadata has to say `mutating: true`.
 */
export function mutate(object: unknown, options: AnswerOptions = {}): Answer {
  if (typeof object !== "object" || object === null || Array.isArray(object)) {
    throw new TypeError("mutate needs the whole object, as it should be");
  }
  const answer: Answer = { ...accept(options), mutated_object: object };
  writers.set(answer, withExactNumbers);
  return answer;
}

/** A text as engines of 2024 have it; authors' compilers may know those of 2023 alone. */
type Text = string & { toWellFormed(): string };

/** How the changed object of an answer is written; here, so that a policy that changes nothing doesn't hold what it takes. */
export const writers: WeakMap<Answer, (object: unknown, payload: string) => string> = new WeakMap();

/**
 * The members of `answer` as they are sent: each is read once, only where it is the answer's own, and nothing that the answer may
 * have besides (a `toJSON`, what its prototype has) says anything else. Throws {@link TypeError} for members that the policy server
 * would refuse.
 */
export function exactAnswer(answer: Answer): Answer {
  if (answer === ACCEPTED) return ACCEPTED;
  const exact: Record<string, unknown> = {};
  for (let index = 0; index < MEMBERS.length; index++) {
    const name = MEMBERS[index]!;
    const value = own(answer as unknown as Readonly<Record<string, unknown>>, name);
    if (value === undefined || value === null) continue;
    // Half a pair is no text in UTF-8: the policy server would refuse the answer for it.
    exact[name] = name === "message" && typeof value === "string" ? (value as Text).toWellFormed() : value;
    if (!isRight(name, value, exact, answer)) {
      throw new TypeError(`an answer's \`${name}\` must be ${MUST[name]}`);
    }
  }
  const write = writers.get(answer);
  if (write) writers.set(exact as unknown as Answer, write);
  return exact as unknown as Answer;
}

/** Whether the member `name` may be `value`. */
function isRight(
  name: keyof typeof MUST,
  value: unknown,
  exact: Readonly<Record<string, unknown>>,
  answer: Answer,
): boolean {
  switch (name) {
    case "accepted":
      return typeof value === "boolean";
    case "message":
      return typeof value === "string";
    case "code":
      return Number.isInteger(value) && value as number >= 0 && value as number < 65_536;
    case "mutated_object":
      return writers.has(answer) && exact["accepted"] === true;
    default:
      // A Map would be written as nothing.
      return typeof value === "object" && Array.isArray(value) === (name === "warnings") &&
        !(value instanceof Map) &&
        Object.values(value as object).every((one) => typeof one === "string");
  }
}

/** What the members of answers are, in the words of whoever writes them. */
const MUST = {
  accepted: "a boolean",
  message: "a text",
  code: "an integer from 0 to 65535",
  mutated_object: "given with mutate(object)",
  warnings: "[text, ...]",
  audit_annotations: "{name: text}",
} as const;

const MEMBERS = Object.keys(MUST) as readonly (keyof typeof MUST)[];
