// The soak says so when a server has not held: each thing that must not be is found, and nothing else.
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { bundleFile, BUNDLES_VARIABLE } from "../programs.ts";
import { reportHtml } from "./html.ts";
import { failures, reportText, type Sample, type Soak } from "./report.ts";

const sample = (seconds: number, change: Partial<Sample> = {}): Sample => ({
  seconds,
  rssMib: 400,
  descriptors: 30,
  threads: 14,
  requests: seconds * 100,
  wrong: 0,
  lost: 0,
  late: 0,
  refused: 0,
  slowestMs: 20,
  ...change,
});

const MINUTES = 10;
const samples = Array.from({ length: MINUTES * 60 }, (_, second) => sample(second));
const CHECKS = {
  requests: 60_000,
  wrong: 0,
  lost: 0,
  late: 0,
  refused: 3,
  slowestMs: 20,
  examples: [],
  calm: [1, 2],
  attacked: [2, 3],
};
const HELD: Soak = {
  name: "policy-server",
  minutes: MINUTES,
  samples,
  checks: CHECKS,
  before: sample(60),
  after: sample(MINUTES * 60),
  stopped: { ms: 1000, code: 0, signal: null },
  died: false,
};
const CROWD = { clients: 4000, connections: 5000, handshakes: 3000, atOnce: 1000 };
const growing = (mib: number) => samples.map((at) => ({ ...at, rssMib: 400 + at.seconds / 60 * mib }));

test("a server that held, also with refusals, and with what may come and go", () => {
  assert.equal(failures(HELD), []);
  assert.equal(failures({ ...HELD, after: sample(600, { descriptors: 33, threads: 16, rssMib: 900 }) }), []);
  // Grows at first, and then by less than a tenth.
  assert.equal(failures({ ...HELD, samples: growing(6) }), []);
  assert.match(reportText(HELD), /\bit has held$/);
  // Three times as slow in a crowd.
  assert.equal(failures({ ...HELD, crowd: CROWD, checks: { ...CHECKS, attacked: [6] } }), []);
});

test("each thing that must not be", () => {
  const cases: readonly (readonly [Partial<Soak>, RegExp])[] = [
    [{ checks: { ...CHECKS, wrong: 1 } }, /^1 of 60000 answers wrong$/],
    [{ checks: { ...CHECKS, lost: 2 } }, /^2 of 60000 answers lost$/],
    [{ checks: { ...CHECKS, late: 3 } }, /^3 of 60000 answers late$/],
    [{ checks: { ...CHECKS, requests: 0 } }, /^nothing was asked$/],
    [{ died: true }, /^the server ended by itself$/],
    [{ after: sample(600, { descriptors: 60 }) }, /^descriptors: 30 before, 60 after$/],
    [{ after: sample(600, { threads: 19 }) }, /^threads: 14 before, 19 after$/],
    [{ samples: growing(20) }, /^resident memory grew from \d+ MiB in minute 5 to \d+ MiB$/],
    [
      { crowd: { ...CROWD, connections: 3999 } },
      /^4000 clients made only 3999 connections: the machine is too busy$/,
    ],
    [{ crowd: CROWD, checks: { ...CHECKS, attacked: [7] } }, /^p99: 2.0 ms before the crowd, 7.0 ms in it$/],
    [
      { crowd: CROWD, after: sample(600, { rssMib: 450 }) },
      /^resident memory: 400 MiB before, 450 MiB after$/,
    ],
    [
      { stopped: { ms: 30_000, code: null, signal: "SIGKILL" } },
      /^SIGTERM: ended with SIGKILL after 30000 ms$/,
    ],
    [{ stopped: { ms: 1000, code: 1, signal: null } }, /^SIGTERM: ended with 1 after 1000 ms$/],
    [{ stopped: { ms: 28_000, code: 0, signal: null } }, /^SIGTERM: ended with 0 after 28000 ms$/],
  ];
  for (const [change, expected] of cases) {
    const soak = { ...HELD, ...change };
    assert.is(failures(soak).length, 1, String(expected));
    assert.match(failures(soak)[0]!, expected);
    assert.match(reportText(soak), "it has NOT held: ");
  }
});

