/** What policies and groups of policies have in common for who embeds them: requests in, verdicts and answers out. */
import type { PolicyEvaluator } from "../../evaluator/apply/inline.ts";
import { scanObject, skipSpace, skipValue, stringValue } from "../../evaluator/render/json_scan.ts";
import {
  readRawReview,
  readRequest,
  readReview,
  type Review,
  ReviewShapeError,
} from "../../evaluator/render/review.ts";
import type { Verdict } from "../../evaluator/types/evaluation.ts";
import { admissionResponse, rawAnswer, reviewAnswer } from "../render/admission_response.ts";
import { givenJson } from "../render/given_json.ts";
import type { ResponseRules } from "../types/admission.ts";
import type { PolicyLog } from "../types/options.ts";
import { PolicyError } from "../types/policy_error.ts";
import type { AdmissionRequest, AdmissionReview, AdmissionReviewAnswer } from "../types/review.ts";
import type { LogStream } from "./log_stream.ts";

const OPEN_BRACE = 0x7b;

const bytesOf = (json: unknown): Uint8Array =>
  givenJson(
    json,
    (reason, cause) => new ReviewShapeError(`the request can't be written as JSON: ${reason}`, { cause }),
  );

/** Whether JSON is an object that has a `request`, as reviews do and requests don't. Throws JsonSyntaxError. */
function holdsRequest(json: Uint8Array): boolean {
  const start = skipSpace(json, 0);
  if (json[start] !== OPEN_BRACE) return false;
  let found = false;
  scanObject(json, start, (keyStart, keyEnd, valueStart) => {
    found ||= stringValue(json, keyStart, keyEnd) === "request";
    return skipValue(json, valueStart, Infinity);
  });
  return found;
}

/** A policy or a group of policies, loaded. Close it, or declare it with `await using`, to end its threads. */
export abstract class Evaluated implements AsyncDisposable, Disposable {
  readonly #evaluator: PolicyEvaluator;
  readonly #logs: LogStream;
  readonly #rules: ResponseRules;
  readonly #raw: boolean;
  #closed = false;

  /** @internal */
  protected constructor(evaluator: PolicyEvaluator, logs: LogStream, rules: ResponseRules, raw: boolean) {
    this.#evaluator = evaluator;
    this.#logs = logs;
    this.#rules = rules;
    this.#raw = raw;
  }

  /** @internal */
  protected abstract verdict(review: Review): Promise<Verdict>;

  /**
   * What the policy says of a request: an AdmissionRequest, or a whole AdmissionReview; for a raw policy any JSON value. Text and
   * bytes (UTF-8) are taken as JSON and reach the policy as they are.
   *
   * @throws {JsonSyntaxError} when it is no JSON
   * @throws {ReviewShapeError} when it is another JSON than a request; the message names the member
   * @throws {PolicyError} when the policy can't be run, or was closed
   * @throws {OverloadedError} when too many evaluations wait
   */
  async validate(
    request: AdmissionRequest | AdmissionReview | string | Uint8Array | unknown,
  ): Promise<Verdict> {
    this.checkOpen();
    const json = bytesOf(request);
    return await this.#ask(
      !this.#raw && holdsRequest(json) ? readReview(json) : readRequest(json, this.#raw),
    );
  }

  /**
   * The whole answer to an AdmissionReview, as a webhook sends it: the verdict after `mode`, `message` and `allowedToMutate` were
   * applied. A request without its review is taken as well. For a raw policy: an object with the `request`, any JSON value.
   *
   * Throws as {@link Evaluated.validate} does.
   */
  async review(
    review: AdmissionReview | AdmissionRequest | string | Uint8Array | unknown,
  ): Promise<AdmissionReviewAnswer> {
    this.checkOpen();
    const json = bytesOf(review);
    const read = this.#raw ? readRawReview(json) : holdsRequest(json) ? readReview(json) : readRequest(json);
    const response = admissionResponse(await this.#ask(read), this.#rules);
    return JSON.parse((this.#raw ? rawAnswer : reviewAnswer)(read.uid, response)) as AdmissionReviewAnswer;
  }

  /** What the policy logs and prints from now on, until it is closed. A reader that is late loses the oldest entries, and is told. */
  logs(): AsyncIterableIterator<PolicyLog> {
    return this.#logs.read();
  }

  /** Ends the threads. What still runs ends with an error. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#evaluator.close();
    this.#logs.close();
  }

  /** The same as {@link Evaluated.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Begins what {@link Evaluated.close} does and does not wait for it. */
  [Symbol.dispose](): void {
    // It does not reject.
    void this.close();
  }

  /** @internal */
  protected checkOpen(): void {
    if (this.#closed) throw new PolicyError("closed", `${this.#rules.policy}: it was closed`);
  }

  async #ask(review: Review): Promise<Verdict> {
    try {
      return await this.verdict(review);
    } catch (error) {
      // Closed while it was evaluated.
      this.checkOpen();
      throw error;
    }
  }
}
