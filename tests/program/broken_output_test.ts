// A log that can't be written stops no program, whatever is wrong with its output: it works on, what was dropped is counted, and the
// log says so when it is back. Programs are the bundles that ship.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { logLines, type LogOutput } from "../../program/apply/log_lines.ts";
import { certificateFolder, startHarness } from "../controller/harness.ts";
import { startProcess } from "../controller/process.ts";
import { cap, create, isStatus, server, when } from "../controller/resources.ts";
import { startPlayer } from "../controller/player.ts";
import { install, policy, startCluster } from "../audit/cluster.ts";
import { startStub } from "../audit/stub_server.ts";
import { binariesFolder, HOW_TO_GET_BINARIES } from "../cluster/binaries/locate.ts";
import { bundleFile, imageEnvironment } from "../programs.ts";
import { ask, reviewOf } from "../policy_server/requests.ts";
import { freePort, moduleUrl, until } from "../policy_server/server_process.ts";

let folder: string;
test.before(() => {
  folder = mkdtempSync(join(tmpdir(), "broken-output-"));
});
test.after(() => rmSync(folder, { recursive: true, force: true }));

/** Starts a program in a shell's words: `redirected` is what stands behind the command, after what `before` does. */
function inShell(
  command: readonly string[],
  redirected: string,
  env: Readonly<Record<string, string>> = {},
  before = "",
): ChildProcess {
  const child = spawn("sh", ["-c", `${before} exec "$@" ${redirected}`, "sh", process.execPath, ...command], {
    cwd: folder,
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env["PATH"], HOME: folder, ...env },
  });
  child.once("exit", () => running.delete(child));
  running.add(child);
  return child;
}

const running = new Set<ChildProcess>();
process.once("exit", () => running.forEach((child) => child.kill("SIGKILL")));
const exit = (child: ChildProcess) =>
  new Promise<number | string | null>((resolve) =>
    child.once("exit", (code, signal) => resolve(signal ?? code))
  );

const OUTPUTS: readonly (readonly [what: string, redirected: string])[] = [
  ["a full disk", "> /dev/full 2> /dev/full"],
  ["closed from the start", ">&- 2>&-"],
  ["both readers gone", ""],
];

/** A policy server on plain HTTP that logs each request. */
async function startServer(
  redirected: string,
  before?: string,
): Promise<{ child: ChildProcess; ready(): Promise<void>; answers(): Promise<boolean> }> {
  writeFileSync(
    join(folder, "policies.yml"),
    JSON.stringify({ good: { module: moduleUrl("policies/pod-privileged/policy.wasm") } }),
  );
  const port = await freePort();
  const readinessPort = await freePort();
  const child = inShell(
    [
      bundleFile("policy_server"),
      ...["--addr", "127.0.0.1", "--port", String(port), "--readiness-probe-port", String(readinessPort)],
      ...["--policies", "policies.yml", "--log-level", "debug", "--workers", "1"],
    ],
    redirected,
    imageEnvironment("policy_server"),
    before,
  );
  if (redirected === "") { for (const stream of [child.stdout, child.stderr]) stream!.destroy(); }
  const answers = () =>
    ask({ port, tls: false }, { path: "/validate/good", body: reviewOf() }).then(
      ({ status, body }) => status === 200 && body.includes('"allowed":true'),
      () => false,
    );
  const isReady = () =>
    fetch(`http://127.0.0.1:${readinessPort}/readiness`).then(({ ok }) => ok, () => false);
  const ready = () => until(async () => await isReady() || ended(child), () => "it is ready");
  return { child, ready, answers };
}

const ended = (child: ChildProcess) => child.exitCode !== null || child.signalCode !== null;

for (const [what, redirected] of OUTPUTS) {
  test(`the policy server serves on with outputs that are broken: ${what}`, async () => {
    const { child, ready, answers } = await startServer(redirected);
    const code = exit(child);
    await ready();
    for (let request = 0; request < 5; request++) assert.ok(await answers(), what);
    child.kill("SIGHUP");
    for (let request = 0; request < 5; request++) assert.ok(await answers(), what);
    child.kill("SIGTERM");
    assert.is(await code, 0, what);
  });
}

const LOSS =
  /WARN policy_server: log events were dropped because standard output could not be written dropped=(\d+) error="(\w+)"/;

test("when a reader comes back, the log says how many lines it has missed", async () => {
  const pipe = join(folder, "pipe");
  execFileSync("mkfifo", [pipe]);
  // A named pipe that nobody has open for reading when the first line is written.
  const { child, ready, answers } = await startServer(
    ">&4",
    `exec 3<> "${pipe}"; exec 4> "${pipe}"; exec 3<&-;`,
  );
  const code = exit(child);
  await ready();
  const reader = spawn("cat", [pipe], { stdio: ["ignore", "pipe", "ignore"] });
  let text = "";
  reader.stdout.on("data", (piece) => text += piece);
  await until(async () => await answers() && LOSS.test(text), () => text);
  const [, dropped, error] = LOSS.exec(text)!;
  assert.is(error, "EPIPE");
  // The start alone says more than this.
  assert.ok(Number(dropped) > 3, dropped);
  assert.is(text.match(new RegExp(LOSS, "g"))!.length, 1);
  child.kill("SIGTERM");
  assert.is(await code, 0);
  reader.kill();
});

