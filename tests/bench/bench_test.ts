/** The benchmarks' arithmetic, their modules, and one short run of the whole command against real servers. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { quick, steps } from "../../bench/render/plan.ts";
import { splitOf } from "../../bench/render/profile.ts";
import { rowsTable } from "../../bench/render/report.ts";
import { median, percentile, summarize } from "../../bench/render/summary.ts";
import { distinct, withMoreCode } from "../../bench/render/weighty_module.ts";
import { customSections } from "../../evaluator/render/custom_section.ts";
import { once, run } from "./_command.ts";
import { sample } from "./_sample.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

test("samples of a profile count for the part whose source they are in, and for nothing while nothing is done", () => {
  const frame = (functionName: string, url = "", lineNumber = 0) => ({
    functionName,
    url,
    lineNumber,
    columnNumber: 0,
  });
  const split = splitOf({
    nodes: [
      { id: 1, callFrame: frame("(idle)") },
      { id: 2, callFrame: frame("(garbage collector)") },
      { id: 3, callFrame: frame("a", "file:///dist/b.js", 1) },
      { id: 4, callFrame: frame("c", "node:net") },
    ],
    samples: [3, 1, 2, 4, 3],
    timeDeltas: [5, 10, 100, 1_000, 10_000],
  }, (url, line) => url.startsWith("file:") ? `http/line_${line}.ts` : undefined);
  assert.equal([...split], [
    ["our side of HTTP", 10],
    ["garbage collection", 1_000],
    ["the runtime: sockets, TLS, HTTP, messages", 10_000],
  ]);
});

test("medians and percentiles", () => {
  assert.is(median([3, 1, 2]), 2);
  assert.is(median([4, 1, 2, 3]), 2.5);
  assert.is(percentile([1, 2, 3, 4], 0.5), 2);
  assert.is(percentile([1, 2, 3, 4], 0.99), 4);
});

test("a ratio is taken within its round, errors add up, the highest RSS counts", () => {
  const rows = summarize([
    sample("floor-node", 1, 1000),
    sample("node", 1, 500, { errors: 1, rssMb: 90 }),
    sample("floor-node", 2, 100),
    sample("node", 2, 50, { errors: 2, rssMb: 120 }),
    sample("floor-node", 3, 200),
    sample("node", 3, 20, { rssMb: 110 }),
  ]);
  const node = rows.find(({ subject }) => subject === "node")!;
  assert.is(node.ratioToFloor, 0.5);
  assert.is(node.requestsPerSecond, 50);
  assert.is(node.errors, 3);
  assert.is(node.rssMb, 120);
  assert.is(rows.find(({ subject }) => subject === "floor-node")!.ratioToFloor, 1);
});

test("Bun's servers are measured against Bun's floor, a URL against Node's", () => {
  const rows = summarize([
    sample("floor-node", 1, 1000),
    sample("floor-bun", 1, 2000),
    sample("bun", 1, 500),
    sample("https://localhost:1", 1, 500, { rssMb: null, processorMs: null }),
  ]);
  assert.equal(rows.map(({ ratioToFloor }) => ratioToFloor), [1, 1, 0.25, 0.5]);
  assert.is(rows[3]!.rssMb, null);
});

test("the server on Bun is measured against node:https there, not against Bun.serve, which is its own floor", () => {
  const rows = summarize([
    sample("floor-bun-serve", 1, 4000),
    sample("bun", 1, 500),
    sample("floor-bun", 1, 2000),
  ]);
  assert.equal(rows.map(({ ratioToFloor }) => ratioToFloor), [1, 0.25, 1]);
  assert.is(summarize([sample("floor-bun-serve", 1, 4000), sample("bun", 1, 500)])[1]!.ratioToFloor, null);
});

test("servers with different numbers of workers are rows of their own, beside the same floor", () => {
  const rows = summarize([
    sample("floor-node", 1, 1000),
    sample("node", 1, 300, { workers: 1 }),
    sample("node", 1, 500, { workers: 2 }),
  ]);
  assert.equal(rows.map(({ workers, ratioToFloor }) => [workers, ratioToFloor]), [[null, 1], [1, 0.3], [
    2,
    0.5,
  ]]);
  assert.match(rowsTable(rows), /^node +1 .*^node +2 /ms);
});

test("without the floor there is no ratio", () => {
  assert.is(summarize([sample("node", 1, 500)])[0]!.ratioToFloor, null);
});

test("of a floor that answered nothing there is no share, and of nothing no cost", () => {
  const [floor, node] = summarize([sample("floor-node", 1, 0), sample("node", 1, 500)]);
  assert.equal([floor!.processorUs, node!.ratioToFloor], [null, null]);
});

test("the table shows what a request cost", () => {
  const samples = [sample("floor-node", 1, 1000), sample("node", 1, 500)];
  const rows = summarize(samples);
  assert.equal(rows.map(({ processorUs }) => processorUs), [500, 1000]);
  assert.match(rowsTable(rows), /^node .* 1000 .* 50\.0% /m);
});

test("subjects alternate within a round, and a quick plan has bounds", () => {
  const subjects = ["a", "b"].map((name) => ({ name, workers: null }));
  const plan = { subjects, policies: ["p"], connections: [1, 8], rounds: 2, seconds: 9 };
  assert.equal(steps(plan).slice(0, 4).map(({ subject, connections }) => subject.name + connections), [
    "a1",
    "b1",
    "a8",
    "b8",
  ]);
  assert.equal(quick(plan), { ...plan, rounds: 3, seconds: 1 });
  assert.throws(
    () => quick({ ...plan, connections: Array.from({ length: 20 }, (_, n) => n + 1) }),
    /--quick has time/,
  );
});

test("a module with more code is valid, of the wished size, and keeps its metadata", () => {
  const policy = new Uint8Array(readFileSync(join(root, "policies/pod-privileged/policy.wasm")));
  const modules = [0, 1].map((index) => distinct(withMoreCode(policy, 1_600_000), index, 1_600_000));
  for (const module of modules) {
    assert.ok(WebAssembly.validate(module as Uint8Array<ArrayBuffer>));
    assert.ok(Math.abs(module.length - 1_600_000) < 50_000, String(module.length));
    assert.equal(
      customSections(module, "io.kubewarden.metadata"),
      customSections(policy, "io.kubewarden.metadata"),
    );
  }
  assert.not.equal(modules[0], modules[1]);
});

const MEMBERS = [
  "subject",
  "workers",
  "policy",
  "connections",
  "requestsPerSecond",
  "p50Ms",
  "p90Ms",
  "p99Ms",
  "p999Ms",
  "errors",
  "processorUs",
  "rssMb",
  "ratioToFloor",
];

for (const generator of ["wrk", "autocannon"]) {
  const installed = generator !== "wrk" || (process.env["PATH"] ?? "").split(":").some((folder) => {
    try {
      return readFileSync(join(folder, "wrk")).length > 0;
    } catch {
      return false;
    }
  });
  const name = `the command measures with ${generator} and writes the rows`;
  (installed ? test : test.skip)(installed ? name : `${name} (apt-get install wrk)`, async () => {
    const folder = mkdtempSync(join(tmpdir(), "portreeve-bench-test-"));
    try {
      const json = join(folder, "rows.json");
      const { code, output } = await run([
        "bench/main.ts",
        ...["--subjects", "floor-node,node", "--policies", "default-seccomp", "--connections", "4"],
        ...["--rounds", "1", "--duration", "1", "--generator", generator, "--json", json],
        ...["--program", "policy_server/main.ts"],
      ]);
      assert.is(code, 0, output);
      const rows = JSON.parse(readFileSync(json, "utf8")) as Record<string, unknown>[];
      assert.equal(rows.map(({ subject, errors }) => [subject, errors]), [["floor-node", 0], ["node", 0]]);
      for (const row of rows) {
        assert.equal(Object.keys(row), MEMBERS);
        assert.ok((row["requestsPerSecond"] as number) > 0);
        assert.ok((row["p50Ms"] as number) > 0);
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
}

const OTHER_MODES = ["gatekeeper", "opa", "wasi-go"];

once("policies of other modes are measured, and answer as they should", async () => {
  const { code, output } = await run([
    ...["bench/main.ts", "--subjects", "node", "--policies", OTHER_MODES.join(",")],
    ...["--connections", "2", "--rounds", "1", "--duration", "1", "--generator", "autocannon"],
    ...["--program", "policy_server/main.ts"],
  ]);
  assert.is(code, 0, output);
  for (const policy of OTHER_MODES) assert.match(output, new RegExp(`^node +all +${policy} `, "m"));
});

once("policies that look at many objects are measured beside the floor", async () => {
  const folder = mkdtempSync(join(tmpdir(), "portreeve-bench-test-"));
  try {
    const json = join(folder, "rows.json");
    const args = ["--quick", "--objects", "700", "--requests", "5", "--program", "policy_server/main.ts"];
    const { code, output } = await run(["bench/inventory.ts", ...args, "--json", json]);
    assert.is(code, 0, output);
    const rows = JSON.parse(readFileSync(json, "utf8")) as Record<string, unknown>[];
    assert.equal(rows.map(({ subject, policy, errors }) => [subject, policy, errors]), [
      ["floor-node", "list", 0],
      ["floor-node", "gatekeeper", 0],
      ["node", "list", 0],
      ["node", "gatekeeper", 0],
    ]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test.run();
