/** The error of policies that can't be loaded or run. */
import { PortreeveError } from "../../program/types/error.ts";

/**
 * What went wrong:
 *
 * - `unreadable_policy`: its bytes can't be got from where they are said to be
 * - `invalid_options`: an option has a name that there is none of, a value that can't be used, or two exclude each other
 * - `invalid_settings`: the policy refuses the settings that it is loaded with
 * - `invalid_group`: the group's expression, or its members, are no group
 * - `not_runnable`: the module is one, but no instance of it can be made, or it has no answer
 * - `unreadable_session`: a recorded session can't be read
 * - `missing_part`: a file of the library itself was left behind, as by a bundler
 * - `closed`: it was closed before
 */
export type PolicyErrorCode =
  | "unreadable_policy"
  | "invalid_options"
  | "invalid_settings"
  | "invalid_group"
  | "not_runnable"
  | "unreadable_session"
  | "missing_part"
  | "closed";

/** Raised when a policy can't be loaded or run; the message says why. */
export class PolicyError extends PortreeveError {
  /** The name of the error. */
  override readonly name = "PolicyError";
  /** What went wrong. */
  override readonly code: PolicyErrorCode;

  /** `options.cause` is the error underneath. */
  constructor(code: PolicyErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
