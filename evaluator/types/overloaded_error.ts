/** Raised when more is asked than is let wait. */
import { PortreeveError } from "../../program/types/error.ts";

/** Raised when more is asked than the pool lets wait. */
export class OverloadedError extends PortreeveError {
  /** Always this one. */
  override readonly code = "overloaded";
  /** The name of the error. */
  override readonly name = "OverloadedError";
}
