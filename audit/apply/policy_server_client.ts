/**
 * Asks policy servers what their policies say of a review, with a time limit on each request (spec/audit.md §10). A server
 * that says so in its answers is asked about several policies in one request, so that the object travels, and is read, once.
 */
import { Buffer } from "node:buffer";
import { linesOf } from "../../kubernetes/render/lines.ts";
import { judge, judgeLine, unanswered } from "../render/review.ts";
import type { Judgement } from "../types/judgement.ts";
import { type Answer, openExchange, REQUEST_LIMIT_MS, type Tls } from "./exchange.ts";
import { openGate } from "./gate.ts";
import { inParallel } from "./in_parallel.ts";
import { append } from "../../program/types/lists.ts";

/** An AdmissionReview's answer is small; a patch, which nobody reads here, may be as large as an object. */
const ANSWER_LIMIT_BYTES = 4 * 1024 * 1024;
const MAX_REDIRECTS = 10;
/** Reviews on the way to one server at first; more while it is slow, up to what the flags allow. */
const FIRST_REVIEWS = 12;
/** Servers take URLs of 8,000 octets at least (RFC 9110 §4.1). */
const URL_LIMIT = 8_000;

/** How a policy server says for how many policies one review may come (docs/audit_scanner.md). */
const MANY_HEADER = "portreeve-audit-many";
const LINES_TYPE = "application/x-ndjson";

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

/** `https://host/audit/ID` in its parts. */
function partsOf(url: string): { readonly audit: string; readonly id: string } {
  const end = url.lastIndexOf("/");
  return { audit: url.slice(0, end), id: url.slice(end + 1) };
}

/** Policies of one server that are asked in one request. */
type Bundle = {
  readonly audit: string;
  /** What asks them all. */
  url: string;
  /** Where in the list of URLs each is, by its id as the URL writes it. */
  readonly policies: Map<string, number>;
};

/** Hears what the policy behind the `index`-th URL says. */
export type Heard = (index: number, judgement: Judgement) => void;

export type PolicyServerClient = {
  /**
   * Asks the policies behind `urls` about a review, at most `parallel` at once; `heard` hears of each as soon as it is known.
   * Whatever goes wrong is an error judgement that says so.
   */
  ask(urls: readonly string[], review: Uint8Array, parallel: number, heard: Heard): Promise<void>;
  close(): Promise<void>;
};

/** A client with at most `most` reviews on the way to each server. */
export async function policyServerClient(
  tls: Tls,
  most: number,
  limitMs = REQUEST_LIMIT_MS,
): Promise<PolicyServerClient> {
  const exchange = await openExchange(tls);
  /** By URL up to `/audit`. */
  const servers = new Map<string, ReturnType<typeof openServer>>();

  function openServer() {
    return { gate: openGate({ first: FIRST_REVIEWS, most }), takes: 1 };
  }

  function serverOf(audit: string) {
    let server = servers.get(audit);
    if (server === undefined) servers.set(audit, server = openServer());
    return server;
  }

  /** Does `work` within the time limit; resolves to why it could not be done. */
  async function inTime(work: (signal: AbortSignal) => Promise<void>): Promise<string | undefined> {
    const ending = new AbortController();
    const timer = setTimeout(() => ending.abort(), limitMs);
    try {
      await work(ending.signal);
      return undefined;
    } catch (error) {
      return ending.signal.aborted ? `no answer within ${limitMs / 1000} s` : reasonOf(error);
    } finally {
      clearTimeout(timer);
    }
  }

  async function follow(start: string, review: Uint8Array, signal: AbortSignal): Promise<Judgement> {
    let url = start;
    let method: "GET" | "POST" = "POST";
    for (let redirects = 0;; redirects++) {
      const body = method === "POST" ? review : undefined;
      const next = await exchange.send({ method, url, body, signal }, async (answer) => {
        const text = await textOf(answer.body);
        const location = answer.header("location");
        const moved = [301, 302, 303, 307, 308].includes(answer.status) && location !== undefined;
        if (moved) return { status: answer.status, location };
        const takes = Number(answer.header(MANY_HEADER));
        if (redirects === 0 && takes > 1) serverOf(partsOf(url).audit).takes = takes;
        return judge(answer.status, text);
      });
      if (!("location" in next)) return next;
      if (redirects === MAX_REDIRECTS) return unanswered(`stopped after ${MAX_REDIRECTS} redirects`);
      url = new URL(next.location, url).href;
      if (next.status < 307) method = "GET";
    }
  }

  async function askOne(url: string, review: Uint8Array): Promise<Judgement> {
    let judgement: Judgement | undefined;
    const reason = await inTime(async (signal) => {
      judgement = await follow(url, review, signal);
    });
    return judgement ?? unanswered(`POST ${url}: ${reason}`);
  }

  /** The lines of an answer about several policies. */
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

  /** Asks about several policies at once. Resolves to those that have to be asked singly: the server takes no several after all. */
  async function askMany(
    { audit, url, policies }: Bundle,
    review: Uint8Array,
    heard: Heard,
  ): Promise<readonly number[]> {
    const left = new Map(policies);
    let taken = true;
    const reason = await inTime(async (signal) => {
      taken = await exchange.send(
        { method: "POST", url, body: review, signal },
        (answer) => readLines(answer, left, heard),
      );
    });
    if (!taken) {
      serverOf(audit).takes = 1;
      return [...left.values()];
    }
    for (const [id, index] of left) {
      heard(index, unanswered(`POST ${audit}/${id}: ${reason ?? "the answer does not tell of it"}`));
    }
    return [];
  }

  /** Sorts URLs into those that go together and those that are asked singly. */
  function bundlesOf(urls: readonly string[], parallel: number) {
    const bundles: Bundle[] = [];
    const open = new Map<string, Bundle>();
    const single: number[] = [];
    urls.forEach((url, index) => {
      const { audit, id } = partsOf(url);
      const most = Math.min(serverOf(audit).takes, parallel);
      let bundle = open.get(audit);
      if (most < 2 || bundle?.policies.has(id)) {
        single.push(index);
        return;
      }
      const member = `policy=${id}`;
      if (
        bundle === undefined || bundle.policies.size >= most ||
        bundle.url.length + 1 + member.length > URL_LIMIT
      ) {
        bundles.push(bundle = { audit, url: `${audit}?${member}`, policies: new Map() });
        open.set(audit, bundle);
      } else bundle.url += `&${member}`;
      bundle.policies.set(id, index);
    });
    return { bundles, single };
  }

  return {
    async ask(urls, review, parallel, heard) {
      const { bundles, single } = bundlesOf(urls, parallel);
      for (const bundle of bundles) {
        const { audit, url, policies } = bundle;
        const { gate } = serverOf(audit);
        append(single, await gate.pass(() => askMany(bundle, review, heard), url, policies.size));
      }
      await inParallel(single, parallel, async (index) => {
        const url = urls[index]!;
        const { gate } = serverOf(partsOf(url).audit);
        heard(index, await gate.pass(() => askOne(url, review), url));
      });
    },
    close: () => exchange.close(),
  };
}
