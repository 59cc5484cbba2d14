/**
 * From a policy's answer to a verdict (`spec/evaluator.md §3.2, §4.2`), for the modes whose guests answer with a
 * ValidationResponse (waPC, WASI, Extism).
 */
import {
  ANSWER,
  type EvaluationRequest,
  type SettingsVerdict,
  TEXT,
  type Verdict,
} from "../types/evaluation.ts";
import { boundedText } from "./bounded_text.ts";
import { jsonPatch, PatchLimitError } from "./json_patch.ts";
import {
  decodeText,
  expectEnd,
  JsonSyntaxError,
  MAX_DEPTH,
  position,
  scanArray,
  scanObject,
  skipSpace,
  skipString,
  skipValue,
  stringValue,
} from "./json_scan.ts";
import { jsonExcess } from "./json_size.ts";
import { type LosslessJson, parseLossless } from "./lossless_json.ts";

/** Raised for an answer that is not what the protocol asks for. The message says what is wrong and where. */
export class AnswerError extends Error {
  override readonly name = "AnswerError";
}

const encoder = new TextEncoder();
/** Characters of a guest's key in an error. */
const MAX_KEY = 100;
const QUOTE = 0x22, NULL = 0x6e, OPEN_BRACE = 0x7b, OPEN_BRACKET = 0x5b;

interface ValidationResponse {
  accepted: boolean | undefined;
  message: string | undefined;
  code: number | undefined;
  mutated: readonly [number, number] | undefined;
  auditAnnotations: Record<string, string> | null;
  warnings: string[] | null;
}

/** Walks the members of a JSON object, refusing those that `known` holds when they come twice. */
function readMembers(
  answer: Uint8Array,
  known: readonly string[],
  member: (name: string, at: number) => number,
): void {
  const seen = new Set<string>();
  try {
    const start = skipSpace(answer, 0);
    if (answer[start] !== OPEN_BRACE) {
      skipValue(answer, start, MAX_DEPTH);
      throw new AnswerError(`expected an object at ${position(answer, start)}`);
    }
    const end = scanObject(answer, start, (keyStart, keyEnd, valueStart) => {
      const name = stringValue(answer, keyStart, keyEnd);
      if (!known.includes(name)) return skipValue(answer, valueStart, Infinity);
      if (seen.has(name)) {
        throw new AnswerError(`duplicate field \`${name}\` at ${position(answer, keyStart)}`);
      }
      seen.add(name);
      return member(name, valueStart);
    });
    expectEnd(answer, end);
  } catch (error) {
    if (error instanceof JsonSyntaxError) {
      throw new AnswerError(`${error.message} at ${position(answer, error.at)}`);
    }
    throw error;
  }
}

function readText(answer: Uint8Array, at: number, name: string): { end: number; text: string } {
  if (answer[at] !== QUOTE) throw new AnswerError(`${name}: expected a string at ${position(answer, at)}`);
  const end = skipString(answer, at);
  return { end, text: stringValue(answer, at, end) };
}

function readBoolean(answer: Uint8Array, at: number, name: string): { end: number; value: boolean } {
  const value = answer[at] === 0x74;
  if (!value && answer[at] !== 0x66) {
    throw new AnswerError(`${name}: expected a boolean at ${position(answer, at)}`);
  }
  return { end: skipValue(answer, at, 1), value };
}

function checkEntries(name: string, count: number): void {
  if (count > ANSWER.entries) throw new AnswerError(`${name}: over ${ANSWER.entries} entries`);
}

const MEMBERS = ["accepted", "message", "code", "mutated_object", "audit_annotations", "warnings"];

function readValidationResponse(answer: Uint8Array): ValidationResponse {
  const response: ValidationResponse = {
    accepted: undefined,
    message: undefined,
    code: undefined,
    mutated: undefined,
    auditAnnotations: null,
    warnings: null,
  };
  readMembers(answer, MEMBERS, (name, at) => {
    if (name !== "accepted" && answer[at] === NULL) return skipValue(answer, at, 1);
    let end: number;
    switch (name) {
      case "accepted":
        ({ end, value: response.accepted } = readBoolean(answer, at, name));
        return end;
      case "message":
        ({ end, text: response.message } = readText(answer, at, name));
        return end;
      case "code":
        ({ end, code: response.code } = readCode(answer, at));
        return end;
      case "mutated_object":
        end = skipValue(answer, at, MAX_DEPTH - 1);
        response.mutated = [at, end];
        return end;
      case "audit_annotations":
        ({ end, annotations: response.auditAnnotations } = readAnnotations(answer, at));
        return end;
      default:
        ({ end, warnings: response.warnings } = readWarnings(answer, at));
        return end;
    }
  });
  if (response.accepted === undefined) throw new AnswerError("missing field `accepted`");
  return response;
}

