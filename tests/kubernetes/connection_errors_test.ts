// What an operator reads when the cluster can't be reached: one line that names the file, the context or the missing thing and
// what to do, from the programs that ship, on exit code 1 where the program ends.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer, type RequestListener } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo, Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { createAuthority } from "../cluster/certificates.ts";
import { freePorts, until } from "../cluster/control_plane.ts";
import { bundleFile } from "../programs.ts";

type Context = { folder: string; servers: Server[] };
const test = suite<Context>("connection errors", {} as Context);

test.before((context) => {
  context.folder = mkdtempSync(join(tmpdir(), "portreeve-connection-"));
  context.servers = [];
});
test.after(({ folder, servers }) => {
  for (const server of servers) server.close();
  rmSync(folder, { recursive: true, force: true });
});

const text = (server: string, more: object = {}) =>
  JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": "dev",
    contexts: [{ name: "dev", context: { cluster: "there", user: "me" } }],
    clusters: [{ name: "there", cluster: { server, ...more } }],
    users: [{ name: "me", user: { token: "t" } }],
  });

function listen(server: Server, servers: Server[]): Promise<number> {
  servers.push(server);
  return new Promise((resolve) =>
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port))
  );
}

/** An API server that gives one answer to everything. */
const answering = (status: number, body: string | object): RequestListener => (_request, response) => {
  response.writeHead(status, {
    "content-type": typeof body === "string" ? "text/plain" : "application/json",
  });
  response.end(typeof body === "string" ? body : JSON.stringify(body));
};

/** An API server that knows no custom resources; everything else is empty. */
const withoutCrds: RequestListener = (request, response) => {
  if (request.url!.includes("policies.kubewarden.io")) {
    return answering(404, "404 page not found\n")(request, response);
  }
  if (request.url!.includes("watch=true")) return void response.writeHead(200).flushHeaders();
  answering(200, { kind: "List", metadata: { resourceVersion: "1" }, items: [] })(request, response);
};

const forbidden = {
  kind: "Status",
  status: "Failure",
  reason: "Forbidden",
  message:
    'policyservers.policies.kubewarden.io is forbidden: User "me" cannot list resource "policyservers"',
  code: 403,
};

type Ended = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

function start(args: readonly string[], env: Record<string, string>) {
  const child: ChildProcess = spawn(process.execPath, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env["PATH"], ...env },
  });
  let stdout = "", stderr = "";
  child.stdout!.setEncoding("utf8").on("data", (part) => stdout += part);
  child.stderr!.setEncoding("utf8").on("data", (part) => stderr += part);
  const ended = new Promise<Ended>((resolve) =>
    child.once("close", (code) => resolve({ code, stdout, stderr: stderr.replaceAll('\\"', '"') }))
  );
  return { child, ended, stderr: () => stderr };
}

/** Kubeconfigs that lead nowhere, and what must be said of each besides its file's name. */
const FILES: readonly (readonly [name: string, content: string | undefined, says: RegExp])[] = [
  ["absent", undefined, /does not exist/],
  ["malformed", "a: b\n c: [\n", /cannot be read: /],
  ["empty", "", /names no current-context \(it has no contexts\)/],
  ["prose", "just text", /cannot be read: it must be a map, it is a string/],
  ["no-context", "current-context: nowhere\ncontexts: []\nclusters: []\nusers: []", /no context "nowhere"/],
  [
    "no-cluster",
    "current-context: a\ncontexts: [{name: a, context: {cluster: gone, user: u}}]\nclusters: []\nusers: [{name: u, user: {}}]",
    /names the cluster "gone", which is absent/,
  ],
  [
    "no-user",
    'current-context: a\ncontexts: [{name: a, context: {cluster: c, user: gone}}]\nclusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]\nusers: []',
    /names the user "gone", which is absent/,
  ],
  ["no-url", text("there.example"), /"there.example", which is no http or https URL/],
];

test("a kubeconfig that can't be used: the controller and the scanner name it and end with 1", async ({ folder }) => {
  const runs = FILES.flatMap(([name, content, says]) => {
    const file = join(folder, name);
    if (content !== undefined) writeFileSync(file, content);
    const controller = [
      bundleFile("controller"),
      "--deployments-namespace=kubewarden",
      `--kubeconfig=${file}`,
    ];
    return [
      { name, file, says, ...start([bundleFile("audit")], { HOME: folder, KUBECONFIG: file }) },
      { name, file, says, ...start(controller, { HOME: folder }) },
    ];
  });
  for (const { name, file, says, ended } of runs) {
    const { code, stderr, stdout } = await ended;
    assert.is(code, 1, `${name}: ${stderr}`);
    assert.is(stdout, "", name);
    assert.is(stderr.trim().split("\n").length, 1, stderr);
    assert.ok(stderr.includes(file), `${name}: ${stderr}`);
    assert.match(stderr, says);
  }
});

