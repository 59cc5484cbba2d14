// A server in the background (spec/policy-server.md §15).
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { takePidFile } from "../../policy_server/apply/daemon.ts";
import { ask, reviewOf } from "./requests.ts";
import { freePort, moduleUrl, until } from "./server_process.ts";

const MAIN = fileURLToPath(new URL("../../policy_server/main.ts", import.meta.url));
const POLICIES = JSON.stringify({ psp: { module: moduleUrl("policies/pod-privileged/policy.wasm") } });

async function inFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "daemon-"));
  writeFileSync(join(folder, "policies.yml"), POLICIES);
  try {
    await use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Runs the program until it ends; what it started may live on. */
function run(folder: string, flags: readonly string[]) {
  const child = spawn(process.execPath, [MAIN, "--addr", "127.0.0.1", "--daemon", ...flags], {
    cwd: folder,
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env["PATH"], HOME: folder, PORTREEVE_TERMINATION_LOG: join(folder, "none") },
  });
  let stdout = "", stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text) => stdout += text);
  child.stderr.setEncoding("utf8").on("data", (text) => stderr += text);
  return new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) =>
    child.once("close", (code) => resolve({ code, stdout, stderr }))
  );
}

const isAlive = (pid: number) => {
  try {
    process.kill(pid, 0);
    // Killed, but nobody of this test is its parent.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
};

test("the command ends when its daemon has taken the PID file; a second one is refused", async () => {
  await inFolder(async (folder) => {
    const pidFile = join(folder, "server.pid"), out = join(folder, "out.log");
    const [port, readiness] = [await freePort(), await freePort()];
    const flags = ["--port", `${port}`, "--readiness-probe-port", `${readiness}`];
    // Of files that are read, names are those of the shell's folder.
    flags.push("--policies", "policies.yml", "--daemon-pid-file", pidFile, "--daemon-stdout-file", "out.log");
    flags.push("--daemon-stderr-file", "err.log");
    const { code, stdout, stderr } = await run(folder, flags);
    assert.is(code, 0, stdout + stderr);
    assert.match(stdout, /Running instance as a daemon/);
    const pid = Number(readFileSync(pidFile, "utf8"));
    try {
      assert.is(readFileSync(pidFile, "utf8"), `${pid}\n`);
      assert.is(readlinkSync(`/proc/${pid}/cwd`), "/");
      const [, session] = /\) \S+ \d+ \d+ (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))!;
      assert.is(Number(session), pid, "a session of its own");
      assert.match(readFileSync(`/proc/${pid}/status`, "utf8"), /^Umask:\s+0027$/m);
      await until(
        () => readFileSync(out, "utf8").includes("policy server is ready"),
        () => readFileSync(out, "utf8") + readFileSync(join(folder, "err.log"), "utf8"),
      );
      assert.match(readFileSync(out, "utf8"), /Detached from shell, now running in background\./);
      const { status } = await ask({ port, tls: false }, { path: "/validate/psp", body: reviewOf() });
      assert.is(status, 200);

      const second = await run(folder, [
        ...["--port", "0", "--readiness-probe-port", "0", "--daemon-pid-file", pidFile],
      ]);
      assert.is(second.code, 1);
      assert.match(
        second.stderr,
        new RegExp(`^Error: Cannot daemonize: unable to lock PID file .*: process ${pid} has it\n$`),
      );
    } finally {
      process.kill(pid, "SIGTERM");
    }
    await until(() => !isAlive(pid), () => "the daemon lives on");
    assert.not(existsSync(pidFile), "a daemon that ends in good order takes its PID file away");
  });
});

test("what can't be read or made is an error of the command", async () => {
  await inFolder(async (folder) => {
    const pidFile = join(folder, "server.pid");
    const cases: readonly (readonly [readonly string[], RegExp])[] = [
      [
        ["--policies", "missing.yml"],
        /^Error: error while loading policies from "[^"]*missing\.yml": No such file/,
      ],
      [["--daemon-stdout-file", "no/folder"], /^Error: Cannot create file for daemon stdout: /],
      [["--daemon-stderr-file", "no/folder"], /^Error: Cannot create file for daemon stderr: /],
      [
        ["--daemon-pid-file", join(folder, "no/folder")],
        /^Error: Cannot daemonize: unable to create PID file: /,
      ],
    ];
    await Promise.all(cases.map(async ([flags, text]) => {
      const pid = flags.includes("--daemon-pid-file") ? [] : ["--daemon-pid-file", pidFile];
      const { code, stderr } = await run(folder, [
        ...["--port", "0", "--readiness-probe-port", "0"],
        ...pid,
        ...flags,
      ]);
      assert.is(code, 1, stderr);
      assert.match(stderr, text);
    }));
    assert.not(existsSync(pidFile));
  });
});

test("a PID file that a dead process left is taken over; what is none is left alone", async () => {
  await inFolder((folder) => {
    const path = join(folder, "pid");
    // No process has this number: it is above what Linux gives.
    writeFileSync(path, "4194305\n");
    takePidFile(path);
    assert.is(readFileSync(path, "utf8"), `${process.pid}\n`);
    writeFileSync(path, "precious");
    assert.throws(() => takePidFile(path), /holds no process id/);
    assert.is(readFileSync(path, "utf8"), "precious");
    writeFileSync(path, "1\n");
    assert.throws(() => takePidFile(path), /process 1 has it/);
    return Promise.resolve();
  });
});

test.run();
