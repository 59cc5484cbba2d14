/** Attacks a policy server by one of its policies while requests go to others, and records how both are answered. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import {
  type Attack,
  ATTACK_LIMIT_S,
  attackReview,
  INTERRUPTED,
  MAX_ANSWER,
  ORDINARY_REVIEW,
} from "../types/attacks.ts";
import { WORKLOADS } from "../types/workloads.ts";
import { policyOf } from "./attack_modules.ts";
import { keptAlive, post, withUid } from "./client.ts";
import { residentMb } from "./processes.ts";
import { type PolicyEntry, ROOT } from "./servers.ts";

/** The server under attack. */
export interface Target {
  readonly url: string;
  readonly pid: number;
}

/** How requests to the other policies were answered. */
export interface OthersAnswers {
  /** Milliseconds, in no order. */
  readonly latencies: readonly number[];
  /** A line for each answer that was wrong or did not come. */
  readonly wrong: readonly string[];
}

/** How the attacker was answered. */
export interface AttackerAnswers {
  readonly answered: number;
  /** A line for each answer that is not what the attack must be answered. */
  readonly wrong: readonly string[];
  readonly largestAnswer: number;
}

/** The policies that are attacked through their neighbour. */
export const OTHERS: Readonly<Record<string, PolicyEntry>> = Object.fromEntries(
  WORKLOADS.map(({ policy, module, settings, allowedToMutate }) => [
    policy,
    { module: join(ROOT, module), settings, allowedToMutate },
  ]),
);
const ASKS = WORKLOADS.map(({ policy, request, expected }) => ({
  policy,
  review: readFileSync(join(ROOT, request), "utf8"),
  expected,
}));
const SHOWN = 300;

/** Requests under way at any time, or, where a rate is given, sent so many a second. */
export type Pressure = { readonly connections: number } | { readonly perSecond: number };

/** Sends requests to the other policies, one policy after the other. Latencies count from when each was sent. */
export async function askOthers(target: Target, count: number, pressure: Pressure): Promise<OthersAnswers> {
  const connections = "connections" in pressure ? pressure.connections : 64;
  const agent = keptAlive(connections);
  const latencies: number[] = [];
  const wrong: string[] = [];
  const one = async (index: number) => {
    const { policy, review, expected } = ASKS[index % ASKS.length]!;
    const { uid, body } = withUid(review, index);
    try {
      const answer = await post(agent, `${target.url}/validate/${policy}`, body);
      latencies.push(answer.ms);
      if (answer.status !== 200 || answer.body !== expected(uid)) {
        wrong.push(`${policy}: ${answer.status} ${answer.body.slice(0, SHOWN)}`);
      }
    } catch (error) {
      wrong.push(`${policy}: ${(error as Error).message}`);
    }
  };
  if ("connections" in pressure) {
    let next = 0;
    await Promise.all(Array.from({ length: connections }, async () => {
      while (next < count) await one(next++);
    }));
  } else {
    const started = performance.now();
    const sent: Promise<void>[] = [];
    for (let index = 0; index < count; index++) {
      const left = started + index * 1000 / pressure.perSecond - performance.now();
      if (left > 0) await new Promise((resolve) => setTimeout(resolve, left));
      sent.push(one(index));
    }
    await Promise.all(sent);
  }
  agent.destroy();
  return { latencies, wrong };
}

type Response = { readonly response: { readonly allowed: boolean; readonly status?: { message?: string } } };

/** What is wrong with how a hostile request was answered; undefined if nothing is. */
function wrongAnswer(attack: Attack, status: number, body: string): string | undefined {
  const { refused, maxAnswer = MAX_ANSWER } = attack;
  const shown = `${status} ${body.slice(0, SHOWN)}`;
  if (body.length > maxAnswer) return `${body.length} bytes: ${shown}`;
  // What could not be evaluated at all is answered with this status.
  if (status !== 200) return refused && status === 500 ? undefined : shown;
  const { allowed, status: { message = "" } = {} } = (JSON.parse(body) as Response).response;
  // What would be accepted takes its time, too.
  const right = refused === undefined
    ? allowed || INTERRUPTED.test(message)
    : !allowed && refused.test(message);
  return right ? undefined : shown;
}

/** An attack under way. */
export interface RunningAttack {
  /** Ends it; resolves when every hostile request has been answered. */
  stop(): Promise<AttackerAnswers>;
}

