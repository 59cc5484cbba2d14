/** Asks all policies that look at an object (spec/audit.md §8, §9). */
import { Buffer } from "node:buffer";
import { setImmediate } from "node:timers/promises";
import { isNotFound, type KubeClient } from "../../kubernetes/apply/kube_client.ts";
import { resourcePath } from "../../kubernetes/types/resource.ts";
import { type LabelMatcher, labelMatcher } from "../render/label_selector.ts";
import { auditedOf } from "../render/list_page.ts";
import { errorText } from "../render/log_line.ts";
import { reviewOf } from "../render/review.ts";
import type { Audited, Judgement } from "../types/judgement.ts";
import type { Log } from "../types/log.ts";
import { type Auditable, type Bucket, resourceOf, type Subject } from "../types/policies.ts";
import type { Conditions } from "./match_conditions.ts";
import type { PolicyServerClient } from "./policy_server_client.ts";

/** Milliseconds for which conditions may keep the event loop to themselves. */
const MAX_BLOCKING_MS = 20;

export type Judged = { readonly policy: Auditable; readonly judgement: Judgement; readonly seconds: number };

export type Judge = {
  /** What the policies of a subject say of an object, in the policies' order; `known` answers are not asked for again. */
  judge(
    object: Audited,
    subject: Subject,
    parallel: number,
    known: (policy: Auditable) => boolean,
  ): Promise<readonly Judged[]>;
};

/** Judges objects with what `servers` say; `now` is in milliseconds since the epoch. */
export function objectJudge(
  { client, servers, conditions, log, now }: {
    readonly client: KubeClient;
    readonly servers: PolicyServerClient;
    readonly conditions: Conditions;
    readonly log: Log;
    readonly now: () => number;
  },
): Judge {
  const matchers = new WeakMap<Auditable, LabelMatcher>();

  function matcherOf(auditable: Auditable): LabelMatcher {
    let matcher = matchers.get(auditable);
    if (matcher === undefined) {
      try {
        matcher = labelMatcher(auditable.policy.spec.objectSelector);
      } catch (error) {
        const text = errorText(error);
        matcher = () => {
          log("error", "error matching policy to resource", { policy: auditable.id, error: text });
          return false;
        };
      }
      matchers.set(auditable, matcher);
    }
    return matcher;
  }

  /** The object in the version that the bucket's policies ask for. */
  async function inVersion(object: Audited, { served }: Bucket): Promise<Audited | undefined> {
    try {
      const path = resourcePath(resourceOf(served), object.namespace, object.name);
      const other = auditedOf(await client.text(path), served);
      return other.uid === object.uid ? other : undefined;
    } catch (error) {
      if (!isNotFound(error)) throw error;
      return undefined;
    }
  }

  function tell(object: Audited, { policy, id }: Auditable, judgement: Judgement): void {
    const about = { policy: policy.metadata.name, resource: object.name };
    if (judgement.outcome !== "error") {
      log("debug", "audit review response", {
        client: "policyclient",
        response: { uid: object.uid, ...about, allowed: judgement.outcome === "pass" },
      });
      return;
    }
    const message = judgement.from === "answer"
      ? "error evaluating Policy in PolicyServer"
      : judgement.from === "request"
      ? "error sending AdmissionReview to PolicyServer"
      : "error evaluating matchConditions of the policy";
    const name = object.namespace === undefined ? "admissionRequest name" : "admissionRequest-name";
    log("error", message, {
      client: "policyclient",
      error: judgement.message ?? "",
      response: { [name]: object.name, ...about, ...(judgement.from === "condition" ? { id } : {}) },
    });
  }

  return {
    async judge(object, subject, parallel, known) {
      const found: Judged[] = [];
      const seen = new Set<Auditable>();
      for (const bucket of [subject.primary, ...subject.others]) {
        // A policy that asks for several versions of a kind answers once, about the preferred one.
        const policies = bucket.policies.filter((policy) =>
          !seen.has(policy) && matcherOf(policy)(object.labels) && !known(policy)
        );
        for (const policy of bucket.policies) seen.add(policy);
        if (policies.length === 0) continue;
        let failure: string | undefined;
        const version = bucket === subject.primary
          ? object
          : await inVersion(object, bucket).catch((error) => {
            failure = `cannot read the object as ${bucket.served.version}: ${errorText(error)}`;
            return object;
          });
        if (version === undefined) continue;
        const heard = (policy: Auditable, judgement: Judgement) => {
          tell(version, policy, judgement);
          found.push({ policy, judgement, seconds: Math.floor(now() / 1000) });
        };
        const asked: Auditable[] = [];
        let resumed = now();
        for (const policy of policies) {
          const condition = failure === undefined
            ? conditions.check(policy, version, bucket.served)
            : { kind: "problem" as const, message: failure };
          if (condition.kind === "problem") {
            const from = failure === undefined ? "condition" : "request";
            heard(policy, { outcome: "error", message: condition.message, from });
          }
          if (condition.kind === "matching") asked.push(policy);
          // Requests of other objects and signals aren't kept waiting by the conditions of many policies.
          if (now() - resumed > MAX_BLOCKING_MS) {
            await setImmediate();
            resumed = now();
          }
        }
        if (asked.length === 0) continue;
        const review = Buffer.from(reviewOf(version, bucket.served));
        const urls = asked.map(({ url }) => url);
        await servers.ask(urls, review, parallel, (index, judgement) => heard(asked[index]!, judgement));
      }
      return found.sort((a, b) => a.policy.order - b.policy.order);
    },
  };
}
