/** A policy that can't be built; the message says what is wrong, where, and what to do, in one or more lines. */
export class PolicyBuildError extends Error {
  override readonly name = "PolicyBuildError";
}