const isRoot = process.getuid?.() === 0;
const asRoot = (isRoot ? test : test.skip) as typeof test;
asRoot(
  `when a full disk has room again, the log goes on with whole lines${
    isRoot ? "" : " (needs root, to mount a tmpfs)"
  }`,
  async () => {
    const disk = join(folder, "disk");
    mkdirSync(disk);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", disk]);
    try {
      const filler = openSync(join(disk, "filler"), "w");
      writeSync(filler, new Uint8Array(48 << 10));
      const { child, ready, answers } = await startServer(`> "${disk}/log"`);
      const code = exit(child);
      await ready();
      const log = () => readFileSync(join(disk, "log"), "utf8");
      // A page of a log is less than what thirty requests are worth at this level.
      let before = -1;
      await until(async () => {
        const { length } = log();
        const full = length === before;
        before = length;
        return full || !await answers();
      }, log);
      for (let request = 0; request < 5; request++) assert.ok(await answers());
      closeSync(filler);
      rmSync(join(disk, "filler"));
      await until(async () => await answers() && LOSS.test(log()), log);
      assert.is(LOSS.exec(log())![2], "ENOSPC");
      const lines = log().trimEnd().split("\n");
      const notice = lines.findIndex((line) => LOSS.test(line));
      // The line before was cut by the full disk; all others are whole, and this one begins where a line begins.
      assert.ok(lines.every((line, at) => at === notice - 1 || /^\d{4}-\d\d-\d\dT[\d:.]+Z /.test(line)));
      child.kill("SIGTERM");
      assert.is(await code, 0);
    } finally {
      execFileSync("umount", ["-l", disk]);
    }
  },
);

const live = (binariesFolder() === undefined ? test.skip : test) as typeof test;
const note = binariesFolder() === undefined ? ` (${HOW_TO_GET_BINARIES})` : "";

live(`the scanner writes its reports, whatever becomes of its log${note}`, async () => {
  const cluster = await startCluster({ reports: ["openreports"] });
  const stub = await startStub(cluster.plane);
  try {
    stub.answer(() => ({ response: { uid: "u", allowed: true } }));
    await install(cluster, policy("ClusterAdmissionPolicy", "first", {}));
    for (const [what, redirected] of OUTPUTS) {
      const name = `a-${OUTPUTS.findIndex(([other]) => other === what)}`;
      await cluster.create({ apiVersion: "v1", kind: "Namespace", metadata: { name } });
      await cluster.create({
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name: "object", namespace: name },
      });
      const child = inShell(
        [bundleFile("audit"), ...stub.flags, "--report-kind", "openreports", "--loglevel", "debug"],
        redirected,
        { ...imageEnvironment("audit"), KUBECONFIG: cluster.plane.kubeconfig },
      );
      if (redirected === "") { for (const stream of [child.stdout, child.stderr]) stream!.destroy(); }
      assert.is(await exit(child), 0, what);
      const reports = await cluster.reports("openreports");
      assert.ok(reports.has(`ConfigMap ${name}/object`), `${what}: ${[...reports.keys()].join(", ")}`);
    }
  } finally {
    await stub.stop();
    await cluster.stop();
  }
});

live(`the controller works on when nobody reads its log any more${note}`, async () => {
  const harness = await startHarness();
  const player = await startPlayer(harness.plane.admin, "kubewarden");
  try {
    const controller = await startProcess({
      kubeconfig: harness.plane.kubeconfig,
      certificates: await certificateFolder(harness.plane),
      args: ["--zap-log-level", "debug"],
    });
    controller.child.stderr!.destroy();
    for (const name of ["one", "two"]) {
      await create(harness, server(name), cap(name, { policyServer: name }));
      await when(harness, cap(name, { policyServer: name }), "is active", isStatus("active"));
    }
    assert.is(await controller.stop(), 0);
  } finally {
    await player.stop();
    await harness.stop();
  }
});

/** What is printed because it was asked for: who can't print it has failed. */
const PRINTING: readonly (readonly [program: "policy_server" | "audit" | "reeve", ...words: string[]])[] = [
  ["policy_server", "--help"],
  ["policy_server", "--version"],
  ["audit", "--help"],
  ["reeve", "--help"],
  ["reeve", "--version"],
];

test("a program that was started to print something fails where it can't, and not when its reader has gone", async () => {
  for (const [program, ...words] of PRINTING) {
    const what = `${program} ${words.join(" ")}`;
    assert.is(await exit(inShell([bundleFile(program), ...words], "> /dev/full")), 1, what);
    const left = inShell([bundleFile(program), ...words], "");
    left.stdout!.destroy();
    assert.is(await exit(left), 0, `${what} | true`);
    assert.is(await exit(inShell([bundleFile(program), ...words], "2> /dev/full > /dev/null")), 0, what);
  }
});

test("losses are counted line by line, also what the notice of earlier ones could not tell", () => {
  const written: string[] = [];
  let broken: ((text: string) => number) | undefined;
  const output: LogOutput = (text, lost) => {
    const kept = broken === undefined ? text.length : broken(text);
    if (kept > 0) written.push(text.slice(0, kept));
    if (kept < text.length) lost(text.slice(kept), "ENOSPC");
    return 0;
  };
  const lines = logLines(1, ({ message, dropped, error }) => `${message} ${dropped} ${error}`, output);
  const say = (...all: string[]) => {
    all.forEach((line) => lines.write(line));
    lines.flush();
  };
  say("a");
  broken = () => 0;
  say("b", "c");
  say("d");
  // The first of three lines fits, and with it what is said of the three before.
  broken = (text) => text.indexOf("f");
  say("e", "f", "g");
  broken = undefined;
  say("h");
  assert.is(
    written.join(""),
    "a\n" +
      "log events were dropped because standard output could not be written 3 ENOSPC\ne\n" +
      "log events were dropped because standard output could not be written 2 ENOSPC\nh\n",
  );
});

test.run();
