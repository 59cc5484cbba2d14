// A server's life: it reloads, goes on where a reload fails, and ends without losing what it accepted (spec/decisions.md §7).
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ask, client, connectRaw, reviewOf } from "./requests.ts";
import { moduleUrl, type ServerProcess, serving, until } from "./server_process.ts";

const GOOD = { module: moduleUrl("policies/pod-privileged/policy.wasm") };
const MUTATES = { module: moduleUrl("policies/default-seccomp/policy.wasm") };
const LOGGER = { module: moduleUrl("tests/policies/logger/policy.wasm") };
const BUSY = { module: moduleUrl("tests/policies/busy-sleep/policy.wasm") };
const HOST_CALLER = { module: moduleUrl("tests/policies/host-caller/policy.wasm") };
const PRIVILEGED = reviewOf({}, {
  object: {
    metadata: {},
    spec: { containers: [{ name: "c", image: "i", securityContext: { privileged: true } }] },
  },
});

const statusOf = async (server: ServerProcess, policy: string) =>
  (await ask(server, { path: `/validate/${policy}`, body: reviewOf() })).status;

function write(server: ServerProcess, policies: unknown): void {
  const text = typeof policies === "string" ? policies : JSON.stringify(policies);
  writeFileSync(join(server.folder, "new.yml"), text);
  renameSync(join(server.folder, "new.yml"), join(server.folder, "policies.yml"));
}

test("SIGHUP swaps the policies; what can't be built leaves the old ones in place", () =>
  serving({ policies: { first: GOOD } }, async (server) => {
    write(server, { first: GOOD, second: GOOD });
    assert.is(await statusOf(server, "second"), 404, "nothing happens without being told to");
    server.signal("SIGHUP");
    await server.logged("policies were reloaded");
    assert.is(await statusOf(server, "second"), 200);

    const broken: readonly unknown[] = [
      "p: [",
      { third: { module: moduleUrl("absent.wasm") } },
      { third: { ...GOOD, settings: { typo: true } } },
      { third: { ...GOOD, policyMode: "typo" } },
    ];
    for (const [index, policies] of broken.entries()) {
      write(server, policies);
      server.signal("SIGHUP");
      await server.logged("policies could not be reloaded, the previous ones keep serving", index + 1);
      assert.is(await statusOf(server, "second"), 200);
      assert.is(await statusOf(server, "third"), 404);
    }
    write(server, { third: GOOD });
    server.signal("SIGHUP");
    await server.logged("policies were reloaded", 2);
    assert.equal([await statusOf(server, "first"), await statusOf(server, "third")], [404, 200]);
    assert.is(server.stderr(), "");
  }));

test("requests that run while policies are swapped are answered by those they began with", () =>
  serving({ policies: { slow: BUSY }, flags: ["--policy-timeout", "20"] }, async (server) => {
    const running = ask(server, { path: "/validate/slow", body: reviewOf({ ms: "1500", do: "sleep" }) });
    await ask(server, { path: "/validate/slow", body: reviewOf({ ms: "0" }) });
    write(server, { other: GOOD });
    server.signal("SIGHUP");
    await server.logged("policies were reloaded");
    assert.is(await statusOf(server, "slow"), 404);
    const { allowed, status } = JSON.parse((await running).body).response;
    assert.ok(allowed);
    assert.match(status.message, /^took \d+ ms$/);
  }));

test("--watch-policies reloads when the file changes", () =>
  serving({ policies: { first: GOOD }, flags: ["--watch-policies"] }, async (server) => {
    write(server, { second: GOOD });
    await server.logged("policies were reloaded");
    assert.equal([await statusOf(server, "first"), await statusOf(server, "second")], [404, 200]);
    write(server, "no: [");
    await server.logged("policies could not be reloaded");
    assert.is(await statusOf(server, "second"), 200);
  }));

test("SIGTERM under load: every request that was sent is answered, and the exit code is 0", () =>
  serving({ policies: { good: GOOD, slow: BUSY }, flags: ["--policy-timeout", "20"] }, async (server) => {
    const connections = client(server, { connections: 64 });
    const review = { path: "/validate/good", body: PRIVILEGED };
    let quiet = false, answered = 0;
    const wrong: string[] = [];
    // Each worker sends its next request when it has an answer. For a while after the signal there are new connections, as in a
    // cluster; whoever still connects as the listener closes may be refused or reset, in a cluster as well.
    const worker = async () => {
      while (!quiet) {
        try {
          const { status, body } = await connections.ask(review);
          if (
            status !== 200 ||
            JSON.parse(body).response.status.message !== "Privileged container is not allowed"
          ) {
            wrong.push(`${status} ${body}`);
          }
          answered++;
        } catch (error) {
          wrong.push(String(error));
          return;
        }
      }
    };
    const slow = Array.from(
      { length: 3 },
      () => ask(server, { path: "/validate/slow", body: reviewOf({ ms: "2500", do: "sleep" }) }),
    );
    const load = Array.from({ length: 64 }, worker);
    await until(() => answered > 500, () => `${answered} answers`);
    server.signal("SIGTERM");
    await server.logged("shutting down");
    const before = answered;
    await until(() => answered >= before + 200, () => `${answered - before} answers while shutting down`);
    quiet = true;
    assert.equal(await server.exited, { code: 0, signal: null });
    await Promise.all(load);
    assert.is(wrong.join("\n"), "");
    for (const { status, body } of await Promise.all(slow)) {
      assert.is(status, 200);
      assert.match(JSON.parse(body).response.status.message, /^took \d+ ms$/);
    }
    assert.is(server.lines("all requests were answered").length, 1);
    assert.is(server.stderr(), "");
    connections.close();
  }));

