/** What all errors that are meant for the caller have in common. */

/**
 * The family of errors that the library throws: `code` says to programs what happened, `message` says to people what is wrong,
 * with what, and what to do about it; `cause` is the error underneath, where there is one.
 */
export abstract class PortreeveError extends Error {
  /** What went wrong, such as `invalid_module`; codes don't change between releases. */
  abstract readonly code: string;
}
