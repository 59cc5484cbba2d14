/** Asks all policies that look at an object (spec/audit.md §8, §9). */
import { Buffer } from "node:buffer";
import { setImmediate } from "node:timers/promises";
import { isNotFound, type KubeClient } from "../../kubernetes/apply/kube_client.ts";
import { resourcePath } from "../../kubernetes/types/resource.ts";
import { type LabelMatcher, labelMatcher } from "../render/label_selector.ts";
import { auditedOf } from "../render/list_page.ts";
import { errorText } from "../render/log_line.ts";
import { reviewOf, unanswered } from "../render/review.ts";
import type { Audited, Evaluation, Judgement } from "../types/judgement.ts";
import type { Log } from "../types/log.ts";
import { type Auditable, type Bucket, resourceOf, type Served, type Subject } from "../types/policies.ts";
import type { Conditions } from "./match_conditions.ts";
import type { PolicyServerClient } from "./policy_server_client.ts";

/** Milliseconds for which conditions may keep the event loop to themselves. */
const MAX_BLOCKING_MS = 20;

/** Takes what a policy says of the object, in the version that the policy asks for. */
type Recorder = (version: Audited, policy: Auditable, judgement: Judgement) => void;

export type EvaluatorParts = {
  readonly client: KubeClient;
  readonly servers: PolicyServerClient;
  readonly conditions: Conditions;
  readonly log: Log;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
};

export class ObjectEvaluator {
  readonly #parts: EvaluatorParts;
  /** Of the policies' object selectors. */
  readonly #matchers = new WeakMap<Auditable, LabelMatcher>();

  constructor(parts: EvaluatorParts) {
    this.#parts = parts;
  }

  /**
   * What the policies of a subject say of an object, in the policies' order; those whose answer is `known` are not asked again,
   * and at most `parallel` are asked at once.
   */
  async evaluate(
    object: Audited,
    { primary, others }: Subject,
    parallel: number,
    known: (policy: Auditable) => boolean,
  ): Promise<readonly Evaluation[]> {
    const { servers, log, now } = this.#parts;
    const found: Evaluation[] = [];
    const record: Recorder = (version, policy, judgement) => {
      logJudgement(log, version, policy, judgement);
      found.push({ policy, judgement, seconds: Math.floor(now() / 1000) });
    };
    const seen = new Set<Auditable>();
    for (const bucket of [primary, ...others]) {
      // A policy that asks for several versions of a kind answers once, about the preferred one.
      const policies = bucket.policies.filter((policy) =>
        !seen.has(policy) && this.#matcherOf(policy)(object.labels) && !known(policy)
      );
      for (const policy of bucket.policies) seen.add(policy);
      if (policies.length === 0) continue;
      const version = bucket === primary ? object : await this.#inVersion(object, bucket, policies, record);
      if (version === undefined) continue;
      const asked = await this.#matching(policies, version, bucket.served, record);
      if (asked.length === 0) continue;
      const review = Buffer.from(reviewOf(version, bucket.served));
      const urls = asked.map(({ url }) => url);
      await servers.ask(
        urls,
        review,
        parallel,
        (index, judgement) => record(version, asked[index]!, judgement),
      );
    }
    return found.sort((a, b) => a.policy.order - b.policy.order);
  }

  #matcherOf(auditable: Auditable): LabelMatcher {
    let matcher = this.#matchers.get(auditable);
    if (matcher === undefined) {
      try {
        matcher = labelMatcher(auditable.policy.spec.objectSelector);
      } catch (error) {
        const text = errorText(error);
        matcher = () => {
          this.#parts.log("error", "error matching policy to resource", {
            policy: auditable.id,
            error: text,
          });
          return false;
        };
      }
      this.#matchers.set(auditable, matcher);
    }
    return matcher;
  }

  /**
   * The object in the version that a bucket's policies ask for; `undefined` where there is none, and where it can't be read,
   * which is recorded as an error of each policy.
   */
  async #inVersion(
    object: Audited,
    { served }: Bucket,
    policies: readonly Auditable[],
    record: Recorder,
  ): Promise<Audited | undefined> {
    try {
      const path = resourcePath(resourceOf(served), object.namespace, object.name);
      const other = auditedOf(await this.#parts.client.text(path), served);
      return other.uid === object.uid ? other : undefined;
    } catch (error) {
      if (isNotFound(error)) return undefined;
      const failure = unanswered(`cannot read the object as ${served.version}: ${errorText(error)}`);
      for (const policy of policies) record(object, policy, failure);
      return undefined;
    }
  }

  /** The policies whose match conditions hold. Conditions that can't be evaluated are recorded as an error of their policy. */
  async #matching(
    policies: readonly Auditable[],
    version: Audited,
    served: Served,
    record: Recorder,
  ): Promise<readonly Auditable[]> {
    const { conditions, now } = this.#parts;
    const matching: Auditable[] = [];
    let resumed = now();
    for (const policy of policies) {
      const condition = conditions.check(policy, version, served);
      if (condition.kind === "matching") matching.push(policy);
      else if (condition.kind === "problem") {
        record(version, policy, { outcome: "error", message: condition.message, from: "condition" });
      }
      // Requests of other objects and signals aren't kept waiting by the conditions of many policies.
      if (now() - resumed > MAX_BLOCKING_MS) {
        await setImmediate();
        resumed = now();
      }
    }
    return matching;
  }
}

const ERROR_MESSAGES = {
  answer: "error evaluating Policy in PolicyServer",
  request: "error sending AdmissionReview to PolicyServer",
  condition: "error evaluating matchConditions of the policy",
} as const;

function logJudgement(log: Log, object: Audited, { policy, id }: Auditable, judgement: Judgement): void {
  const about = { policy: policy.metadata.name, resource: object.name };
  if (judgement.outcome !== "error") {
    log("debug", "audit review response", {
      client: "policyclient",
      response: { uid: object.uid, ...about, allowed: judgement.outcome === "pass" },
    });
    return;
  }
  const name = object.namespace === undefined ? "admissionRequest name" : "admissionRequest-name";
  log("error", ERROR_MESSAGES[judgement.from], {
    client: "policyclient",
    error: judgement.message ?? "",
    response: { [name]: object.name, ...about, ...(judgement.from === "condition" ? { id } : {}) },
  });
}
