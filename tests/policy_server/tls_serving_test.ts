// TLS as clients meet it: client certificates, and certificates that change while the server serves (spec/policy-server.md §11).
import { mkdirSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "node:tls";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Identity, identity } from "./certificates.ts";
import { ask, client, type ClientTls, reviewOf } from "./requests.ts";
import { freePort, moduleUrl, type ServerProcess, serving, until } from "./server_process.ts";

const POLICIES = { good: { module: moduleUrl("policies/pod-privileged/policy.wasm") } };
const REVIEW = { path: "/validate/good", body: reviewOf() };

/** The common name of the certificate that new connections get. */
function certificateOf(server: Pick<ServerProcess, "port">): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port: server.port, rejectUnauthorized: false }, () => {
      resolve(String(socket.getPeerCertificate().subject.CN));
      socket.destroy();
    });
    socket.on("error", reject);
  });
}

const served = (server: ServerProcess, tls: ClientTls) =>
  ask(server, REVIEW, tls).then(({ status }) => status === 200, () => false);

test("clients that trust the server's CA are served over TLS 1.2 and 1.3, older ones and plain HTTP are not", () =>
  serving({ policies: POLICIES }, async (server) => {
    for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
      const protocol = await new Promise((resolve, reject) => {
        const socket = connect({
          host: "127.0.0.1",
          port: server.port,
          rejectUnauthorized: false,
          minVersion: version,
          maxVersion: version,
        }, () => {
          resolve(socket.getProtocol());
          socket.destroy();
        });
        socket.on("error", reject);
      });
      assert.is(protocol, version);
    }
    await ask({ port: server.port, tls: false }, REVIEW).then(
      ({ status }) => assert.is(status, 400),
      () => {}, // the connection was closed
    );
    assert.is((await ask(server, REVIEW)).status, 200);
    assert.is(
      (await ask({ port: server.readinessPort, tls: false }, { method: "GET", path: "/readiness" })).status,
      200,
    );
  }));

test("with client CAs, only clients of one of them are served; readiness needs no certificate", async () => {
  const [first, second, stranger] = await Promise.all(
    ["first CA", "second CA", "strange CA"].map((name) => identity(name)),
  );
  const [one, two, three] = await Promise.all(
    [first!, second!, stranger!].map((ca, index) => identity(`client ${index}`, ca)),
  );
  await serving({
    policies: POLICIES,
    flags: ["--client-ca-file", "first.crt,second.crt"],
    prepare: (folder) => {
      writeFileSync(join(folder, "first.crt"), first!.cert);
      writeFileSync(join(folder, "second.crt"), second!.cert);
    },
  }, async (server) => {
    for (const { cert, key } of [one!, two!]) {
      assert.is((await ask(server, REVIEW, { cert, key })).status, 200);
    }
    assert.not.ok(await served(server, {}));
    assert.not.ok(await served(server, three!));
    assert.not.ok(await served(server, stranger!));
    const readiness = { port: server.readinessPort, tls: false };
    assert.is((await ask(readiness, { method: "GET", path: "/readiness" })).status, 200);
    await server.logged("Loaded client CA certificates");

    // Another CA takes the place of the second one.
    writeFileSync(join(server.folder, "second.crt"), stranger!.cert);
    await until(() => served(server, three!), () => server.stdout());
    // On Bun the old listener goes on for a moment beside the new one.
    await until(async () => !await served(server, two!), () => server.stdout());
    assert.ok(await served(server, one!));
  });
});

test("a new pair is used by new connections, established ones are served on", async () => {
  const next = await identity("next");
  const port = await freePort();
  await serving({ policies: POLICIES, flags: ["--port", String(port)] }, async (server) => {
    assert.is(server.port, port);
    const established = client(server, { connections: 1 });
    assert.is((await established.ask(REVIEW)).status, 200);
    assert.is(await certificateOf(server), "localhost");
    writeFileSync(join(server.folder, "tls.crt"), next.cert);
    await server.logged("TLS certificate file has been modified");
    assert.is(await certificateOf(server), "localhost", "the key has not changed yet");
    writeFileSync(join(server.folder, "tls.key"), next.key);
    // On Bun the old listener goes on for a moment beside the new one, and resets what still waits in it when it closes.
    const now = () => certificateOf(server).catch((error: Error) => error.message);
    const all = async () => await Promise.all(Array.from({ length: 20 }, now));
    await until(async () => (await all()).every((name) => name === "next"), () => server.stdout());
    assert.ok(await served(server, { ca: next.cert }));
    assert.is((await established.ask(REVIEW)).status, 200);
    // What can't be used is logged, and the pair in use stays.
    writeFileSync(join(server.folder, "tls.crt"), "no certificate");
    writeFileSync(join(server.folder, "tls.key"), next.key.replace(/A/g, "B"));
    await server.logged("Failed to reload TLS certificates: ");
    assert.is(await certificateOf(server), "next");
    assert.is((await established.ask(REVIEW)).status, 200);
    established.close();
  });
});

/** A volume as the kubelet makes it: files are links through `..data` into a folder that is swapped. */
function swap(folder: string, generation: number, { cert, key }: Identity): void {
  const held = `..generation_${generation}`;
  mkdirSync(join(folder, held));
  writeFileSync(join(folder, held, "tls.crt"), cert);
  writeFileSync(join(folder, held, "tls.key"), key);
  symlinkSync(held, join(folder, "..data_tmp"));
  renameSync(join(folder, "..data_tmp"), join(folder, "..data"));
}

test("every swap of a Kubernetes volume is noticed, with requests running all the time", async () => {
  const generations = await Promise.all([0, 1, 2, 3].map((index) => identity(`generation ${index}`)));
  await serving({
    policies: POLICIES,
    tls: false,
    flags: ["--cert-file", "volume/tls.crt", "--key-file", "volume/tls.key"],
    prepare: (folder) => {
      mkdirSync(join(folder, "volume"));
      swap(join(folder, "volume"), 0, generations[0]!);
      for (const name of ["tls.crt", "tls.key"]) {
        symlinkSync(join("..data", name), join(folder, "volume", name));
      }
    },
  }, async (plain) => {
    const server = { ...plain, port: plain.port, tls: true };
    let stop = false;
    let failed = 0, answered = 0;
    const load = Promise.all([1, 2].map(async () => {
      const connections = client(server, { connections: 2 });
      while (!stop) {
        const status = await connections.ask(REVIEW).then(({ status }) => status, () => 0);
        if (status === 200) answered++;
        else failed++;
      }
      connections.close();
    }));
    for (const [index, generation] of generations.entries()) {
      if (index > 0) swap(join(server.folder, "volume"), index, generation);
      const now = () => certificateOf(server).catch((error: Error) => error.message);
      await until(async () => await now() === `generation ${index}`, () => plain.stdout());
    }
    stop = true;
    await load;
    assert.is(failed, 0);
    assert.ok(answered > 0);
  });
});

test.run();