test("a client that went away while its request was evaluated does not hold up the end", () =>
  serving({ policies: { slow: BUSY }, tls: false, flags: ["--policy-timeout", "20"] }, async (server) => {
    const body = reviewOf({ ms: "700", do: "sleep" });
    const connection = await connectRaw(server);
    connection.write(
      "POST /validate/slow HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n" +
        `content-length: ${body.length}\r\n\r\n${body}`,
    );
    // Answered after the other one has begun: both were read.
    await ask(server, { path: "/validate/slow", body: reviewOf({ ms: "0" }) });
    connection.socket.destroy();
    await server.logged("finished processing request", 2);
    const started = Date.now();
    server.signal("SIGTERM");
    assert.equal(await server.exited, { code: 0, signal: null });
    assert.ok(Date.now() - started < 15_000, "the server did not wait for its whole grace period of 25 s");
  }));

test("SIGINT, and SIGTERM twice, end an idle server with exit code 0", async () => {
  for (const signals of [["SIGINT"], ["SIGTERM", "SIGTERM"]] as const) {
    await serving({ policies: {}, tls: false }, async (server) => {
      const idle = client(server);
      assert.is((await idle.ask({ path: "/validate/x", body: reviewOf() })).status, 404);
      for (const signal of signals) server.signal(signal);
      assert.equal(await server.exited, { code: 0, signal: null });
      idle.close();
    });
  }
});

test("modes, mutations, custom messages, and the namespace that is always accepted", () =>
  serving({
    policies: {
      protect: GOOD,
      monitor: { ...GOOD, policyMode: "monitor" },
      custom: { ...GOOD, message: 'no "privileged" pods' },
      mutates: { ...MUTATES, allowedToMutate: true },
      "may-not": MUTATES,
      absent: { module: moduleUrl("absent.wasm") },
    },
    flags: ["--always-accept-admission-reviews-on-namespace", "kubewarden", "--continue-on-errors"],
  }, async (server) => {
    const response = async (path: string, body: string) =>
      JSON.parse((await ask(server, { path, body })).body).response;
    const nothing = { auditAnnotations: null, warnings: null };
    const rejection = { message: "Privileged container is not allowed" };
    assert.equal(await response("/validate/protect", PRIVILEGED), {
      uid: "a-uid",
      allowed: false,
      status: rejection,
      ...nothing,
    });

    assert.equal(await response("/validate/monitor", PRIVILEGED), {
      uid: "a-uid",
      allowed: true,
      ...nothing,
    });
    await server.logged("policy evaluation (monitor mode)");
    const [line, ...others] = server.lines("policy evaluation (monitor mode)");
    assert.is(others.length, 0);
    assert.match(line!, 'policy_id="monitor"');
    assert.match(line!, "allowed: false");
    assert.match(line!, "Privileged container is not allowed");
    assert.equal((await response("/audit/monitor", PRIVILEGED)).status, rejection);

    assert.equal((await response("/validate/custom", PRIVILEGED)).status, {
      message: 'no "privileged" pods',
      details: { causes: [{ reason: null, message: rejection.message, field: null }] },
    });
    assert.equal((await response("/audit/custom", PRIVILEGED)).status, rejection);

    const pod = reviewOf({}, { object: { metadata: {}, spec: { containers: [] } } });
    const { patch, patchType, allowed } = await response("/validate/mutates", pod);
    assert.equal([allowed, patchType], [true, "JSONPatch"]);
    assert.equal(JSON.parse(Buffer.from(patch, "base64").toString()), [
      { op: "add", path: "/spec/securityContext", value: { seccompProfile: { type: "RuntimeDefault" } } },
    ]);
    assert.match(
      (await response("/validate/may-not", pod)).status.message,
      "currently configured to not allow mutations",
    );

    const inside = (namespace: string) =>
      PRIVILEGED.replace(`"uid":"a-uid"`, `"uid":"a-uid","namespace":"${namespace}"`);
    for (const route of ["/validate", "/audit"]) {
      for (const policy of ["protect", "custom", "absent"]) {
        assert.equal(await response(`${route}/${policy}`, inside("kubewarden")), {
          uid: "a-uid",
          allowed: true,
          ...nothing,
        });
        assert.not.ok((await response(`${route}/${policy}`, inside("kubewarden2"))).allowed);
      }
    }
    assert.is((await ask(server, { path: "/validate/nothing", body: inside("kubewarden") })).status, 404);
  }));