test("no kubeconfig and no service account: what was looked for, and what to give", async ({ folder }) => {
  for (
    const args of [[bundleFile("audit")], [bundleFile("controller"), "--deployments-namespace=kubewarden"]]
  ) {
    const { code, stderr } = await start(args, { HOME: join(folder, "nobody") }).ended;
    assert.is(code, 1, stderr);
    assert.match(
      stderr,
      /no Kubernetes cluster is known: give a kubeconfig \(flag --kubeconfig or variable KUBECONFIG\)/,
    );
    assert.is(stderr.trim().split("\n").length, 1, stderr);
  }
});

/** API servers that can't be used. */
async function clusters({ folder, servers }: Context) {
  const authority = await createAuthority("another-ca");
  const { cert, key } = await authority.issue({ commonName: "127.0.0.1", dns: ["127.0.0.1"] });
  const other = await createAuthority("expected-ca");
  const secure = await listen(
    createHttpsServer({ cert, key }, answering(200, "")) as unknown as Server,
    servers,
  );
  const [closed] = await freePorts(1) as [number];
  const plain = (status: number, body: string | object) =>
    listen(createHttpServer(answering(status, body)), servers);
  const unauthorized = {
    kind: "Status",
    status: "Failure",
    reason: "Unauthorized",
    message: "Unauthorized",
    code: 401,
  };
  const cases: readonly (readonly [name: string, kubeconfig: string, says: RegExp])[] = [
    [
      "refused",
      text(`https://127.0.0.1:${closed}`),
      /cannot be reached: nothing listens there .*check the server of context "dev"/,
    ],
    [
      "untrusted",
      text(`https://127.0.0.1:${secure}`, { "certificate-authority-data": btoa(other.cert) }),
      /is not signed by the authority of context "dev".*certificate-authority-data/,
    ],
    [
      "unauthorized",
      text(`http://127.0.0.1:${await plain(401, unauthorized)}`),
      /does not accept the credentials of context "dev"/,
    ],
    [
      "forbidden",
      text(`http://127.0.0.1:${await plain(403, forbidden)}`),
      /cannot list resource "policyservers"/,
    ],
    [
      "no-crds",
      text(`http://127.0.0.1:${await listen(createHttpServer(withoutCrds), servers)}`),
      /custom resource definition [a-z]+\.policies\.kubewarden\.io is not installed.*install the portreeve-crds chart/,
    ],
  ];
  return cases.map(([name, kubeconfig, says]) => {
    const file = join(folder, `cluster-${name}`);
    writeFileSync(file, kubeconfig);
    return { name, file, says };
  });
}

test("a cluster that can't be used: the scanner says why and ends with 1, without a summary", async (context) => {
  for (const { name, file, says } of await clusters(context)) {
    // Legacy reports are looked for first where reports are stored.
    const { code, stdout, stderr } = await start(
      [bundleFile("audit"), "--disable-store"],
      { HOME: context.folder, KUBECONFIG: file },
    ).ended;
    assert.is(code, 1, `${name}: ${stderr}`);
    assert.match(stderr, says);
    assert.is(stderr.trim().split("\n").length, 1, stderr);
    assert.not.match(stdout, /scan summary/);
  }
});

test("a cluster that can't be used: the controller says why in one line for all watches, and is not ready", async (context) => {
  const certificates = join(context.folder, "serving");
  const { mkdirSync } = await import("node:fs");
  mkdirSync(certificates);
  const authority = await createAuthority("webhooks");
  const { cert, key } = await authority.issue({ commonName: "127.0.0.1", dns: ["127.0.0.1"] });
  writeFileSync(join(certificates, "tls.crt"), cert);
  writeFileSync(join(certificates, "tls.key"), key);
  const errors = (log: string) => log.split("\n").filter((line) => line.includes('"level":"error"'));
  for (const { name, file, says } of await clusters(context)) {
    const [webhooks, probes] = await freePorts(2) as [number, number];
    const { child, ended, stderr } = start([
      bundleFile("controller"),
      "--deployments-namespace=kubewarden",
      `--kubeconfig=${file}`,
      `--webhook-server-port=${webhooks}`,
      `--health-probe-bind-address=127.0.0.1:${probes}`,
      "--metrics-bind-address=0",
    ], { HOME: context.folder, PORTREEVE_WEBHOOK_CERTIFICATES: certificates });
    try {
      await until(`${name}: an error is logged`, () => errors(stderr()).length > 0);
      const ready = await until("the probes answer", async () => {
        const answer = await fetch(`http://127.0.0.1:${probes}/readyz`);
        return { status: answer.status, body: await answer.text() };
      });
      assert.is(ready.status, 500);
      assert.match(ready.body, says);
      assert.is(errors(stderr()).length, 1, stderr());
      assert.match(errors(stderr())[0]!.replaceAll('\\"', '"'), says);
    } finally {
      child.kill("SIGTERM");
      await ended;
    }
  }
});

test.run();
