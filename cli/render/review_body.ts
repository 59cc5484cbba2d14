/** From a request file to the review that the evaluator reads (`spec/cli.md §7.5`). */
import { joined } from "../../program/types/bytes.ts";
import { isObject } from "../../program/types/json_object.ts";
import { oneLine } from "../../program/render/terminal_text.ts";
import { JsonSyntaxError } from "../../evaluator/render/json_scan.ts";
import { readRawReview, readReview, type Review, ReviewShapeError } from "../../evaluator/render/review.ts";
import { CliError } from "../types/command.ts";

const encoder = new TextEncoder();

/** The bytes as `{"request":…}`: numbers keep their form. */
function wrapped(json: Uint8Array): Uint8Array {
  return joined([encoder.encode('{"request":'), json, encoder.encode("}")]);
}

/** The JSON text in `file`, without a mark before it; `from` names it in errors. Throws {@link CliError} for what is no JSON. */
export function jsonBytes(file: Uint8Array, from: string): Uint8Array {
  const json = file[0] === 0xef && file[1] === 0xbb && file[2] === 0xbf ? file.subarray(3) : file;
  try {
    JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(json));
  } catch (error) {
    const reason = error instanceof TypeError ? "it is not UTF-8" : oneLine((error as Error).message);
    throw new CliError(`Error parsing request ${from}: ${reason}`);
  }
  return json;
}

function inTheirWords(error: unknown): unknown {
  if (error instanceof ReviewShapeError) {
    // Where it stands is told as seen from what the request was put into.
    const reason = error.message.replace(/^request(?:: |\.)/, "").replace(/ at line \d+ column \d+$/, "");
    return new CliError(`cannot build AdmissionRequest object from given input: ${reason}`);
  }
  return error instanceof JsonSyntaxError ? new CliError(`Error parsing request: ${error.message}`) : error;
}

/**
 * The review in `bytes`, JSON text of a request file: an AdmissionReview, an AdmissionRequest, or with `raw` any JSON. Throws
 * {@link CliError}.
 */
export function reviewOf(bytes: Uint8Array, raw: boolean): Review {
  const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
  try {
    if (raw) return readRawReview(wrapped(bytes));
    if (!isObject(value)) {
      const advice = Array.isArray(value)
        ? ": it is a list, give its objects as several documents or as the items of a List"
        : "";
      throw new CliError(`Invalid request object${advice}`);
    }
    if ((value as { kind?: unknown }).kind !== "AdmissionReview") return readReview(wrapped(bytes));
    const { request } = value as { request?: unknown };
    if (typeof request !== "object" || request === null) throw new CliError("invalid AdmissionReview object");
    return readReview(bytes);
  } catch (error) {
    const said = inTheirWords(error);
    const { kind, request } = (value ?? {}) as { readonly kind?: unknown; readonly request?: unknown };
    if (!(said instanceof CliError) || raw || kind === "AdmissionReview" || typeof request !== "object") {
      throw said;
    }
    throw new CliError(`${said.message}; it has a request, and its kind is not AdmissionReview`);
  }
}

/** The review of a suite's case: besides what {@link reviewOf} takes, a raw request may stand in a review's `request`. */
export function caseReview(json: Uint8Array, raw: boolean): Review {
  const bytes = jsonBytes(json, "of the case");
  const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
  if (!raw || typeof value !== "object" || value === null || !("request" in value)) {
    return reviewOf(bytes, raw);
  }
  try {
    return readRawReview(bytes);
  } catch (error) {
    throw inTheirWords(error);
  }
}
