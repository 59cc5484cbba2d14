/**
 * Asks policy servers what their policies say of a review, with a time limit on each request (spec/audit.md §10). A server
 * that says so in its answers is asked about several policies in one request, so that the object travels, and is read, once.
 */
import { Buffer } from "node:buffer";
import { linesOf } from "../../kubernetes/render/lines.ts";
import { type Bundle, bundlesOf, partsOf } from "../render/bundles.ts";
import { judge, judgeLine, unanswered } from "../render/review.ts";
import type { Judgement } from "../types/judgement.ts";
import { type Answer, type Exchange, openExchange, REQUEST_LIMIT_MS, type Tls } from "./exchange.ts";
import { type Gate, openGate } from "./gate.ts";
import { inParallel } from "./in_parallel.ts";
import { append } from "../../program/types/lists.ts";

/** An AdmissionReview's answer is small; a patch, which nobody reads here, may be as large as an object. */
const ANSWER_LIMIT_BYTES = 4 * 1024 * 1024;
const MAX_REDIRECTS = 10;
const REDIRECTS = [301, 302, 303, 307, 308];
/** Reviews on the way to one server at first; more while it is slow, up to what the flags allow. */
const FIRST_REVIEWS = 12;

/** How a policy server says for how many policies one review may come (docs/audit_scanner.md). */
const MANY_HEADER = "portreeve-audit-many";
const LINES_TYPE = "application/x-ndjson";

/** Called with what the policy behind the `index`-th URL says. */
export type Heard = (index: number, judgement: Judgement) => void;

/** What is known of a server. */
type Server = {
  readonly gate: Gate;
  /** How many policies it takes in one request. */
  takes: number;
};

/** A client with at most `most` reviews on the way to each server. */
export async function policyServerClient(
  tls: Tls,
  most: number,
  limitMs = REQUEST_LIMIT_MS,
): Promise<PolicyServerClient> {
  return new PolicyServerClient(await openExchange(tls), most, limitMs);
}

export class PolicyServerClient {
  readonly #exchange: Exchange;
  readonly #most: number;
  readonly #limitMs: number;
  /** By URL up to `/audit`. */
  readonly #servers = new Map<string, Server>();

  constructor(exchange: Exchange, most: number, limitMs: number) {
    this.#exchange = exchange;
    this.#most = most;
    this.#limitMs = limitMs;
  }

  /**
   * Asks the policies behind `urls` about a review, at most `parallel` at once; `heard` is called for each as soon as its
   * judgement is known. Whatever goes wrong is an error judgement that says so.
   */
  async ask(urls: readonly string[], review: Uint8Array, parallel: number, heard: Heard): Promise<void> {
    const { bundles, single } = bundlesOf(urls, (audit) => Math.min(this.#serverOf(audit).takes, parallel));
    for (const bundle of bundles) {
      const { gate } = this.#serverOf(bundle.audit);
      const askMany = () => this.#askMany(bundle, review, heard);
      append(single, await gate.pass(askMany, bundle.url, bundle.policies.size));
    }
    await inParallel(single, parallel, async (index) => {
      const url = urls[index]!;
      const { gate } = this.#serverOf(partsOf(url).audit);
      heard(index, await gate.pass(() => this.#askOne(url, review), url));
    });
  }

  /** Asks about several policies at once. Resolves to those that have to be asked singly: the server takes no several after all. */
  async #askMany(
    { audit, url, policies }: Bundle,
    review: Uint8Array,
    heard: Heard,
  ): Promise<readonly number[]> {
    const left = new Map(policies);
    let taken = true;
    const reason = await this.#inTime(async (signal) => {
      taken = await this.#exchange.send(
        { method: "POST", url, body: review, signal },
        (answer) => readLines(answer, left, heard),
      );
    });
    if (!taken) {
      this.#serverOf(audit).takes = 1;
      return [...left.values()];
    }
    for (const [id, index] of left) {
      heard(index, unanswered(`POST ${audit}/${id}: ${reason ?? "the answer does not tell of it"}`));
    }
    return [];
  }

  async #askOne(url: string, review: Uint8Array): Promise<Judgement> {
    let judgement: Judgement | undefined;
    const reason = await this.#inTime(async (signal) => {
      judgement = await this.#follow(url, review, signal);
    });
    return judgement ?? unanswered(`POST ${url}: ${reason}`);
  }

  /** Asks one policy, at the URL that redirects lead to. */
  async #follow(start: string, review: Uint8Array, signal: AbortSignal): Promise<Judgement> {
    let url = start;
    let method: "GET" | "POST" = "POST";
    for (let redirects = 0;; redirects++) {
      const body = method === "POST" ? review : undefined;
      const next = await this.#exchange.send({ method, url, body, signal }, async (answer) => {
        const text = await textOf(answer.body);
        const location = answer.header("location");
        const moved = REDIRECTS.includes(answer.status) && location !== undefined;
        if (moved) return { status: answer.status, location };
        const takes = Number(answer.header(MANY_HEADER));
        if (redirects === 0 && takes > 1) this.#serverOf(partsOf(url).audit).takes = takes;
        return judge(answer.status, text);
      });
      if (!("location" in next)) return next;
      if (redirects === MAX_REDIRECTS) return unanswered(`stopped after ${MAX_REDIRECTS} redirects`);
      url = new URL(next.location, url).href;
      if (next.status < 307) method = "GET";
    }
  }

  /** Does `work` within the time limit; resolves to why it could not be done. */
  async #inTime(work: (signal: AbortSignal) => Promise<void>): Promise<string | undefined> {
    const ending = new AbortController();
    const timer = setTimeout(() => ending.abort(), this.#limitMs);
    try {
      await work(ending.signal);
      return undefined;
    } catch (error) {
      return ending.signal.aborted ? `no answer within ${this.#limitMs / 1000} s` : reasonOf(error);
    } finally {
      clearTimeout(timer);
    }
  }

  #serverOf(audit: string): Server {
    let server = this.#servers.get(audit);
    if (server === undefined) {
      server = { gate: openGate({ first: FIRST_REVIEWS, most: this.#most }), takes: 1 };
      this.#servers.set(audit, server);
    }
    return server;
  }

  close(): Promise<void> {
    return this.#exchange.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Reads the lines of an answer about several policies and takes what they tell of out of `left`; `false` where it has none. */
async function readLines(answer: Answer, left: Map<string, number>, heard: Heard): Promise<boolean> {
  if (answer.status !== 200 || !answer.header("content-type")?.startsWith(LINES_TYPE)) {
    await textOf(answer.body);
    return false;
  }
  for await (const text of linesOf(answer.body, ANSWER_LIMIT_BYTES)) {
    const { policy, judgement } = judgeLine(text);
    const index = left.get(policy);
    if (index === undefined) throw new Error(`the answer tells of a policy that was not asked, ${policy}`);
    left.delete(policy);
    heard(index, judgement);
  }
  return true;
}

async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > ANSWER_LIMIT_BYTES) throw new Error(`the answer has more than ${ANSWER_LIMIT_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function reasonOf(error: unknown, depth = 0): string {
  if (!(error instanceof Error)) return String(error);
  const own = error instanceof AggregateError && error.errors.length > 0
    ? error.errors.map((part) => reasonOf(part, depth + 1)).join(", ")
    : error.message || String((error as { code?: unknown }).code ?? error.name);
  return error.cause instanceof Error && depth < 4 ? `${own}: ${reasonOf(error.cause, depth + 1)}` : own;
}
