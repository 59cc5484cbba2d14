// `reeve explain` and `reeve bench`: what they tell; how fast anything is, is not judged here.
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { permutationProbability, summarise, timeText } from "../../cli/render/statistics.ts";
import { type Folder, hostCallRequest, openFolder, policy } from "./folder.ts";

const HOST_CALLER = policy("tests/policies/host-caller/policy.wasm");
const SECCOMP = policy("policies/default-seccomp/policy.wasm");
const ECHO = policy("tests/vectors/verdict-echo.wasm");
const QUICK = ["--warm-up-time", "0.01", "--measurement-time", "0.02", "--num-samples", "5"];

let folder: Folder;
test.before(() => {
  folder = openFolder();
  folder.file("ok.json", hostCallRequest(undefined, { object: { metadata: { name: "p" } } }));
});
test.after(() => folder.remove());

test("explain tells every step of a mutation", async () => {
  const { exit, stdout, stderr } = await folder.run(
    ["explain", SECCOMP, "-r", policy("policies/default-seccomp/requests/no-context.json")],
  );
  assert.is(exit, 0, stderr);
  for (
    const part of [
      /^Policy policy-from-cli \(file:.*\)$/m,
      /sha256 [0-9a-f]{64}, .* kB, execution mode kubewarden-wapc/,
      /default-seccomp 1\.0\.0, may change objects/,
      /^Settings\n {2}\{\}\n {2}accepted in [\d.]+ ms$/m,
      /^Request\n {2}CREATE, Pod, uid /m,
      /^Host calls\n {2}none$/m,
      /^Verdict\n {2}allowed in [\d.]+ ms$/m,
      /^Patch\n {2}add \/spec\/securityContext\n {4}\+ \{/m,
      /^Spent\n {2}[\d.]+ ms in all; the process grew by /m,
    ]
  ) assert.match(stdout, part);
});

test("explain shows host calls with their answers, refusals, and the log", async () => {
  folder.file(
    "dns.json",
    hostCallRequest({ namespace: "net", operation: "v1/dns_lookup_host", payload: "localhost" }),
  );
  const asked = await folder.run(["explain", HOST_CALLER, "-r", "dns.json"]);
  assert.match(
    asked.stdout,
    /^ {2}1\. net\/v1\/dns_lookup_host "localhost"\n {5}answered after [\d.]+ ms: \{"ips":\[/m,
  );
  folder.file(
    "missing.json",
    hostCallRequest({ namespace: "oci", operation: "v1/manifest_digest", payload: "127.0.0.1:1/x" }),
  );
  const refused = await folder.run(["explain", HOST_CALLER, "-r", "missing.json"]);
  assert.match(refused.stdout, /^ {2}1\. oci\/v1\/manifest_digest .*\n {5}refused after [\d.]+ ms: /m);
  const logger = await folder.run(["explain", policy("tests/policies/logger/policy.wasm"), "-r", "ok.json"]);
  assert.match(logger.stdout, /^Log\n {2}\w+ /m);
});

test("explain goes on when settings are refused: they are what is wrong", async () => {
  const { exit, stdout } = await folder.run([
    "explain",
    policy("policies/required-labels/policy.wasm"),
    "-r",
    "ok.json",
  ]);
  assert.is(exit, 0);
  assert.match(stdout, /refused in [\d.]+ ms: nothing to check/);
  assert.match(stdout, /^Verdict\n {2}none: /m);
});

test("bench prints both benchmarks, with percentiles; no answer", async () => {
  const { exit, stdout, stderr } = await folder.run(["bench", ECHO, "-r", "ok.json", ...QUICK]);
  assert.is(exit, 0, stderr);
  for (const label of ["validate_settings", "validate"]) {
    assert.match(stdout, new RegExp(`^${label} warming up for 10\\.00ms$`, "m"));
    assert.match(
      stdout,
      new RegExp(
        `^${label} mean warm up execution time [\\d.]+(ns|µs|ms|s) running [\\d.]+.* iterations$`,
        "m",
      ),
    );
    assert.match(stdout, new RegExp(`^${label} \\[[\\d.]+.* iterations in .* with 5\\.0 samples\\]:$`, "m"));
  }
  assert.match(
    stdout,
    /^\telapsed\t\[min mean max\]:\t\[.*\] \(sample data: med = .*, var = .*ns², stddev = .*\)$/m,
  );
  assert.match(stdout, /^\tpercentiles\t\[p50 p90 p99 p99\.9\]:\t\[/m);
  assert.not.match(stdout, /"allowed"/);
});

test("bench keeps results and compares with the last run", async () => {
  const words = ["bench", ECHO, "-r", "ok.json", ...QUICK, "--dump-results-to-disk"];
  await folder.run(words);
  const { stdout } = await folder.run(words);
  assert.match(stdout, /^\tchange\t\[min mean max\]:\t\[[+-][\d.]+% .*\] \(p = [\d.]+\)$/m);
});

test("bench compares two policies, and plays sessions back for each iteration", async () => {
  folder.file(
    "session.yml",
    "- type: Exchange\n  request: |\n    !DNSLookupHost\n    host: localhost\n  response: {type: Success, payload: '{\"ips\":[]}'}\n",
  );
  const replay = ["--replay-host-capabilities-interactions", "session.yml"];
  const { exit, stdout, stderr } = await folder.run(
    ["bench", HOST_CALLER, "-r", "dns.json", ...QUICK, ...replay, "--against", ECHO],
  );
  assert.is(exit, 0, stderr);
  assert.match(
    stdout,
    /^validate:\n\t.*host-caller.*\tmean .*\tp50 .*\tp99 .*\n\t.*verdict-echo.*\n\tratio\tmean [\d.]+\tp50 [\d.]+\tp99 [\d.]+$/m,
  );
});

test("bench as JSON, a line a measurement", async () => {
  const { stdout } = await folder.run(["bench", ECHO, "-r", "ok.json", ...QUICK, "--json"]);
  const lines = stdout.trimEnd().split("\n").map((line) =>
    JSON.parse(line) as { label: string; p50Ms: number }
  );
  assert.equal(lines.map(({ label }) => label), ["validate_settings", "validate"]);
  assert.ok(lines.every(({ p50Ms }) => p50Ms > 0));
});

test("bad numbers, and settings that are refused, are told by the definition's name", async () => {
  for (
    const [flag, value, text] of [
      ["measurement-time", "x", /^Error: Cannot convert 'measurement-time' to seconds: /],
      ["warm-up-time", "-1", /^Error: Cannot convert 'warm-up-time' to seconds: /],
      ["warm-up-time", "0x10", /^Error: Cannot convert 'warm-up-time' to seconds: /],
      ["num-samples", "1e3", /^Error: Cannot convert 'num-samples' to number: /],
      ["num-samples", " 5", /^Error: Cannot convert 'num-samples' to number: /],
      ["num-samples", "1.5", /^Error: Cannot convert 'num-samples' to number: /],
      ["num-resamples", "0", /^Error: Cannot convert 'num-resamples' to number: /],
    ] as const
  ) {
    const { exit, stderr } = await folder.run(["bench", ECHO, "-r", "ok.json", `--${flag}=${value}`]);
    assert.is(exit, 1);
    assert.match(stderr, text);
  }
  const { stderr } = await folder.run([
    "bench",
    policy("policies/required-labels/policy.wasm"),
    "-r",
    "ok.json",
    ...QUICK,
  ]);
  assert.match(
    stderr,
    /^Error: \[Policy policy-from-cli \(file:.*\)\] - \[Policy .*\] - provided settings are not valid: nothing/,
  );
});

test("statistics", () => {
  const summary = summarise([4, 1, 3, 2]);
  assert.equal([summary.min, summary.mean, summary.max, summary.median], [1, 2.5, 4, 2.5]);
  assert.equal([0.0000005, 0.0482, 1.5, 2500].map(timeText), ["0.50ns", "48.20µs", "1.50ms", "2.50s"]);
  let seed = 1;
  const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  assert.ok(permutationProbability([1, 1.1, 0.9, 1], [9, 9.1, 8.9, 9], 500, random) < 0.1);
  assert.ok(permutationProbability([1, 2, 3, 4], [1, 2, 3, 4], 500, random) > 0.9);
});

test("nothing of the process is changed by a command", () => assert.is(process.exitCode, undefined));

test.run();