/** Sends the ordinary requests that come before an attack. Rejects when one of them is refused. */
export async function prove(target: Target, attack: Attack): Promise<void> {
  if (attack.settings === true) return;
  const agent = keptAlive(4);
  const url = `${target.url}/validate/${policyOf(attack)}`;
  for (let index = 0; index < (attack.proof ?? 1); index += 4) {
    await Promise.all(Array.from({ length: 4 }, async () => {
      const { status, body } = await post(agent, url, Buffer.from(ORDINARY_REVIEW));
      if (status !== 200 || !(JSON.parse(body) as Response).response.allowed) {
        throw new Error(`${attack.name}: an ordinary request is answered ${status} ${body.slice(0, SHOWN)}`);
      }
    }));
  }
  agent.destroy();
}

/** Begins an attack: `attackers` hostile requests are under way at any time, and `perSecond` are sent at most. */
export function startAttack(
  target: Target,
  attack: Attack,
  { attackers, perSecond }: { readonly attackers: number; readonly perSecond: number },
): RunningAttack {
  const agent = keptAlive(attackers);
  const url = `${target.url}/validate/${policyOf(attack)}`;
  const body = Buffer.from(attackReview(attack));
  const wrong: string[] = [];
  let answered = 0, largestAnswer = 0;
  let stopped = false;
  const reload = async () => {
    while (!stopped) {
      process.kill(target.pid, "SIGHUP");
      // One after the other: settings are validated for as long as a policy may take.
      await new Promise((resolve) => setTimeout(resolve, ATTACK_LIMIT_S * 1000 + 500));
    }
  };
  const running = Array.from({ length: attackers }, async () => {
    while (!stopped) {
      const due = performance.now() + attackers * 1000 / perSecond;
      try {
        const answer = await post(agent, url, body);
        answered++;
        largestAnswer = Math.max(largestAnswer, answer.body.length);
        const fault = wrongAnswer(attack, answer.status, answer.body);
        if (fault !== undefined) wrong.push(fault);
      } catch (error) {
        wrong.push((error as Error).message);
      }
      const left = due - performance.now();
      if (left > 0) await new Promise((resolve) => setTimeout(resolve, left));
    }
  });
  if (attack.settings === true) running.push(reload());
  return {
    stop: async () => {
      stopped = true;
      await Promise.all(running);
      agent.destroy();
      return { answered, wrong, largestAnswer };
    },
  };
}

/** Watches the resident set of a process; `stop` returns the most that was seen, in MB. */
export function watchMemory(pid: number): { stop(): number } {
  let most = residentMb(pid) ?? 0;
  const timer = setInterval(() => most = Math.max(most, residentMb(pid) ?? 0), 20);
  return {
    stop: () => {
      clearInterval(timer);
      return Math.max(most, residentMb(pid) ?? 0);
    },
  };
}

/** Requests in a step of {@link warmUp}, and how many steps there are. */
const WARM_STEP = 1_000;
const MIN_WARM_STEPS = 4;
const MAX_WARM_STEPS = 15;

/**
 * Serves ordinary requests until the resident set no longer reaches a new maximum: a server that has just begun takes more with
 * every thousand, attacked or not (on Bun 270 MB after 2,000 requests, 360 after 10,000). Returns what was answered wrongly.
 */
export async function warmUp(target: Target): Promise<readonly string[]> {
  const wrong: string[] = [];
  let most = 0, steady = 0;
  for (let step = 0; step < MAX_WARM_STEPS && (steady < 2 || step < MIN_WARM_STEPS); step++) {
    wrong.push(...(await askOthers(target, WARM_STEP, { connections: 8 })).wrong);
    const rssMb = residentMb(target.pid) ?? NaN;
    steady = rssMb <= most ? steady + 1 : 0;
    most = Math.max(most, rssMb);
  }
  return wrong;
}

/** Requests in a step of {@link settle}, and how many steps there are at most. */
const STEP = 200;
const MAX_STEPS = 60;

/**
 * Serves ordinary requests until the resident set is `limitMb` or less, as a server that was attacked goes on serving: runtimes
 * give memory back when they work. Returns what the resident set was last, in MB, and how many requests that took.
 */
export async function settle(
  target: Target,
  limitMb: number,
): Promise<{ readonly rssMb: number; readonly requests: number; readonly wrong: readonly string[] }> {
  const wrong: string[] = [];
  let rssMb = residentMb(target.pid) ?? NaN;
  let step = 0;
  for (; step < MAX_STEPS && !(rssMb <= limitMb); step++) {
    wrong.push(...(await askOthers(target, STEP, { connections: 4 })).wrong);
    rssMb = residentMb(target.pid) ?? NaN;
  }
  return { rssMb, requests: step * STEP, wrong };
}
