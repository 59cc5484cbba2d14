/**
 * Where the policy server answers otherwise than Kubewarden 1.36 on purpose. The replay of `tests/vectors/` allows these and nothing
 * else.
 */
import type { Recording } from "./replay.ts";

/** Which recordings differ, how many they are, why, and what is answered instead. */
export interface AnswerDifference {
  readonly name: string;
  readonly reason: string;
  readonly differs: (recording: Recording) => boolean;
  readonly answer: RegExp;
  readonly count: number;
}

export const ANSWER_DIFFERENCES: readonly AnswerDifference[] = [{
  name: "groups that the original accepts only because a member failed are refused",
  reason:
    "spec/policy-server.md §19 row 2: whoever can make a member fail would get `!member()` past the group",
  differs: ({ case: kind, status, answer }) =>
    kind.startsWith("group") && status === 200 && answer.includes(`"allowed":true`),
  answer:
    /"allowed":false.*"message":"error evaluating policy group expression: it depends on members that failed: /,
  count: 3,
}];
