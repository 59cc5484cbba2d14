// What a server holds is bounded by the memory that its container has: it refuses at start, or single requests, and is not killed.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { distinct } from "../../bench/render/weighty_module.ts";
import { codeMemory } from "../../policy_server/apply/code_memory.ts";
import { CurrentPolicies } from "../../policy_server/apply/current_policies.ts";
import { createLog } from "../../policy_server/apply/log.ts";
import { memoryPressure } from "../../policy_server/apply/memory_pressure.ts";
import { sharedModules } from "../../policy_server/apply/shared_modules.ts";
import {
  affordableServing,
  COSTS,
  memoryPlan,
  MIB,
  neededMib,
} from "../../policy_server/render/memory_plan.ts";
import { type HandlerContext, policyHandler } from "../../policy_server/serve/handler.ts";
import { bundleFile } from "../programs.ts";
import { cgroupMissing, memoryCgroup } from "../soak/memory_cgroup.ts";
import { client, reviewOf } from "./requests.ts";
import { failing, moduleUrl, serving, until } from "./server_process.ts";

const MODULE = readFileSync(
  fileURLToPath(new URL("../../policies/pod-privileged/policy.wasm", import.meta.url)),
);

// What ships is measured: sources take more memory, for the engine that strips their types.
bundleFile("policy_server");

/** Policies p0, p1 … with different modules of `mib` each. */
const setting = (count: number, mib: number, flags: readonly string[]) => ({
  policies: "{}",
  flags: ["--policies", "sized.yml", ...flags],
  prepare(folder: string) {
    const entries: [string, { module: string }][] = [];
    for (let index = 0; index < count; index++) {
      const file = join(folder, `${index}.wasm`);
      writeFileSync(file, distinct(MODULE, index, mib * MIB));
      entries.push([`p${index}`, { module: `file://${file}` }]);
    }
    writeFileSync(join(folder, "sized.yml"), JSON.stringify(Object.fromEntries(entries)));
  },
});

const LIMIT = ["--memory-limit-mib", "256", "--workers", "2"];

test("modules that do not fit stop the start, with one line that says what they need", () =>
  failing(setting(3, 12, LIMIT), ({ code, stderr }) => {
    assert.is(code, 1);
    const [, needed] =
      /^Error: not enough memory: 3 modules of together 36\.0 MiB need a limit of (\d+) MiB, the limit is 256 MiB/
        .exec(stderr) ?? [];
    assert.ok(Number(needed) > 256 && Number(needed) <= 640, stderr);
  }));

