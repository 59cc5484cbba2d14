// Every listener of every program: when it can't be opened, its error names what it is for, where, why, and how to choose another.
import { mkdtempSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { World } from "../../controller/apply/world.ts";
import type { Metrics } from "../../controller/render/metrics.ts";
import { startMetrics, startProbes } from "../../controller/serve/probes.ts";
import { startWebhookServer } from "../../controller/serve/webhook_server.ts";
import { LIMITS, listen, type ListenOptions } from "../../http/mod.ts";
import { listenError } from "../../program/render/listen_error.ts";
import { ListenError } from "../../program/types/listen_error.ts";
import { identity } from "../policy_server/certificates.ts";

async function withTaken(use: (port: number) => Promise<void>): Promise<void> {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
  try {
    await use((taken.address() as { port: number }).port);
  } finally {
    taken.close();
  }
}

async function rejection(started: Promise<unknown>): Promise<Error> {
  return await started.then(
    () => {
      throw new Error("it was opened");
    },
    (error: Error) => error,
  );
}

test("the controller's listeners", () =>
  withTaken(async (port) => {
    const { cert, key } = await identity("localhost");
    const address = `127.0.0.1:${port}`;
    const certificates = mkdtempSync(join(tmpdir(), "portreeve-webhook-"));
    writeFileSync(join(certificates, "tls.crt"), cert);
    writeFileSync(join(certificates, "tls.key"), key);
    const world = { log: () => {} } as unknown as World;
    const metrics = { add: () => {}, set: () => {}, observe: () => {} } as unknown as Metrics;
    const webhooks = { port, hostname: "127.0.0.1", certificates, mutualTls: false };
    const listeners: readonly (readonly [Promise<unknown>, string])[] = [
      [startProbes(address, () => {}, () => undefined), "--health-probe-bind-address"],
      [startMetrics(address, () => {}, () => ""), "--metrics-bind-address"],
      [startWebhookServer(world, metrics, webhooks), "--webhook-server-port"],
    ];
    for (const [started, option] of listeners) {
      const error = await rejection(started);
      assert.instance(error, ListenError);
      assert.ok((error as ListenError).taken);
      assert.match(
        error.message,
        new RegExp(
          `^cannot listen on 127\\.0\\.0\\.1:${port} for .+: Address already in use \\(os error 98\\); .*choose another port with ${option}$`,
        ),
      );
    }
  }));

// The policy server's two are started in `tests/policy_server/start_test.ts`; what makes them known is the code of the error.
test("the policy server's listener says why in a code that is known", () =>
  withTaken(async (port) => {
    const { cert, key } = await identity("localhost");
    for (const tls of [undefined, { cert, key, clientCas: undefined }]) {
      const options: ListenOptions = {
        host: "127.0.0.1",
        port,
        tls,
        maxBodyBytes: 1,
        limits: LIMITS,
        onClosed: () => {},
        handler: () => Promise.reject(new Error("never asked")),
      };
      const cause = await rejection(listen(options));
      const names = { what: "tests", host: "127.0.0.1", port, portOption: "--port" };
      assert.ok(listenError(names, cause).taken, String(cause));
    }
  }));

test("reasons and remedies", () => {
  const names = { what: "tests", host: "::1", port: 80, portOption: "--port", hostOption: "--addr" };
  const text = (code: string, more = {}) =>
    listenError({ ...names, ...more }, Object.assign(new Error("bad luck"), { code })).message;
  const begin = "cannot listen on [::1]:80 for tests: ";
  const cases: readonly (readonly [code: string, rest: string, more?: object])[] = [
    [
      "EACCES",
      "Permission denied (os error 13); ports below 1024 are for root and for programs with CAP_NET_BIND_SERVICE: choose another port with --port",
    ],
    [
      "EADDRNOTAVAIL",
      "Cannot assign requested address (os error 99); this machine has no such address: choose another address with --addr",
    ],
    [
      "EAFNOSUPPORT",
      "Address family not supported (os error 97); this machine does not speak that version of IP: choose another address with --addr",
    ],
    ["EMFILE", "bad luck; choose another port with --port"],
  ];
  for (const [code, rest, more] of cases) assert.is(text(code, more), begin + rest);
  assert.match(text("EACCES", { port: 8080 }), /os error 13\); choose another port with --port$/);
  assert.match(text("EADDRINUSE", { host: undefined }), /^cannot listen on port 80 for tests: /);
});

test.run();
