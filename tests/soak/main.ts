/**
 * Runs a policy server for a while under load and attack, checks every answer, and watches what it holds. Ends with 1 unless it
 * has held: no wrong, lost or late answer, descriptors and threads as before, memory flat, an end in time.
 *
 * usage: npm run soak -- [--minutes N] [--runtime node|bun] [--program FILE] [--faults NAME,... | --crowd N] [--connections N]
 *                        [--policies N] [--memory-limit MIB] [--html FILE] [--folder DIR] [--list]
 *
 * Without `--program`, the bundle that ships is made and run on the runtime; with it, that file is run by itself, and has to take
 * the flags of Kubewarden's policy server (`--faults` names those that it shall meet: one that does not know SIGHUP ends of it).
 * With `--crowd`, so many clients that are silent, half open, slow, resetting and pipelining take the place of the faults: answers
 * may then take three times as long, and memory has to be back, too.
 * `--memory-limit` runs it in a memory cgroup of its own, like a container of that size (root only).
 */
import { sleep } from "../../program/apply/sleep.ts";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { bundleFile, imageEnvironmentOf } from "../programs.ts";
import { checkedClients } from "./checked.ts";
import { crowd } from "./crowd.ts";
import { FAULTS } from "./faults.ts";
import { reportHtml } from "./html.ts";
import { type Observed, startObserved } from "./observed.ts";
import { memoryCgroup } from "./memory_cgroup.ts";
import { makePlan } from "./plan.ts";
import { failures, isBack, reportText, type Sample, type Soak } from "./report.ts";

/** Faults that go on at once. */
const AT_ONCE = 3;
/** How long a fault goes on, at most. */
const MAX_FAULT_MS = 8_000;
/** The share of the time before the first attack. */
const CALM_SHARE = 0.2;
const MAX_CALM_MS = 60_000;
/** Before a crowd: memory must have become what it is without one. */
const CALM_SHARE_OF_CROWD = 0.5;
const SAMPLE_MS = 1_000;
/** How long the server gets to give back what attackers held; half of it where they held it for less than that. */
const RECOVERY_MS = 60_000;

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    runtime: { type: "string", default: "bun" in process.versions ? "bun" : "node" },
    program: { type: "string" },
    faults: { type: "string" },
    crowd: { type: "string" },
    policies: { type: "string", default: "44" },
    connections: { type: "string", default: "8" },
    "memory-limit": { type: "string" },
    html: { type: "string" },
    folder: { type: "string" },
    list: { type: "boolean", default: false },
  },
});

/** The words that start the server. */
function command(): { readonly words: readonly string[]; readonly env: Readonly<Record<string, string>> } {
  if (values.program !== undefined) return { words: [resolve(values.program)], env: {} };
  if (values.runtime !== "node" && values.runtime !== "bun") {
    throw new Error(`--runtime ${values.runtime}: node or bun`);
  }
  const runtime = fileURLToPath(new URL(`../../node_modules/.bin/${values.runtime}`, import.meta.url));
  const env = imageEnvironmentOf("policy_server", values.runtime);
  return { words: [runtime, bundleFile("policy_server")], env };
}

function chosenFaults(): readonly string[] {
  const names = values.faults?.split(",") ?? Object.keys(FAULTS);
  for (const name of names) {
    if (name !== "" && !Object.hasOwn(FAULTS, name)) {
      throw new Error(`no fault is called ${JSON.stringify(name)}: see --list`);
    }
  }
  return names.filter((name) => name !== "");
}

/** Attacks, some faults at once, in turn, for `ms`. */
async function attackFor(ms: number, names: readonly string[], server: Observed): Promise<void> {
  const end = performance.now() + ms;
  const rounds = Math.ceil(names.length / AT_ONCE);
  const slotMs = Math.min(MAX_FAULT_MS, ms / rounds);
  for (let turn = 0; performance.now() < end && !server.ended(); turn++) {
    // Another combination in each round.
    const chosen = Array.from(
      { length: Math.min(AT_ONCE, names.length) },
      (_, index) => names[(turn * AT_ONCE + index * (1 + Math.floor(turn / rounds))) % names.length]!,
    );
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), Math.min(slotMs, end - performance.now()));
    if (names.length === 0) await sleep(slotMs);
    await Promise.all([...new Set(chosen)].map((name) => FAULTS[name]!(server, stop.signal)));
    clearTimeout(timer);
  }
}

