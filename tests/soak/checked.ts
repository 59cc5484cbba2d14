/** Clients whose every answer is checked. */
import { Agent, request } from "node:https";
import type { Question } from "./plan.ts";

/** A client waits no longer. The API server's default is 10 s. */
const TIMEOUT_MS = 10_000;
/** What a client rests between two requests. */
const REST_MS = 10;
/** Of each kind of failure, how many are shown. */
const MAX_EXAMPLES = 5;
/** Latencies that are kept for percentiles, of each phase. */
const MAX_KEPT = 200_000;

/** What the checked clients saw. Latencies in milliseconds. */
export type Checks = {
  requests: number;
  wrong: number;
  /** No answer: the connection broke. */
  lost: number;
  /** No answer within the client's time. */
  late: number;
  /** Refused with 503. */
  refused: number;
  slowestMs: number;
  /** What was wrong first. */
  readonly examples: string[];
  /** Latencies while nobody attacks, and under attack. */
  readonly calm: number[];
  readonly attacked: number[];
};

type Outcome = { readonly status: number; readonly text: string };

/** Asks over kept-alive connections, until `stop`. */
export function checkedClients(port: number, questions: readonly Question[], connections: number) {
  const agent = new Agent({ keepAlive: true, maxSockets: connections, rejectUnauthorized: false });
  const checks: Checks = {
    requests: 0,
    wrong: 0,
    lost: 0,
    late: 0,
    refused: 0,
    slowestMs: 0,
    examples: [],
    calm: [],
    attacked: [],
  };
  let stopped = false;
  let attacked = false;
  let count = 0;

  const ask = (path: string, body: string): Promise<Outcome | "late"> =>
    new Promise((resolve, reject) => {
      const bytes = Buffer.from(body);
      const timer = setTimeout(() => {
        resolve("late");
        outgoing.destroy();
      }, TIMEOUT_MS);
      const outgoing = request({
        agent,
        host: "127.0.0.1",
        port,
        path,
        method: "POST",
        rejectUnauthorized: false,
        headers: { "content-type": "application/json", "content-length": bytes.length },
      }, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (piece) => text += piece);
        response.on("error", reject);
        response.on("end", () => {
          clearTimeout(timer);
          resolve({ status: response.statusCode ?? 0, text });
        });
      });
      outgoing.on("error", (error) => {
        clearTimeout(timer);
        reject(error);
      });
      outgoing.end(bytes);
    });
  const note = (kind: "wrong" | "lost" | "late" | "refused", what: string) => {
    checks[kind]++;
    if (kind !== "refused" && checks[kind] <= MAX_EXAMPLES) {
      checks.examples.push(`${new Date().toISOString()} ${kind}: ${what}`);
    }
  };
  const check = async (question: Question) => {
    const uid = `00000000-0000-4000-8000-${String(count++).padStart(12, "0")}`;
    const underAttack = attacked;
    const started = performance.now();
    checks.requests++;
    try {
      const outcome = await ask(`/validate/${question.policy}`, question.body(uid));
      const ms = performance.now() - started;
      checks.slowestMs = Math.max(checks.slowestMs, ms);
      const kept = underAttack ? checks.attacked : checks.calm;
      if (kept.length < MAX_KEPT) kept.push(ms);
      else kept[Math.floor(Math.random() * MAX_KEPT)] = ms;
      if (outcome === "late") note("late", question.policy);
      else if (outcome.status === 503) note("refused", question.policy);
      else if (outcome.status !== 200 || !question.isRight(outcome.text, uid)) {
        note("wrong", `${question.policy}: ${outcome.status} ${outcome.text.slice(0, 300)}`);
      }
    } catch (error) {
      if (!stopped) note("lost", `${question.policy}: ${(error as Error).message}`);
    }
  };
  let next = 0;
  const done = Promise.all(Array.from({ length: connections }, async () => {
    while (!stopped) {
      await check(questions[next++ % questions.length]!);
      await new Promise((resolve) => setTimeout(resolve, REST_MS));
    }
  }));
  return {
    checks,
    attack: (on: boolean) => {
      attacked = on;
    },
    async stop() {
      stopped = true;
      await done;
      agent.destroy();
    },
  };
}