for (const more of [[], ["--continue-on-errors"]]) {
  test(`threads that do not fit are not started: ${["--serving-threads 64", ...more].join(" ")}`, () =>
    failing(setting(1, 2, [...LIMIT, "--serving-threads", "64", ...more]), ({ code, stdout, stderr }) => {
      assert.is(code, 1);
      const [, needed] =
        /^Error: not enough memory: 3 threads that evaluate and 64 that serve need a limit of (\d+) MiB without any policy, the limit is 256 MiB \(--workers and --serving-threads; /
          .exec(stderr) ?? [];
      assert.ok(Number(needed) > 1_000 && Number(needed) <= 2_048, stderr);
      assert.not.match(stdout, /memory is short|policies download/);
    }));
}

/** Workers, as many threads that would serve by themselves, the container's limit in MiB, and how many do. */
const BY_THEMSELVES: readonly (readonly [workers: number, limit: number, serving: number])[] = [
  [4, 256, 0],
  [4, 512, 4],
  [8, 256, 0],
  [8, 384, 0],
  [8, 512, 3],
  [8, 1024, 8],
];

for (const [workers, limit, expected] of BY_THEMSELVES) {
  test(`of ${workers} threads that nobody asked for, ${expected} serve in ${limit} MiB: modules that fitted without fit`, () => {
    const demand = { limit: limit * MIB, costs: COSTS.node, threads: workers + 1, guest: 256 * MIB };
    const serving = affordableServing({ ...demand, serving: workers });
    assert.is(serving, expected);
    const code = (count: number) => memoryPlan({ ...demand, serving: count }).code;
    assert.ok(code(serving) >= Math.min(code(0), 0.75 * code(0)));
  });
}

test("four workers start in 256 MiB", () =>
  serving(setting(1, 2, ["--memory-limit-mib", "256", "--workers", "4"]), async (server) => {
    assert.is((await client(server).ask({ path: "/validate/p0", body: reviewOf() })).status, 200);
    assert.is(server.lines("for want of memory").length, process.platform === "linux" ? 1 : 0);
  }));

test("with --continue-on-errors those that fit are served, the others say why not", () =>
  serving(setting(3, 12, [...LIMIT, "--continue-on-errors"]), async (server) => {
    const http = client(server);
    const answers = await Promise.all([0, 1, 2].map(async (index) => {
      const { status, body } = await http.ask({ path: `/validate/p${index}`, body: reviewOf() });
      assert.is(status, 200);
      return JSON.parse(body).response;
    }));
    const served = answers.filter(({ allowed }) => allowed);
    assert.ok(served.length > 0 && served.length < 3, JSON.stringify(answers));
    for (const { allowed, status } of answers) {
      if (!allowed) assert.match(status.message, "does not fit into the memory that the process may use");
    }
    http.close();
  }));

test("a reload holds the modules that stay once", () =>
  // Twice as much would not fit.
  serving(setting(1, 12, LIMIT), async (server) => {
    for (let reload = 1; reload <= 2; reload++) {
      server.signal("SIGHUP");
      await until(
        () =>
          server.lines("policies were reloaded").length === reload ||
          server.lines("could not be reloaded").length > 0,
        server.stdout,
      );
    }
    assert.equal(server.lines("could not be reloaded"), []);
    const http = client(server);
    const { body } = await http.ask({ path: "/validate/p0", body: reviewOf() });
    assert.is(JSON.parse(body).response.allowed, true);
    http.close();
  }));

const missing = cgroupMissing();
const inCgroup = (missing === undefined ? test : test.skip) as typeof test;
const note = missing === undefined ? "" : ` (${missing})`;

inCgroup(
  `in a container of 256 MiB, policies that take all they can get do not end the server${note}`,
  async () => {
    const cgroup = memoryCgroup(256);
    try {
      await serving({
        policies: {
          good: { module: moduleUrl("policies/pod-privileged/policy.wasm") },
          memory: { module: moduleUrl("tests/policies/exhaust-memory/policy.wasm") },
        },
        flags: ["--workers", "2"],
        wrap: cgroup.wrapped,
      }, async (server) => {
        assert.match(server.lines("memory is limited")[0] ?? "", "limit_mib=256");
        const http = client(server, { connections: 12 });
        const counts = new Map<string, number>();
        let asked = 0;
        await Promise.all(Array.from({ length: 12 }, async (_, connection) => {
          while (asked++ < 240) {
            const policy = connection % 4 === 0 ? "good" : "memory";
            const body = reviewOf(asked % 2 ? { do: "grow", megabytes: "200" } : { do: "allocate" });
            const { status, body: text } = await http.ask({ path: `/validate/${policy}`, body });
            const outcome = status === 200
              ? `${policy} ${JSON.parse(text).response.allowed}`
              : String(status);
            counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
          }
        }));
        const seen = JSON.stringify([...counts]);
        assert.ok((counts.get("good true") ?? 0) > 0, seen);
        assert.not.ok(counts.has("good false"), seen);
        for (const outcome of counts.keys()) assert.ok(/^(good|memory|503)/.test(outcome), seen);
        // However much there is to give back: afterwards it serves.
        await until(
          async () => (await http.ask({ path: "/validate/good", body: reviewOf() })).status === 200,
          server.stdout,
        );
        http.close();
      });
      assert.is(cgroup.killed(), false);
    } finally {
      cgroup.remove();
    }
  },
);

test("while memory is short requests are refused with 503, their bodies unread", async () => {
  let short = true;
  const log = createLog({ level: "error", format: "text", output: () => 0 });
  const handler = policyHandler({
    log,
    memoryIsShort: () => short,
    policies: new CurrentPolicies({ policies: new Map() }),
  } as unknown as HandlerContext);
  let read = 0;
  const request = (path: string) =>
    handler({
      method: "POST",
      target: path,
      url: `http://host${path}`,
      contentType: "application/json",
      body: () => Promise.resolve((read++, new TextEncoder().encode(reviewOf()))),
      signal: new AbortController().signal,
    });
  for (const path of ["/validate/p", "/audit/p", "/validate_raw/p", "/audit"]) {
    const { status, body } = await request(path);
    assert.equal([path, status], [path, 503]);
    assert.match(String(body), "the server is short of memory, try again later");
  }
  assert.is(read, 0);
  short = false;
  assert.is((await request("/validate/p")).status, 404);
});

test("memory is short from the threshold on, until enough was given back, and guests are asked to give", async () => {
  const lines: string[] = [];
  const log = createLog({ level: "info", format: "text", output: (text) => (lines.push(text), 0) });
  let used = 100 * MIB;
  let asked = 0;
  const pressure = memoryPressure(400 * MIB, () => asked++, log, () => used);
  try {
    await until(() => !pressure.high(), () => "it is not short");
    used = 401 * MIB;
    await until(pressure.high, () => "it is short");
    used = 390 * MIB;
    await until(() => asked > 0, () => "guests were asked");
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.ok(pressure.high(), "a little is not enough");
    used = 300 * MIB;
    await until(() => !pressure.high(), () => "it is over");
  } finally {
    pressure.close();
  }
  log.flush();
  const text = lines.join("");
  assert.is(text.match(/memory is short: new requests are refused/g)?.length, 1, text);
  assert.match(text, "used_mib=401 threshold_mib=400");
  assert.match(text, "memory is no longer short");
});

test("the plan: never more than the limit, never more for a guest than was asked for", () => {
  for (const costs of Object.values(COSTS)) {
    for (const [threads, serving] of [[2, 1], [3, 2], [3, 0], [9, 8]] as const) {
      for (const mib of [256, 512, 1024, 4096, 65536]) {
        for (const guest of [1, 16, 256, 4096]) {
          const demand = { limit: mib * MIB, costs, threads, serving, guest: guest * MIB };
          const plan = memoryPlan(demand);
          const what = JSON.stringify({ mib, threads, serving, guest });
          const sum = costs.process + (threads + serving) * (costs.thread + plan.kept + plan.abandoned) +
            plan.waiting +
            plan.guest + plan.code;
          assert.ok(sum <= demand.limit + 1, what);
          assert.ok(plan.guest <= guest * MIB, what);
          assert.ok(plan.pressure < demand.limit, what);
          const needed = neededMib(demand, 80 * MIB);
          assert.ok(memoryPlan({ ...demand, limit: needed * MIB }).code >= 80 * MIB * costs.moduleByte, what);
        }
      }
    }
  }
});

test("memory of modules is given back when nobody uses them any more", async () => {
  const demand = { limit: 512 * MIB, costs: COSTS.node, threads: 3, serving: 2, guest: 256 * MIB };
  const memory = codeMemory(demand);
  const room = Math.floor(memoryPlan(demand).code / COSTS.node.moduleByte);
  memory.take("a", room);
  assert.throws(() => memory.take("b", 1000), /does not fit/);
  assert.match(memory.shortage() ?? "", /^not enough memory: 2 modules/);
  memory.release("a");
  memory.take("b", 1000);
  assert.is(memory.shortage(), undefined);

  const modules = sharedModules();
  let made = 0;
  const make = () => Promise.resolve({ id: ++made, prepared: undefined as never });
  assert.is((await modules.acquire("x", make)).id, 1);
  assert.is((await modules.acquire("x", make)).id, 1);
  assert.is(modules.release("x"), undefined);
  assert.is(modules.release("x"), 1);
  assert.is((await modules.acquire("x", make)).id, 2);
  await modules.acquire("y", () => Promise.reject(new Error("broken"))).then(
    () => assert.unreachable(),
    () => {},
  );
  assert.is((await modules.acquire("y", make)).id, 3);
});

test.run();
