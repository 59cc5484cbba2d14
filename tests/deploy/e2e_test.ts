// The end-to-end scenarios of docs/spec on a real node, by Helm and kubectl, with the images of the runtime that runs this file: what
// an operator does from an empty cluster on. One file, because there is one node; the subjects run in order on one stack.
//
// Without more words only what takes some minutes is run; E2E=all runs everything, E2E="registry mutual_tls" only these subjects. With
// E2E_KEEP=1 the cluster stays up for the next run.
import process from "node:process";
import { suite } from "uvu";
import { HOW_TO_GET_NODE, nodeBinariesFolder } from "../cluster/binaries/locate.ts";
import { startStack } from "./_stack.ts";
import type { Context, Scenarios, Subject } from "./e2e/_steps.ts";
import { audit } from "./e2e/audit.ts";
import { badInput } from "./e2e/bad_input.ts";
import { hostNetwork } from "./e2e/host_network.ts";
import { load } from "./e2e/load.ts";
import { oneChart } from "./e2e/one_chart.ts";
import { policies } from "./e2e/policies.ts";
import { registry } from "./e2e/registry.ts";
import { context } from "./e2e/context.ts";
import { mutualTls } from "./e2e/mutual_tls.ts";
import { scheduling } from "./e2e/scheduling.ts";
import { security } from "./e2e/security.ts";
import { servers } from "./e2e/servers.ts";
import { signatures } from "./e2e/signatures.ts";
import { telemetry } from "./e2e/telemetry.ts";
import { threeCharts } from "./e2e/three_charts.ts";
import { uninstall } from "./e2e/uninstall.ts";

const SUBJECTS = new Map<string, Subject>([
  ["three_charts", threeCharts],
  ["one_chart", oneChart],
  ["policies", policies],
  ["bad_input", badInput],
  ["audit", audit],
  ["servers", servers],
  ["context", context],
  ["registry", registry],
  ["signatures", signatures],
  ["mutual_tls", mutualTls],
  ["telemetry", telemetry],
  ["scheduling", scheduling],
  ["security", security],
  ["load", load],
  ["host_network", hostNetwork],
  ["uninstall", uninstall],
]);

/** What every run of the tests can afford. */
const ALWAYS: readonly string[] = [
  "three_charts",
  "one_chart",
  "policies",
  "bad_input",
  "servers",
  "context",
];

const test = suite<Context>("end to end", {} as Context);
const ready = process.getuid?.() === 0 && nodeBinariesFolder() !== undefined;
if (!ready) test.skip(`the stack on a node (${HOW_TO_GET_NODE})`, () => {});
else {
  test.before(async (context) => {
    context.stack = await startStack();
  });
  test.after(async ({ stack }) => {
    await stack?.stop();
  });
  // Said at once, with the time that each took: the whole takes minutes.
  const scenarios: Scenarios = Object.assign(
    (name: string, run: (context: Context) => unknown) =>
      test(name, async (context) => {
        const began = performance.now();
        let outcome = "FAILED";
        try {
          await run(context);
          outcome = "ok";
        } catch (error) {
          console.error(error);
          throw error;
        } finally {
          console.log(`\n  ${outcome}, ${((performance.now() - began) / 1000).toFixed(1)} s: ${name}`);
        }
      }),
    { skip: (name: string) => test.skip(name, () => {}) },
  );
  const asked = process.env["E2E"]?.split(/[\s,]+/).filter(Boolean) ?? ALWAYS;
  const wanted = asked.includes("all") ? [...SUBJECTS.keys()] : asked;
  for (const name of SUBJECTS.keys()) {
    if (!wanted.includes(name)) scenarios.skip(`${name} (get it by: E2E="${name}")`);
  }
  for (const name of wanted) {
    const subject = SUBJECTS.get(name);
    if (subject === undefined) {
      throw new Error(`E2E: no subject is called ${name}: ${[...SUBJECTS.keys()].join(" ")}`);
    }
    subject(scenarios);
  }
}
test.run();
