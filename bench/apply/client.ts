/** Single requests over kept-alive connections, for what isn't about the most requests a second. */
import { get as httpGet } from "node:http";
import { Agent, request as httpsRequest } from "node:https";
import { request as httpRequest } from "node:http";
import type { Workload } from "../types/measurement.ts";

const TIMEOUT_MS = 30_000;

/** An answer, and how long it took from the moment it was asked for. */
export type Answer = { readonly status: number; readonly body: string; readonly ms: number };

/** Servers are asked without regard to who issued their certificate: what a benchmark sends is no secret. */
export function keptAlive(connections: number): Agent {
  return new Agent({ keepAlive: true, maxSockets: connections, rejectUnauthorized: false });
}

/** Posts a review. Rejects when there is no answer. */
export function post(agent: Agent, url: string, body: Uint8Array): Promise<Answer> {
  const started = performance.now();
  const secure = url.startsWith("https:");
  return new Promise((resolve, reject) => {
    const request = (secure ? httpsRequest : httpRequest)(url, {
      method: "POST",
      agent: secure ? agent : undefined,
      // Bun takes this from the request, not from the agent.
      ...(secure && { rejectUnauthorized: false }),
      headers: { "content-type": "application/json", "content-length": body.length },
      timeout: TIMEOUT_MS,
    }, (response) => {
      const chunks: Uint8Array[] = [];
      response.on("data", (chunk: Uint8Array) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          body: Buffer.concat(chunks).toString(),
          ms: performance.now() - started,
        }));
    });
    request.on("timeout", () => request.destroy(new Error(`${url}: no answer within ${TIMEOUT_MS} ms`)));
    request.on("error", reject);
    request.end(body);
  });
}

/** Whether the readiness probe is answered 200. */
export function isReady(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const request = httpGet({ host: "127.0.0.1", port, path: "/readiness", agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.on("error", () => resolve(false));
  });
}

/** The uid of a review's request. */
export function uidOf(review: string): string {
  return (JSON.parse(review) as { request: { uid: string } }).request.uid;
}

/** The `index`th copy of a review, told from the others by its uid. */
export function withUid(review: string, index: number): { readonly uid: string; readonly body: Uint8Array } {
  const uid = `00000000-0000-4000-8000-${String(index).padStart(12, "0")}`;
  return { uid, body: Buffer.from(review.replace(uidOf(review), uid)) };
}

/**
 * Sends `count` reviews with uids of their own, many at a time, and rejects unless each gets its own right answer. The load
 * generator can't tell connections apart; this shows that answers don't get swapped.
 */
export async function verify(
  url: string,
  review: string,
  expected: Workload["expected"],
  count: number,
): Promise<void> {
  const agent = keptAlive(32);
  try {
    await Promise.all(Array.from({ length: count }, async (_, index) => {
      const { uid, body } = withUid(review, index);
      const answer = await post(agent, url, body);
      if (answer.status !== 200 || answer.body !== expected(uid)) {
        throw new Error(
          `${url} answers ${answer.status} ${answer.body.slice(0, 500)}\nexpected: 200 ${expected(uid)}`,
        );
      }
    }));
  } finally {
    agent.destroy();
  }
}