function readCode(answer: Uint8Array, at: number): { end: number; code: number } {
  const end = skipValue(answer, at, 1);
  const text = decodeText(answer, at, end);
  if (!/^(0|[1-9][0-9]*)$/.test(text) || Number(text) > 65535) {
    throw new AnswerError(`code: expected an integer from 0 to 65535 at ${position(answer, at)}`);
  }
  return { end, code: Number(text) };
}

function readAnnotations(
  answer: Uint8Array,
  at: number,
): { end: number; annotations: Record<string, string> } {
  if (answer[at] !== OPEN_BRACE) {
    throw new AnswerError(`audit_annotations: expected an object of strings at ${position(answer, at)}`);
  }
  const annotations = new Map<string, string>();
  const end = scanObject(answer, at, (keyStart, keyEnd, valueStart) => {
    const key = stringValue(answer, keyStart, keyEnd);
    const value = readText(answer, valueStart, `audit_annotations.${boundedText(key, MAX_KEY)}`);
    annotations.set(key, value.text);
    checkEntries("audit_annotations", annotations.size);
    return value.end;
  });
  return { end, annotations: Object.fromEntries(annotations) };
}

function readWarnings(answer: Uint8Array, at: number): { end: number; warnings: string[] } {
  if (answer[at] !== OPEN_BRACKET) {
    throw new AnswerError(`warnings: expected an array of strings at ${position(answer, at)}`);
  }
  const warnings: string[] = [];
  const end = scanArray(answer, at, (start) => {
    const warning = readText(answer, start, `warnings[${warnings.length}]`);
    warnings.push(warning.text);
    checkEntries("warnings", warnings.length);
    return warning.end;
  });
  return { end, warnings };
}

function document(json: Uint8Array, start: number, end: number, what: string): LosslessJson {
  const excess = jsonExcess(json, start, end);
  if (excess !== undefined) throw new AnswerError(`${what}: ${excess}, too much to be compared`);
  try {
    return parseLossless(decodeText(json, start, end));
  } catch (error) {
    // That it is JSON has been checked, but not of which bytes its strings are.
    if (!(error instanceof JsonSyntaxError)) throw error;
    throw new AnswerError(`${what}: ${error.message} at ${position(json, error.at)}`);
  }
}

function patchText(before: LosslessJson, after: LosslessJson): string | undefined {
  try {
    const operations = jsonPatch(before, after);
    if (operations.length === 0) return undefined;
    const text = JSON.stringify(operations);
    // No character has more than three bytes for each of its units.
    const bytes = 3 * text.length > ANSWER.max ? encoder.encode(text).length : 0;
    if (bytes > ANSWER.max) {
      throw new PatchLimitError(`the patch to it has ${bytes} bytes, the limit is ${ANSWER.max}`);
    }
    return text;
  } catch (error) {
    if (error instanceof PatchLimitError) throw new AnswerError(`mutated_object: ${error.message}`);
    throw error;
  }
}

/** The verdict that a ValidationResponse gives. Throws {@link AnswerError} for an answer of another shape. */
export function verdictOf(answer: Uint8Array, request: EvaluationRequest): Verdict {
  const response = readValidationResponse(answer);
  const { mutated, message, code, auditAnnotations, warnings } = response;
  let patch: string | undefined;
  if (mutated !== undefined) {
    if (request.object === undefined) {
      return {
        allowed: false,
        status: { message: TEXT.mutationOfNothing },
        auditAnnotations: null,
        warnings: null,
      };
    }
    const [start, end] = request.object;
    const before = document(request.json, start, end, "the request's object");
    patch = patchText(before, document(answer, mutated[0], mutated[1], "mutated_object"));
  }
  const status = message === undefined && code === undefined
    ? undefined
    : { ...(message !== undefined && { message }), ...(code !== undefined && { code }) };
  return {
    allowed: response.accepted!,
    ...(status && { status }),
    ...(patch !== undefined && { patch }),
    auditAnnotations,
    warnings,
  };
}

/** Whether the settings are valid, as a guest's `validate_settings` answered. Throws {@link AnswerError}. */
export function settingsVerdictOf(answer: Uint8Array): SettingsVerdict {
  let valid: boolean | undefined;
  let message: string | null = null;
  readMembers(answer, ["valid", "message"], (name, at) => {
    if (name === "valid") {
      const read = readBoolean(answer, at, name);
      valid = read.value;
      return read.end;
    }
    if (answer[at] === NULL) return skipValue(answer, at, 1);
    const read = readText(answer, at, name);
    message = read.text;
    return read.end;
  });
  if (valid === undefined) throw new AnswerError("missing field `valid`");
  return valid ? { valid } : { valid, message };
}