test("the page needs nothing else, and shows no text as markup", () => {
  const page = reportHtml({
    ...HELD,
    name: "<script>",
    checks: { ...CHECKS, examples: ["wrong: <img src=x>"] },
  });
  assert.is(page.match(/<svg /g)?.length, 6);
  assert.not.match(page, /<script|<img|https?:|url\(/);
});

type Ended = { readonly code: number; readonly stdout: string; readonly stderr: string };
const soak = (...words: string[]) =>
  new Promise<Ended>((resolve) =>
    execFile(process.execPath, [fileURLToPath(new URL("main.ts", import.meta.url)), ...words], {
      env: { ...process.env, [BUNDLES_VARIABLE]: join(bundleFile("policy_server"), "..") },
    }, (error, stdout, stderr) => resolve({ code: error ? Number(error.code) : 0, stdout, stderr }))
  );

test("a few seconds of it: a table, a page, and a program that is no server", async () => {
  const folder = mkdtempSync(join(tmpdir(), "soak-test-"));
  try {
    const html = join(folder, "soak.html");
    const runtime = "bun" in process.versions ? "bun" : "node";
    const ran = await soak(
      "--minutes",
      "0.1",
      "--runtime",
      runtime,
      "--faults",
      "traps,handshakes",
      "--policies",
      "4",
      "--html",
      html,
    );
    assert.match(ran.stdout, /\d+ +0 +0 +0 /);
    assert.match(ran.stdout, /it has (NOT )?held/);
    assert.match(readFileSync(html, "utf8"), "Resident memory");
    const none = await soak("--program", "/bin/false", "--minutes", "0.1", "--policies", "4");
    assert.is(none.code, 1);
    assert.match(none.stderr, "the server did not become ready");
    for (
      const words of [
        ["--faults", "nonsense"],
        ["--minutes", "0"],
        ["--runtime", "deno"],
        ["--crowd", "1.5"],
        ["--crowd", "100000000"],
      ]
    ) {
      assert.is((await soak(...words)).code, 1);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("a crowd: every answer is right, and what it held is given back", async () => {
  const words = ["--minutes", "0.4", "--policies", "4", "--crowd", "400"];
  const { stdout, stderr } = await soak(...words);
  const [, connections, handshakes] =
    /the crowd made (\d+) connections, (\d+) with TLS/.exec(stdout)?.map(Number) ?? [];
  assert.ok(connections! > 100 && handshakes! > 50, stdout + stderr);
  // How long answers take is measured by hand: `npm run soak -- --crowd 10000`.
  assert.match(stdout, /it has (NOT )?held/);
  assert.not.match(stdout, /answers (wrong|lost)|descriptors:|threads:|ended by itself/);
});

/** Ready, but of no use: `onConnection` is what it does with whoever connects. */
const useless = (onConnection: string) =>
  `#!${process.execPath}
const { createServer } = require("node:net");
const port = (flag) => Number(process.argv[process.argv.indexOf(flag) + 1]);
const onConnection = ${onConnection};
process.on("SIGHUP", () => {});
createServer({ allowHalfOpen: true }, (socket) => {
  socket.on("error", () => {});
  onConnection(socket);
}).listen(port("--port"), "127.0.0.1");
require("node:http").createServer((_, response) => response.end()).listen(port("--readiness-probe-port"), "127.0.0.1");
`;

test("it comes to its end whatever the server does", async () => {
  const folder = mkdtempSync(join(tmpdir(), "soak-test-"));
  const servers = {
    "closes its side alone in the midst of a handshake": `(socket) => {
      socket.once("data", () => socket.end());
      socket.once("end", () => socket.destroy());
    }`,
    "resets": `(socket) => socket.resetAndDestroy()`,
    "reads nothing": `(socket) => setTimeout(() => socket.destroy(), 8_000)`,
  };
  try {
    await Promise.all(
      Object.entries(servers).flatMap(([name, onConnection], index) => {
        const program = join(folder, `server-${index}.cjs`);
        writeFileSync(program, useless(onConnection), { mode: 0o755 });
        return [["--crowd", "50"], []].map(async (attack) => {
          const { stdout, stderr } = await soak(
            "--program",
            program,
            "--minutes",
            "0.1",
            "--policies",
            "4",
            ...attack,
          );
          assert.match(stdout, "it has NOT held: ", `${name}: ${stderr}`);
        });
      }),
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test.run();
