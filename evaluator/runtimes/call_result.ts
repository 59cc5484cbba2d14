/**
 * What the modes have in common whose guests answer with a ValidationResponse (waPC, WASI, Extism; `spec/evaluator.md §3`): what a guest
 * is given, and what its answer, its failure and its interruption mean. Each mode has words of its own for that.
 */
import { AnswerError, settingsVerdictOf, verdictOf } from "../render/verdict.ts";
import {
  type EvaluationRequest,
  failure,
  type SettingsVerdict,
  TEXT,
  type Verdict,
} from "../types/evaluation.ts";
import type { GuestHost } from "../types/guest.ts";
import type { EvaluablePolicy } from "../types/policy.ts";

/** How a call of a guest ended. */
export type CallResult =
  | { readonly kind: "answer"; readonly bytes: Uint8Array }
  | { readonly kind: "failed"; readonly error: string }
  | { readonly kind: "interrupted" };

/** A mode's words. */
export interface CallWords {
  /** Of a request whose call failed. */
  readonly failed: (error: string) => string;
  /** What stands before what is wrong with an answer. */
  readonly badAnswer: string;
  /** … and the same of settings. */
  readonly settingsFailed: (error: string) => string;
  readonly settingsInterrupted: string;
  readonly badSettingsAnswer: string;
}

const encoder = new TextEncoder();
const BEFORE_REQUEST = encoder.encode('{"request":');
const BEFORE_SETTINGS = encoder.encode(',"settings":');
const END = encoder.encode("}");

/** What a guest gets to validate a request: one JSON object, in pieces. */
export function validationPayload(
  { json }: EvaluationRequest,
  { settings }: EvaluablePolicy,
): readonly Uint8Array[] {
  return [BEFORE_REQUEST, json, BEFORE_SETTINGS, settings, END];
}

/** The verdict on a request. */
export function verdictFrom(
  result: CallResult,
  request: EvaluationRequest,
  host: GuestHost,
  words: CallWords,
): Verdict {
  switch (result.kind) {
    case "interrupted":
      return failure(TEXT.interrupted);
    case "failed":
      return failure(words.failed(result.error));
    case "answer":
      host.answered(result.bytes.length);
      try {
        return verdictOf(result.bytes, request);
      } catch (error) {
        if (!(error instanceof AnswerError)) throw error;
        return failure(`internal server error: ${words.badAnswer}: ${error.message}`);
      }
  }
}

/** Whether a policy takes its settings. */
export function settingsVerdictFrom(result: CallResult, words: CallWords): SettingsVerdict {
  switch (result.kind) {
    case "interrupted":
      return { valid: false, message: words.settingsInterrupted };
    case "failed":
      return { valid: false, message: words.settingsFailed(result.error) };
    case "answer":
      try {
        return settingsVerdictOf(result.bytes);
      } catch (error) {
        if (!(error instanceof AnswerError)) throw error;
        return { valid: false, message: `${words.badSettingsAnswer}: ${error.message}` };
      }
  }
}
