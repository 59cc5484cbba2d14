/** The answers that a policy can give. */
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

const besides = ({ warnings, auditAnnotations }: AnswerOptions): Partial<Answer> => ({
  ...(warnings === undefined ? {} : { warnings }),
  ...(auditAnnotations === undefined ? {} : { audit_annotations: auditAnnotations }),
});

/** The request is allowed. */
export function accept(options: AnswerOptions = {}): Answer {
  return { accepted: true, ...besides(options) };
}

/** The request is rejected; `message` tells the user why. */
export function reject(message: string, options: RejectOptions = {}): Answer {
  return {
    accepted: false,
    message,
    ...(options.code === undefined ? {} : { code: options.code }),
    ...besides(options),
  };
}

/**
 * The request is allowed, with `object` in the place of its object: the whole of it, which may be the request's own, changed. The
 * policy's metadata has to say `mutating: true`.
 */
export function mutate(object: unknown, options: AnswerOptions = {}): Answer {
  if (typeof object !== "object" || object === null || Array.isArray(object)) {
    throw new TypeError("mutate needs the whole object, as it should be");
  }
  const answer: Answer = { accepted: true, mutated_object: object, ...besides(options) };
  writers.set(answer, withExactNumbers);
  return answer;
}

/** How the changed object of an answer is written; here, so that a policy that changes nothing doesn't hold what it takes. */
export const writers: WeakMap<Answer, (object: unknown, payload: string) => string> = new WeakMap();
