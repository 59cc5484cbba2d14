// What keeps a server from starting is said once, with the file, the policy, the field and what was expected; exit code 1
// (spec/policy-server.md §1.3, §2.1, §3; spec/decisions.md §4).
import { readFileSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { identity } from "./certificates.ts";
import { ask, reviewOf } from "./requests.ts";
import { type FailedStart, failing, moduleUrl, type ServerSetting, serving } from "./server_process.ts";

const GOOD = moduleUrl("policies/pod-privileged/policy.wasm");
const REVIEW = reviewOf();

/** What no user should see. */
const INSIDE = /\n\s+at |\.ts:\d|node:internal|unhandled|Uncaught/i;

function look(expected: RegExp | string): (failed: FailedStart) => void {
  return ({ code, stdout, stderr }) => {
    assert.is(code, 1, stderr + stdout);
    assert.match(stderr, expected);
    assert.match(stderr, /^Error: /);
    assert.not.match(stderr, INSIDE);
    assert.not.match(stdout, "policy server is ready");
  };
}

const policy = (fields: Readonly<Record<string, unknown>>) => ({ policies: { p: fields }, tls: false });
const broken = (file: string) => moduleUrl(`tests/policies/${file}`);
const group = (expression: string) => ({ expression, message: "m", policies: { a: { module: GOOD } } });

/** Policies that can't be served, and what is said of each. The name stands in front of most reasons. */
const BROKEN: Readonly<Record<string, readonly [entry: Readonly<Record<string, unknown>>, reason: string]>> =
  {
    "no-wasm": [{ module: broken("README.md") }, "bootstrap failure: no-wasm: "],
    absent: [
      { module: broken("absent.wasm") },
      `bootstrap failure: absent: Error while downloading policy 'absent' from ${
        broken("absent.wasm")
      }: No such file`,
    ],
    scheme: [{ module: "ftp://x/y.wasm" }, "unknown scheme: ftp"],
    "no-call": [
      { module: broken("incomplete/no_guest_call.wasm") },
      "Guest call function (__guest_call) not exported by wasm module.",
    ],
    "no-memory": [{ module: broken("incomplete/no_memory.wasm") }, "the module exports no memory"],
    import: [
      { module: broken("incomplete/unknown_import.wasm") },
      "the module imports what no host provides: function wapc.__no_such_function",
    ],
    kind: [{ module: broken("incomplete/wrong_kind.wasm") }, "the module exports no memory"],
    memory: [{ module: broken("exhaust-memory/initial.wasm") }, "the limit is 256 MiB"],
    trap: [
      { module: broken("trap/init.wasm") },
      "Initialization failed: error while executing: wasm trap: unreachable",
    ],
    exit: [{ module: broken("trap/start_exit_3.wasm") }, "the guest exited with code 3"],
    loop: [{ module: broken("loop/init.wasm") }, "wapc_init init interrupted, execution deadline exceeded"],
    settings: [
      { module: GOOD, settings: { skip_init_container: true } },
      "unknown field `skip_init_container`",
    ],
    "settings-loop": [
      { module: broken("loop/policy.wasm"), settings: { do: "tight" } },
      "guest code interrupted, execution deadline exceeded",
    ],
    "settings-garbage": [
      { module: broken("garbage/policy.wasm"), settings: { do: "text" } },
      "Policy settings are invalid: error: ",
    ],
    "settings-trap": [
      { module: broken("trap/policy.wasm"), settings: { do: "unreachable" } },
      "Error invoking settings validation callback: GuestCallFailure(",
    ],
    capability: [
      { module: GOOD, hostCapabilities: ["oci*"] },
      'invalid hostCapabilities pattern for policy capability: invalid pattern "oci*": wildcard',
    ],
    expression: [group("a() &&"), "error evaluating policy group expression: expression: "],
    member: [group("b()"), "error evaluating policy group expression: member: "],
  };

test("everything that is wrong with policies is said at once, and ends the server", () =>
  failing({
    policies: Object.fromEntries(Object.entries(BROKEN).map(([name, [entry]]) => [name, entry])),
    tls: false,
    flags: ["--policy-timeout", "1"],
  }, (failed) => {
    look(/^Error: \d+ policies can't be served:\n {2}- /m)(failed);
    const missing = Object.entries(BROKEN).filter(([name, [, reason]]) =>
      !failed.stderr.split("\n").some((line) =>
        line.startsWith("  - ") && line.includes(reason) && line.split(/[\s'",:/]+/).includes(name)
      )
    );
    assert.equal(missing.map(([name]) => name), [], failed.stderr);
  }));

test("a policies.yml that can't be read is named, with the place and what was expected", async () => {
  const misspelt = "p:\n  module: a.wasm\n  policyMode: protekt\n";
  await failing({ policies: misspelt, tls: false }, (failed) => {
    look(/^Error: error while loading policies from ".*\/policies\.yml": p\.policyMode: expected "protect"/)(
      failed,
    );
    assert.match(failed.stderr, 'found "protekt" at line 3 column 15');
  });
  await failing(
    { policies: {}, tls: false, flags: ["--policies", "absent.yml"] },
    look('error while loading policies from "absent.yml": No such file or directory (os error 2)'),
  );
});

test("what else ends the server is its termination message: a port that is taken", async () => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
  const { port } = taken.address() as AddressInfo;
  try {
    await failing({
      policies: { fine: { module: GOOD } },
      tls: false,
      flags: ["--port", String(port)],
      env: { PORTREEVE_TERMINATION_LOG: "termination.log" },
      prepare: (folder) => writeFileSync(join(folder, "termination.log"), ""),
    }, ({ code, stderr, folder }) => {
      assert.is(code, 1);
      const said = readFileSync(join(folder, "termination.log"), "utf8");
      assert.match(said, new RegExp(`^[^\\n]*${port}[^\\n]*\\n$`));
      assert.ok(stderr.includes(said.trim().slice(0, 40)), stderr);
    });
  } finally {
    taken.close();
  }
});

test("all broken policies are named, and written to the termination message, one JSON line each", () =>
  failing({
    policies: {
      fine: { module: GOOD },
      settings: { module: GOOD, settings: { typo: 1 } },
      module: { module: broken("incomplete/no_memory.wasm") },
    },
    tls: false,
    env: { PORTREEVE_TERMINATION_LOG: "termination.log" },
    prepare: (folder) => writeFileSync(join(folder, "termination.log"), ""),
  }, ({ code, stderr, folder }) => {
    assert.is(code, 1);
    assert.match(stderr, "Policy settings are invalid: ");
    assert.match(stderr, "the module exports no memory");
    const lines = readFileSync(join(folder, "termination.log"), "utf8").trimEnd().split("\n").map((line) =>
      JSON.parse(line)
    );
    assert.equal(lines.map(({ policy }) => policy).sort(), ["module", "settings"]);
    assert.ok(lines.every(({ reason }) => stderr.includes(reason)));
  }));

test("--continue-on-errors serves the good ones, and answers the others with what is wrong", () =>
  serving({
    policies: {
      good: { module: GOOD },
      settings: { module: GOOD, settings: { typo: 1 }, policyMode: "monitor", message: "custom" },
      module: { module: broken("incomplete/no_memory.wasm") },
      absent: { module: moduleUrl("absent.wasm") },
      group: { expression: "!a()", message: "m", policies: { a: { module: GOOD, settings: { typo: 1 } } } },
      typo: { expression: "b()", message: "m", policies: { a: { module: GOOD } } },
    },
    flags: ["--continue-on-errors"],
  }, async (server) => {
    const response = async (path: string) => {
      const answer = await ask(server, { path, body: REVIEW });
      assert.is(answer.status, 200);
      return JSON.parse(answer.body).response;
    };
    assert.is((await response("/validate/good")).allowed, true);
    const reasons: Readonly<Record<string, RegExp>> = {
      settings: /^Policy settings are invalid: .*unknown field `typo`/,
      module: /the module exports no memory/,
      absent: /^bootstrap failure: absent: Error while downloading policy 'absent' from /,
      group: /^Policy settings are invalid: .*unknown field `typo`/,
      typo: /^error evaluating policy group expression: /,
    };
    for (const [name, reason] of Object.entries(reasons)) {
      for (const route of ["/validate", "/audit", "/validate_raw"]) {
        const { allowed, status, uid } = await response(`${route}/${name}`);
        assert.equal([uid, allowed, status.code], ["a-uid", false, 500], name);
        assert.match(status.message, reason, name);
        assert.not.ok(status.details, "no custom message is applied");
      }
    }
    assert.is(server.lines("policy is not served").length, 5);
  }));

test("a wrong capability ends the server even with --continue-on-errors", () =>
  failing({
    ...policy({ module: GOOD, hostCapabilities: ["nothing/*"] }),
    flags: ["--continue-on-errors"],
  }, look(/invalid hostCapabilities pattern for policy p: .*unknown segment "nothing"/)));

test("TLS files that don't fit or can't be read", async () => {
  const [other, mine] = await Promise.all([identity("other"), identity("mine")]);
  const write = (cert: string, key: string) => (folder: string) => {
    writeFileSync(join(folder, "a.crt"), cert);
    writeFileSync(join(folder, "a.key"), key);
  };
  const setting = (prepare: (folder: string) => void = () => {}): ServerSetting => ({
    prepare,
    policies: {},
    tls: false,
    flags: ["--cert-file", "a.crt", "--key-file", "a.key"],
  });
  await failing(setting(write(mine.cert, other.key)), look(/a\.key|key/));
  await failing(setting(write(mine.cert, "no PEM")), look(/Expected exactly one key in key file/));
  await failing(setting(write("no PEM", mine.key)), look(/certificate/i));
  await failing(setting(), look(/a\.crt.*No such file or directory/));
  await failing(
    { policies: {}, tls: false, flags: ["--cert-file", "a.crt"] },
    look("both certificate and key must be provided together"),
  );
});

test("a port that is in use", async () => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
  const { port } = taken.address() as { port: number };
  try {
    for (const flag of ["--port", "--readiness-probe-port"]) {
      await failing(
        { policies: {}, tls: false, flags: [flag, String(port)] },
        look(
          new RegExp(
            `^Error: cannot listen on 127\\.0\\.0\\.1:${port} for .+: Address already in use \\(os error 98\\); .*${flag} \\(variable KUBEWARDEN_`,
          ),
        ),
      );
    }
  } finally {
    taken.close();
  }
});

test("two servers on one port: the second one ends", () =>
  serving(
    { policies: {} },
    (first) =>
      failing(
        { policies: {}, flags: ["--port", String(first.port)] },
        look("Address already in use (os error 98)"),
      ),
  ));

test.run();
