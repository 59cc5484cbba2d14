/** From the verdicts of a policy group's members to the group's own (`spec/evaluator.md §10`). */
import {
  evaluateExpression,
  type Expression,
  ExpressionError,
} from "../../evaluator/render/group_expression.ts";
import { boundedText } from "../../evaluator/render/bounded_text.ts";
import { ANSWER, failure, type StatusCause, type Verdict } from "../../evaluator/types/evaluation.ts";
import { ALLOWED } from "./admission_response.ts";

/** What came of asking a member: its verdict, or why it could not be run at all. */
export type MemberAnswer = { readonly kind: "verdict"; readonly verdict: Verdict } | {
  readonly kind: "error";
  readonly message: string;
};

/** A group as texts name it. */
export interface GroupRules {
  readonly name: string;
  /** What a rejection says; the members' own messages are its causes. */
  readonly message: string;
}

const MEMBER_MUTATES = "mutation is not allowed inside of policy group";

/** The group's verdict. Members are asked one after the other, and only where the expression depends on them. */
export async function groupVerdict(
  { name: group, message }: GroupRules,
  expression: Expression,
  askMember: (name: string) => Promise<MemberAnswer>,
): Promise<Verdict> {
  /** The last verdict of each member that was asked. */
  const asked = new Map<string, Verdict>();
  const failed = new Set<string>();
  /** What a member says, cut so that all of them together say no more than one policy may. */
  const messageOf = ({ status }: Verdict): string | undefined =>
    status?.message && boundedText(status.message, Math.floor(ANSWER.max / asked.size));
  const ask = async (name: string): Promise<boolean> => {
    const answer = await askMember(name);
    if (answer.kind === "error") {
      const reason = `Attempted to rehydrated policy '${name}': ${answer.message}`;
      throw new ExpressionError(`error invoking ${group}/${name}: ${reason}`);
    }
    const { verdict } = answer;
    const mutates = verdict.patch !== undefined;
    asked.set(name, mutates ? { ...verdict, allowed: false, status: { message: MEMBER_MUTATES } } : verdict);
    if (isFailure(verdict)) failed.add(name);
    return verdict.allowed && !mutates;
  };
  let accepted: boolean;
  try {
    accepted = await evaluateExpression(expression, ask);
    if (accepted && failed.size > 0 && !await acceptedWhatever(expression, failed, asked, ask)) {
      const reasons = [...failed].map((name) => `${name}: ${messageOf(asked.get(name)!) ?? ""}`);
      throw new ExpressionError(`it depends on members that failed: ${reasons.join(", ")}`);
    }
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error;
    return failure(`error evaluating policy group expression: ${error.message}`);
  }
  if (accepted) return ALLOWED;
  const causes = [...asked].filter(([, verdict]) => !verdict.allowed).map(([name, verdict]): StatusCause => ({
    reason: null,
    message: messageOf(verdict) ?? null,
    field: `spec.policies.${name}`,
  }));
  return {
    allowed: false,
    status: { message, details: { causes } },
    auditAnnotations: null,
    warnings: null,
  };
}

/**
 * Whether the policy could not evaluate: it trapped, was interrupted, answered with what is no answer, or did not get what it
 * needs to see. The texts differ by mode (WASI: whatever the program wrote to standard error), the code is always this one; a
 * policy that refuses with it on purpose is treated alike.
 */
function isFailure({ allowed, status }: Verdict): boolean {
  return !allowed && status?.code === 500;
}

/** More failed members than this are not tried in all combinations: the group is refused. */
const MAX_TRIED = 6;

/**
 * Whether an expression is true whatever its failed members would have answered. Counting a failure as "no" alone would
 * let `!member()` pass when the member is made to fail (`spec/policy-server.md §19 row 2`).
 */
async function acceptedWhatever(
  expression: Expression,
  failed: ReadonlySet<string>,
  asked: ReadonlyMap<string, Verdict>,
  ask: (name: string) => Promise<boolean>,
): Promise<boolean> {
  const names = [...failed];
  if (names.length > MAX_TRIED) return false;
  for (let answers = 1; answers < 1 << names.length; answers++) {
    const accepted = await evaluateExpression(expression, (name) => {
      const index = names.indexOf(name);
      if (index >= 0) return (answers & (1 << index)) !== 0;
      return asked.get(name)?.allowed ?? ask(name);
    });
    // A member that was asked only now may have failed too.
    if (!accepted || failed.size > names.length) return false;
  }
  return true;
}
