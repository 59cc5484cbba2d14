/** Reading JSON of which nothing is known yet: each reader names the place of what is wrong in one bounded error. */
import { isObject, type JsonObject } from "../../../program/types/json_object.ts";
import { ArtifactError, messageOf } from "../../types/error.ts";
import { quoted } from "../../types/quoted.ts";

/** Refuses a signature. */
export function refuse(reason: string, cause?: unknown): never {
  throw new ArtifactError("signature", reason, cause);
}

/** The members of an object. `what` names it in the error: `the statement`. */
export function fields(value: unknown, what: string): JsonObject {
  return isObject(value) ? value : refuse(`${what} is no JSON object`);
}

export function text(value: unknown, what: string): string {
  if (typeof value !== "string") refuse(`${what} is no string`);
  return value;
}

const MAX_REASON = 1000;

/** What a package threw for input that it can't read, as an error of this room: its code is `signature`. */
export function refusal(error: unknown): ArtifactError {
  if (error instanceof ArtifactError) return error;
  const message = messageOf(error);
  const reason = message.length > MAX_REASON ? quoted(message) : message;
  return new ArtifactError("signature", reason, error);
}
