/**
 * How much a guest may hand to its host at once, by purpose. The host reads nothing of a guest's memory without one of these
 * (`apply/guest_memory.ts`).
 */
import { ANSWER } from "./evaluation.ts";

/** A limit, and what it is for, in the words of errors. */
export interface GuestLimit {
  readonly what: string;
  /** Bytes. */
  readonly max: number;
}

const KIB = 1024;
/** What becomes a message in a response or in the log: a screenful of screenfuls, and small beside a request. */
const TEXT = 64 * KIB;
/** What a Rego policy hands over of its input: twice the largest request that the server takes by default. */
const REGO = 16 * KIB * KIB;

const limit = (what: string, max: number): GuestLimit => ({ what, max });

/** The limits, each with its reason. */
export const GUEST_LIMIT = {
  /** The longest name of a capability has 40 bytes; names are repeated in errors. */
  binding: limit("binding of a host call", 256),
  namespace: limit("namespace of a host call", 256),
  operation: limit("operation of a host call", 256),
  /** Copied, and sent to another thread: as large as an answer. */
  payload: limit("payload of a host call", ANSWER.max),
  /** Parsed, compared with the request, and sent to the client. */
  response: limit("response", ANSWER.max),
  /** Where the host puts what it gives: a request, or the answer of a host call, whose sizes are the host's. */
  given: limit("room for what the host gives", Infinity),
  /** Becomes the message of a verdict, or of what is said of settings. Cut, not refused. */
  error: limit("error", TEXT),
  /** Becomes a line of the log. */
  logMessage: limit("log message", TEXT),
  /** Rego: what `opa_println` and `opa_abort` give ends at a zero, which is looked for so far; what is shown is a log message. */
  printed: limit("text to print", REGO),
  /** WASI: one call of `fd_read` or `random_get`; guests go round again. */
  transfer: limit("transfer", 1024 * KIB),
  /**
   * WASI: one call of `fd_write`. Programs that Javy built write their answer by one, and don't look at how much was taken
   * (`spec/evaluator.md §6.2`). One byte more than an answer may have, so that a longer one is refused, not cut.
   */
  write: limit("write", ANSWER.max + 1),
  /** WASI: a structure of a fixed size, or the arguments, which are the host's words. */
  structure: limit("structure", 4 * KIB),
  /** Rego: an operand of a builtin as JSON; the whole input may be one. */
  operand: limit("operand of a builtin", REGO),
  /** Rego: the lists of builtins and entry points; a module with a thousand rules has 40 KiB. */
  list: limit("list", 1024 * KIB),
} as const;
