/** The floors answer what they shall, and the machine's other work is told from the run's own. */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { keptAlive, post } from "../../bench/apply/client.ts";
import { machine, versions, watchOthers } from "../../bench/apply/machine.ts";
import { processorMs } from "../../bench/apply/processes.ts";
import { prepareBench, ROOT, startFloor, startServer, writePolicies } from "../../bench/apply/servers.ts";
import type { Row } from "../../bench/types/measurement.ts";
import { WORKLOADS } from "../../bench/types/workloads.ts";
import { once, run } from "./_command.ts";

for (const name of ["floor-node", "floor-bun", "floor-bun-serve"]) {
  test(`${name} reads the body and answers each policy with its bytes`, async () => {
    const bench = await prepareBench("policy_server/main.ts");
    const { url, running } = await startFloor(bench, name, { first: '{"a":"ü"}', second: "2" });
    const agent = keptAlive(2);
    try {
      const body = Buffer.alloc(300_000, "x");
      const answers = await Promise.all(
        ["first", "second", "third", "constructor"].map((policy) =>
          post(agent, `${url}/validate/${policy}`, body)
        ),
      );
      assert.equal(answers.map(({ status, body }) => [status, body]), [
        [200, '{"a":"ü"}'],
        [200, "2"],
        [404, ""],
        [404, ""],
      ]);
    } finally {
      agent.destroy();
      await running.stop();
    }
  });
}

test("a floor that there is not is named", async () => {
  const bench = await prepareBench("policy_server/main.ts");
  try {
    await startFloor(bench, "floor-deno", {});
  } catch (error) {
    return assert.is(
      (error as Error).message,
      "floor-deno is none of floor-node, floor-bun, floor-bun-serve",
    );
  }
  assert.unreachable();
});

once(
  "a server that runs already is measured as the original, with its memory, and goals compare with it",
  async () => {
    const bench = await prepareBench("policy_server/main.ts");
    const policiesFile = join(bench.folder, "original.yml");
    const { policy, module, settings } = WORKLOADS[0]!;
    writePolicies(policiesFile, { [policy]: { module: join(ROOT, module), settings } });
    const { url, running } = await startServer(bench, { runtime: "node", policiesFile, flags: [] });
    try {
      const rows = join(bench.folder, "rows.json");
      const { code, output } = await run([
        ...[
          "bench/main.ts",
          "--program",
          "policy_server/main.ts",
          "--subjects",
          "node",
          "--original",
          `${url}/`,
        ],
        ...[
          "--connections",
          "1",
          "--duration",
          "1",
          "--rounds",
          "1",
          "--generator",
          "autocannon",
          "--json",
          rows,
        ],
      ]);
      assert.is(code, 0, output);
      assert.match(
        output,
        /^pod-privileged on node, 1 connection: p50 as a share of the original's, at most +0\.33 /m,
      );
      assert.match(
        output,
        /^pod-privileged on node, 1 connection: p99 as a share of the original's, at most +1 /m,
      );
      // No floor was asked for: there is none to take a share of, though one told whether the machine was busy.
      assert.not.match(output, /in floors/);
      assert.match(output, /^the machine was (busy|idle) \(floors differ by /m);
      const [, original] = JSON.parse(readFileSync(rows, "utf8")) as Row[];
      assert.equal([original!.subject, original!.errors], [url, 0]);
      if (process.platform === "linux") assert.ok(original!.rssMb! > 0 && original!.processorUs! > 0);
    } finally {
      await running.stop();
    }
  },
);

(process.platform === "linux" ? test : test.skip)(
  "processor time of the servers under test is not another's (needs Linux)",
  async () => {
    const child = spawn(process.execPath, ["-e", "for (;;);"], { stdio: "ignore" });
    try {
      const pid = child.pid!;
      const [asAnother, asOurs] = [watchOthers([]), watchOthers([pid])];
      while ((processorMs(pid) ?? 0) < 1_000) await new Promise((resolve) => setTimeout(resolve, 50));
      const [another, ours] = [asAnother()!, asOurs()!];
      assert.ok(another > ours, `${another} and ${ours}`);
      for (const share of [another, ours]) assert.ok(share >= 0 && share <= 1, String(share));
    } finally {
      child.kill("SIGKILL");
    }
  },
);

test("machine and versions are known", () => {
  const { processor, processors, memoryGb, kernel } = machine();
  assert.ok(processor !== "" && processors > 0 && memoryGb! > 0 && kernel !== "");
  const { node, bun, generator, commit } = versions("autocannon");
  for (const version of [node, bun]) assert.match(version, /^\d+\.\d+\.\d+$/);
  assert.match(generator!, /^autocannon \d+\./);
  assert.ok(commit === null || /^[0-9a-f]{7,}\+?$/.test(commit), String(commit));
});

test.run();
