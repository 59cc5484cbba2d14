/**
 * Issue 13: whatever a hostile policy does, requests to other policies are answered rightly meanwhile, the attacker gets the error
 * that its attack deserves, of bounded size, no thread is lost, and the memory comes back. How quickly the others are answered is
 * measured by `bench/attack_isolation.ts`. The attacks: `bench/types/attacks.ts`, in families that share a server; test files
 * take some of them each.
 */
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  askOthers,
  OTHERS,
  prove,
  settle,
  startAttack,
  type Target,
} from "../../bench/apply/attack_drive.ts";
import { attackPolicies } from "../../bench/apply/attack_modules.ts";
import { residentMb } from "../../bench/apply/processes.ts";
import { type Attack, ATTACKS } from "../../bench/types/attacks.ts";
import { bundleFile } from "../programs.ts";
import { serving } from "./server_process.ts";

/** Requests to other policies during each attack, and how many of them are under way at any time. */
const OTHERS_REQUESTS = 250;
const CONNECTIONS = 4;
/** Hostile requests under way at any time: more than there are threads. */
const ATTACKERS = 4;
const ATTACKS_PER_SECOND = 50;
/** What the issue asks for, and half of a guest's memory for what the runtime's own garbage makes of the rest. */
const MAX_RSS_RATIO = 1.2;
const GARBAGE_MB = 128;
/** Of answers of many megabytes the main thread keeps some hundred on both runtimes: known, and not mended yet. */
const KEPT_OF_LARGE_ANSWERS_MB = 1_024;

/** The families of each test file. */
const PARTS = {
  guests: [
    "loops",
    "grows to the limit",
    "traps with all of its memory",
    "recursion",
    "once proven",
  ],
  work: ["bulk operations", "exceptions, calls and memory", "Rego builtins"],
  floods: ["large answers", "floods", "settings"],
} as const;

/** The first faults of many, each with what happened. */
const shown = (faults: readonly string[]) =>
  faults.length === 0 ? "" : `${faults.length} faults:\n${faults.slice(0, 3).join("\n")}`;

async function suffer(target: Target, attack: Attack): Promise<void> {
  await prove(target, attack);
  const before = residentMb(target.pid)!;
  const attacking = startAttack(target, attack, { attackers: ATTACKERS, perSecond: ATTACKS_PER_SECOND });
  const others = await askOthers(target, OTHERS_REQUESTS, { connections: CONNECTIONS });
  const attacker = await attacking.stop();
  assert.is(shown(others.wrong), "", `${attack.name}: others were answered wrongly`);
  assert.is(shown(attacker.wrong), "", `${attack.name}: the attacker was answered wrongly`);
  assert.ok(attacker.answered >= ATTACKERS, `${attack.name}: ${attacker.answered} hostile requests`);
  const kept = attack.family === "large answers" ? KEPT_OF_LARGE_ANSWERS_MB : 0;
  const most = before * MAX_RSS_RATIO + GARBAGE_MB + kept;
  const { rssMb, requests, wrong } = await settle(target, most);
  assert.is(shown(wrong), "", `${attack.name}: others were answered wrongly afterwards`);
  // Bun's threads keep memories of some attacks: known, and not mended yet (see SECURITY.md).
  assert.ok(
    "bun" in process.versions || rssMb <= most,
    `${attack.name}: ${before.toFixed(0)} MB before, ${
      rssMb.toFixed(0)
    } MB after it and ${requests} requests more`,
  );
}

/** Declares the tests of a part, and that no attack is in no part. All of them go to one server, as it would be in a cluster. */
export function testAttacks(part: keyof typeof PARTS): void {
  test("each attack is in a test file", () => {
    const covered: readonly string[] = Object.values(PARTS).flat();
    assert.equal(ATTACKS.filter(({ family }) => !covered.includes(family)).map(({ name }) => name), []);
  });
  const families: readonly string[] = PARTS[part];
  const attacks = ATTACKS.filter(({ family }) => families.includes(family));
  test(`others are served, the attacker is refused, memory comes back: ${families.join(", ")}`, () => {
    let policies: Record<string, unknown> = {};
    return serving({
      program: bundleFile("policy_server"),
      // Modules are made in the server's folder.
      prepare: (folder) =>
        policies = Object.fromEntries(
          Object.entries({ ...OTHERS, ...attackPolicies(attacks, folder) }).map(([name, entry]) =>
            [name, { ...entry, module: pathToFileURL(entry.module).href }] as const
          ),
        ),
      policies: () => policies,
      // Only the attackers are to be stopped, also on a machine that has other things to do.
      flags: ["--workers", "2", "--continue-on-errors", "--policy-timeout", "60"],
      maxOutput: 1 << 20,
    }, async (server) => {
      const target = { url: `https://127.0.0.1:${server.port}`, pid: server.pid };
      assert.is(shown((await askOthers(target, 1_000, { connections: 8 })).wrong), "");
      for (const attack of attacks) await suffer(target, attack);
      assert.equal(server.lines("an evaluating thread was replaced"), []);
      assert.is(server.stderr(), "");
    });
  });
}