test("GET /metrics counts what was evaluated, in Prometheus' format", () =>
  serving({ policies: { protect: GOOD, monitor: { ...GOOD, policyMode: "monitor" } } }, async (server) => {
    for (const policy of ["protect", "protect", "monitor"]) {
      await ask(server, { path: `/validate/${policy}`, body: PRIVILEGED });
    }
    await ask(server, { path: "/audit/protect", body: PRIVILEGED });
    const probe = (path: string, method = "GET") =>
      ask({ port: server.readinessPort, tls: false }, { method, path });
    const { status, headers, body } = await probe("/metrics");
    assert.is(status, 200);
    assert.match(headers["content-type"]!, /^text\/plain; version=0\.0\.4/);
    const counter = (labels: readonly string[]) =>
      body.split("\n").filter((line) =>
        line.startsWith("kubewarden_policy_evaluations_total{") &&
        labels.every((label) => line.includes(label))
      ).map((line) => Number(line.split(" ").at(-1)));
    assert.equal(counter(['policy_name="protect"', 'request_origin="validate"', 'accepted="false"']), [2]);
    // Metrics take the policy's own verdict, not what monitor mode makes of it.
    assert.equal(counter(['policy_name="monitor"', 'accepted="false"']), [1]);
    assert.equal(counter(['policy_name="protect"', 'request_origin="audit"']), [1]);
    assert.match(body, "kubewarden_policy_evaluation_latency_milliseconds_bucket{");
    assert.equal([(await probe("/readiness")).status, (await probe("/readiness", "HEAD")).status], [
      200,
      200,
    ]);
    assert.equal([(await probe("/readiness", "POST")).status, (await probe("/validate/protect")).status], [
      405,
      404,
    ]);
  }));

test("policies can't forge log lines, in text or JSON", async () => {
  for (const format of ["text", "json"]) {
    await serving(
      { policies: { logger: LOGGER }, flags: ["--log-fmt", format, "--log-level", "trace"] },
      async (server) => {
        for (const way of ["", "forge"]) {
          const { body } = await ask(server, { path: "/validate/logger", body: reviewOf({ do: way }) });
          assert.ok(JSON.parse(body).response.allowed);
        }
        await server.logged("Cannot log event", 4);
        // deno-lint-ignore no-control-regex
        assert.not.match(server.stdout(), /\x1b|\r/);
        for (const line of server.stdout().trimEnd().split("\n")) {
          if (format === "json") assert.type(JSON.parse(line).timestamp, "string");
          else assert.match(line, /^\d{4}-\d\d-\d\dT[\d:.]+Z +(TRACE|DEBUG|INFO|WARN|ERROR) [\w:]+: /);
          assert.not.match(line, /^2026-01-01T00:00:00.000Z|^\{"timestamp":"2026-01-01T00:00:00/);
        }
        for (
          const message of [
            "at trace",
            "at debug",
            "at info",
            "at warning",
            "at error",
            "at critical",
            "to standard error",
          ]
        ) {
          assert.ok(server.lines(message).length >= 1, message);
          assert.ok(
            server.lines(message).every((line) => line.includes("policy_log") && line.includes("logger")),
            message,
          );
        }
        assert.is(server.stderr(), "");
      },
    );
  }
});

test("host calls pass the gate of the policy's list, and only then are unknown", () =>
  serving({
    policies: {
      none: HOST_CALLER,
      all: { ...HOST_CALLER, hostCapabilities: ["*"] },
      some: { ...HOST_CALLER, hostCapabilities: ["oci/v1/*"] },
    },
  }, async (server) => {
    const call = async (policy: string, namespace: string, operation: string, binding = "kubewarden") => {
      const options = { hostCall: { binding, namespace, operation, payload: {} } };
      const { body } = await ask(server, { path: `/validate/${policy}`, body: reviewOf({}, { options }) });
      const { allowed, status } = JSON.parse(body).response;
      return [allowed, status.message] as const;
    };
    const denied = (path: string) =>
      [
        false,
        `Policy has not been granted access to the '${path}' host capability. The violation has been reported.`,
      ] as const;
    assert.equal(await call("none", "oci", "v1/verify"), denied("oci/v1/verify"));
    assert.equal(await call("none", "nothing", "at-all"), denied("nothing/at-all"));
    assert.equal(await call("some", "net", "v1/dns_lookup_host"), denied("net/v1/dns_lookup_host"));
    assert.equal(await call("some", "oci", "v2/verify"), denied("oci/v2/verify"));
    assert.not.equal(await call("some", "oci", "v1/verify"), denied("oci/v1/verify"));
    assert.equal(await call("all", "nothing", "at-all"), [false, "unknown namespace: nothing"]);
    assert.equal(await call("all", "oci", "v9/verify"), [false, "unknown operation: v9/verify"]);
    assert.equal(await call("all", "oci", "v1/verify", "other"), [false, "unknown binding: other"]);
    assert.equal(await call("none", "tracing", "log"), [true, ""]);
    await server.logged("not granted", 4);
    const lines = server.lines("not granted");
    assert.is(lines.length, 4);
    assert.match(
      lines[0]!,
      / ERROR .*policy="none" capability="oci\/v1\/verify" allowed_capabilities="\[\]"/,
    );
  }));

test.run();