async function main(): Promise<number> {
  if (values.list) {
    console.log(Object.keys(FAULTS).join("\n"));
    return 0;
  }
  const minutes = Number(values.minutes);
  const [connections, policies] = [Number(values.connections), Number(values.policies)];
  const clients = values.crowd === undefined ? undefined : Number(values.crowd);
  const whole = [connections, policies, clients ?? 1].every((number) =>
    Number.isInteger(number) && number > 0
  );
  if (!(minutes > 0) || !whole) {
    throw new Error("--minutes, --connections, --policies and --crowd take a number above 0");
  }
  const names = chosenFaults();
  const { words, env } = command();
  const folder = values.folder === undefined
    ? mkdtempSync(join(tmpdir(), "portreeve-soak-"))
    : resolve(values.folder);
  mkdirSync(folder, { recursive: true });
  const plan = makePlan(folder, policies);
  const cgroup = values["memory-limit"] === undefined
    ? undefined
    : memoryCgroup(Number(values["memory-limit"]));
  process.once("exit", () => cgroup?.remove());
  const server = await startObserved({
    command: cgroup?.wrapped(words) ?? words,
    folder,
    policiesFile: plan.policiesFile,
    env,
  });
  await server.ready();
  const checked = checkedClients(server.port, plan.questions, connections);
  const { checks } = checked;
  const began = performance.now();
  const samples: Sample[] = [];
  const sample = (): Sample => {
    const held = server.held() ?? { rssMib: 0, descriptors: 0, threads: 0 };
    const { requests, wrong, lost, late, refused, slowestMs } = checks;
    checks.slowestMs = 0;
    slowest = Math.max(slowest, slowestMs);
    return {
      seconds: (performance.now() - began) / 1000,
      ...held,
      requests,
      wrong,
      lost,
      late,
      refused,
      slowestMs,
    };
  };
  let slowest = 0;
  const sampling = setInterval(() => server.ended() || samples.push(sample()), SAMPLE_MS);
  const totalMs = minutes * 60_000;
  const calmMs = clients === undefined
    ? Math.min(MAX_CALM_MS, totalMs * CALM_SHARE)
    : totalMs * CALM_SHARE_OF_CROWD;
  await sleep(calmMs / 2);
  // Until now policies were asked for the first time.
  checks.calm.length = 0;
  await sleep(calmMs / 2);
  const before = sample();
  checked.attack(true);
  const attackMs = totalMs - calmMs;
  const crowded = clients === undefined ? undefined : await crowd(server.port, clients, attackMs);
  if (crowded === undefined) await attackFor(attackMs, names, server);
  checked.attack(false);
  // The checked clients stay, as they were before the first attack.
  let after = sample();
  const recoveryMs = attackMs < RECOVERY_MS / 2 ? RECOVERY_MS / 2 : RECOVERY_MS;
  for (const end = performance.now() + recoveryMs; performance.now() < end && !server.ended();) {
    after = sample();
    if (isBack({ minutes, crowd: crowded, before, after })) break;
    await sleep(500);
  }
  clearInterval(sampling);
  const died = server.ended();
  await checked.stop();
  checks.slowestMs = slowest;
  const stopped = await server.stop();
  const name = values.program === undefined ? `policy-server on ${values.runtime}` : basename(values.program);
  if (cgroup) {
    console.log(`memory: at most ${Math.round(cgroup.peak() / 2 ** 20)} of ${values["memory-limit"]} MiB`);
    if (cgroup.killed()) console.log("the kernel has ended it, out of memory");
  }
  const soak: Soak = { name, minutes, samples, checks, crowd: crowded, before, after, stopped, died };
  console.log(reportText(soak));
  if (values.html !== undefined) writeFileSync(values.html, reportHtml(soak));
  if (values.folder === undefined) rmSync(folder, { recursive: true, force: true });
  return failures(soak).length === 0 ? 0 : 1;
}

process.exit(
  await main().catch((error: unknown) => {
    console.error(`Error: ${error instanceof Error ? error.message : String(error)}`);
    return 1;
  }),
);
