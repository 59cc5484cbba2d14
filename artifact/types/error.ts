/** The one error of this room: what failed, on what, why, and what the person can do. */

import { PortreeveError } from "../../program/types/error.ts";

/** What kind of thing went wrong; programs branch on this, people read the message. */
export type ArtifactErrorCode =
  | "invalid_options" // an option that there is none of, or a value that it can't have
  | "reference" // the URI or image reference cannot be understood
  | "config" // sources, verification, Docker or trust configuration
  | "connect" // no connection, or it broke
  | "tls" // the server's certificate was refused
  | "timeout"
  | "aborted" // the caller's signal
  | "unauthorized" // 401
  | "forbidden" // 403
  | "not_found" // 404, or the registry says the manifest is unknown
  | "throttled" // 429
  | "server" // any other answer that is no success
  | "protocol" // an answer that breaks the distribution specification
  | "media_type"
  | "digest" // bytes are not what their digest or size says
  | "limit" // larger than what is accepted
  | "not_wasm"
  | "store"
  | "signature" // not signed as required
  | "trust_root";

/** Thrown by every function of this room that can fail; `cause` keeps the error underneath. */
export class ArtifactError extends PortreeveError {
  /** What kind of thing went wrong. */
  override readonly code: ArtifactErrorCode;

  /** `cause` is the error underneath. */
  constructor(code: ArtifactErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "ArtifactError";
    this.code = code;
  }
}

/** The text of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The code of anything thrown, if it came from this room. */
export function codeOf(error: unknown): ArtifactErrorCode | undefined {
  return error instanceof ArtifactError ? error.code : undefined;
}

/** The same error with `prefix` before its message: same code, the original kept as cause. */
export function prefixed(prefix: string, error: unknown, code: ArtifactErrorCode): ArtifactError {
  return new ArtifactError(codeOf(error) ?? code, `${prefix}${messageOf(error)}`, error);
}
