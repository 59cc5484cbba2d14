/**
 * Kubeconfigs as people have them. The right answers are those of kubectl (client-go `tools/clientcmd`, `plugin/pkg/client/auth/exec`,
 * `transport`): what it honours is honoured, and what is not supported here is an error that names the field.
 */
import { createPrivateKey } from "node:crypto";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer, type IncomingMessage } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { type AddressInfo, createServer as createTcpServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import process from "node:process";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { connect } from "../../kubernetes/apply/api_transport.ts";
import { loadKubeconfig } from "../../kubernetes/apply/kubeconfig.ts";
import { startProxy } from "../artifact/_server.ts";
import { createAuthority } from "../cluster/certificates.ts";
import { config, put } from "./kubeconfig_file.ts";

const V1 = "client.authentication.k8s.io/v1";

type Seen = { readonly raw: readonly string[]; readonly url: string; readonly client: string | undefined };
type Context = {
  folder: string;
  servers: Server[];
  ca: string;
  https: string;
  http: string;
  seen: Seen[];
  /** Answers with 401 until a request has this token. */
  wanted: string | undefined;
  client: { cert: string; key: string };
};
const test = suite<Context>("kubeconfig", {} as Context);

test.before(async (context) => {
  context.folder = mkdtempSync(join(tmpdir(), "portreeve-kubeconfig-"));
  context.seen = [];
  const authority = await createAuthority("kubeconfig tests");
  const { cert, key } = await authority.issue({
    commonName: "server",
    dns: ["localhost", "api.test", "127.0.0.1"],
  });
  context.client = await authority.issue({ commonName: "jane" });
  context.ca = authority.cert;
  const answer = (request: IncomingMessage, response: import("node:http").ServerResponse) => {
    // Bun does not tell the certificate's subject; Jane's is the only one of this authority.
    const { authorized } = request.socket as unknown as { authorized?: boolean };
    context.seen.push({
      raw: request.rawHeaders,
      url: request.url ?? "",
      client: authorized ? "jane" : undefined,
    });
    const known = context.wanted === undefined ||
      request.headers.authorization === `Bearer ${context.wanted}`;
    response.writeHead(known ? 200 : 401, { "content-type": "application/json" });
    response.end("{}");
  };
  const secure = createHttpsServer({
    cert,
    key,
    ca: authority.cert,
    requestCert: true,
    rejectUnauthorized: false,
  }, answer);
  const plain = createHttpServer(answer);
  context.servers = [secure, plain];
  for (const server of context.servers) {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  }
  const port = (server: Server) => (server.address() as AddressInfo).port;
  context.https = `https://127.0.0.1:${port(secure)}`;
  context.http = `http://127.0.0.1:${port(plain)}`;
});
test.before.each((context) => {
  context.seen.length = 0;
  context.wanted = undefined;
});
test.after(({ folder, servers }) => {
  for (const server of servers) {
    (server as unknown as { closeAllConnections?: () => void }).closeAllConnections?.();
    server.close();
  }
  rmSync(folder, { recursive: true, force: true });
});

/** The values of a header, one for each line that was sent. */
const lines = ({ raw }: Seen, name: string): readonly string[] =>
  raw.flatMap((value, index) =>
    index % 2 === 1 && raw[index - 1]!.toLowerCase() === name.toLowerCase() ? [value] : []
  );

/** A block that says it is a certificate. */
const certificate = (content: string) =>
  `-----BEGIN CERTIFICATE-----\n${content}\n-----END CERTIFICATE-----\n`;
const base64 = (text: string) => Buffer.from(text).toString("base64");
const secured = (context: Context, more: object = {}) => ({
  server: context.https,
  "certificate-authority-data": base64(context.ca),
  ...more,
});

/** Sends one request as a kubeconfig says; what the server saw. */
async function ask(context: Context, content: object | string): Promise<Seen> {
  const transport = await connect({
    kubeconfig: typeof content === "string" ? content : put(context, content),
  });
  try {
    const response = await transport.request({ method: "GET", path: "/version" });
    await response.text();
    return context.seen.at(-1)!;
  } finally {
    transport.close();
  }
}

const refusal = async (promise: Promise<unknown>): Promise<string> => {
  try {
    await promise;
  } catch (error) {
    assert.is((error as Error).name, "KubeconfigError", String(error));
    return (error as Error).message;
  }
  throw new Error("it should have failed");
};

test("who we are: tokens, files, certificates, passwords", async (context) => {
  const { folder, client } = context;
  writeFileSync(join(folder, "token.txt"), "from-file\n");
  writeFileSync(join(folder, "client.pem"), client.cert);
  writeFileSync(join(folder, "client.key"), client.key);
  const rows: readonly (readonly [string, object, string | undefined, string | undefined])[] = [
    ["a token", { token: "t" }, "Bearer t", undefined],
    ["a token file beside the kubeconfig", { tokenFile: "token.txt" }, "Bearer from-file", undefined],
    [
      "a token file by its whole path",
      { tokenFile: join(folder, "token.txt") },
      "Bearer from-file",
      undefined,
    ],
    ["a token file before a token", { token: "t", tokenFile: "token.txt" }, "Bearer from-file", undefined],
    ["a name and a password", { username: "a", password: "b:c" }, `Basic ${base64("a:b:c")}`, undefined],
    [
      "null members",
      { token: "t", as: null, exec: null, "as-groups": null, "auth-provider": null },
      "Bearer t",
      undefined,
    ],
    [
      "a client certificate",
      { "client-certificate-data": base64(client.cert), "client-key-data": base64(client.key) },
      undefined,
      "jane",
    ],
    [
      "a client certificate in files",
      { "client-certificate": "client.pem", "client-key": "client.key" },
      undefined,
      "jane",
    ],
    ["nobody", {}, undefined, undefined],
  ];
  for (const [what, user, authorization, name] of rows) {
    const seen = await ask(context, config(secured(context), user));
    assert.is(lines(seen, "authorization")[0], authorization, what);
    assert.is(seen.client, name, what);
  }
});

test("a token file that is rotated is read again", async (context) => {
  const path = join(context.folder, "rotated.txt");
  writeFileSync(path, "first");
  const { credentials } = await loadKubeconfig(
    put(context, config(secured(context), { tokenFile: "rotated.txt" })),
  );
  assert.is((await credentials()).headers["Authorization"], "Bearer first");
  writeFileSync(path, "second");
  assert.is((await credentials()).headers["Authorization"], "Bearer second");
});

test("whom we act as: a line for each group, names with commas included", async (context) => {
  const seen = await ask(
    context,
    config(secured(context), {
      token: "t",
      as: "jane",
      "as-uid": "7",
      "as-groups": ["dev", "a, b", "system:masters"],
      "as-user-extra": { "example.org/Scopes": ["x", "y"], reason: ["z"] },
    }),
  );
  assert.equal(lines(seen, "impersonate-user"), ["jane"]);
  assert.equal(lines(seen, "impersonate-uid"), ["7"]);
  assert.equal(lines(seen, "impersonate-group"), ["dev", "a, b", "system:masters"]);
  assert.equal(lines(seen, "impersonate-extra-example.org%2fscopes"), ["x", "y"]);
  assert.equal(lines(seen, "impersonate-extra-reason"), ["z"]);
});

test("whom we act as: names that are no ASCII are sent as UTF-8, with a body and without", async (context) => {
  const seen: string[] = [];
  const server = createTcpServer((socket) => {
    socket.on("data", (bytes) => {
      const names = bytes.toString("utf8").split("\r\n").filter((line) => /^impersonate-/i.test(line));
      if (names.length > 0) seen.push(names.map((line) => line.split(": ")[1]).join(" | "));
      if (bytes.includes("\r\n\r\n")) {
        socket.end("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}");
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  for (
    const [user, expected] of [
      [{ as: "jürgen-日本" }, "jürgen-日本"],
      [{ as: "jane", "as-groups": ["ä, ö", "日本"] }, "jane | ä, ö | 日本"],
    ] as const
  ) {
    const transport = await connect({
      kubeconfig: put(context, config({ server: `http://127.0.0.1:${port}` }, user)),
    });
    for (const body of [undefined, JSON.stringify({ a: "ü" })]) {
      const response = await transport.request({
        method: body === undefined ? "GET" : "POST",
        path: "/version",
        ...(body === undefined ? {} : { body, headers: { "content-type": "application/json" } }),
      });
      await response.text();
      assert.is(seen.pop(), expected);
    }
    transport.close();
  }
  server.close();
});

test("where the server is: plain HTTP, a path, another name in its certificate", async (context) => {
  assert.is((await ask(context, config({ server: context.http }, {}))).url, "/version");
  assert.is(
    (await ask(context, config({ server: `${context.http}/clusters/one/` }, {}))).url,
    "/clusters/one/version",
  );
  const named = secured(context, { "tls-server-name": "api.test" });
  assert.is((await ask(context, config(named, {}))).url, "/version");
  for (const name of ["127.0.0.1", "[127.0.0.1]", "API.test"]) {
    const addressed = secured(context, { "tls-server-name": name });
    assert.is((await ask(context, config(addressed, {}))).url, "/version", name);
  }
  const other = await connect({
    kubeconfig: put(context, config(secured(context, { "tls-server-name": "other.test" }), {})),
  });
  const failed = await other.request({ method: "GET", path: "/version" }).then(
    () => "answered",
    () => "refused",
  );
  other.close();
  assert.is(failed, "refused", "a name that is not in the certificate");
  const blind = { server: context.https, "insecure-skip-tls-verify": true };
  assert.is((await ask(context, config(blind, {}))).url, "/version");
  // As Windows' tools, openssl x509 -text and editors leave an authority's file.
  const stranger = (await createAuthority("stranger")).cert;
  for (
    const [what, text] of [
      ["a byte order mark", `\uFEFF${context.ca}`],
      ["line ends of Windows", context.ca.replaceAll("\n", "\r\n")],
      ["text around it", `Certificate:\n    Data: x\n${context.ca}end\n`],
      ["text before it in its line", `ca: ${context.ca}`],
      ["another authority before it", `${stranger}\n${context.ca}`],
      ["no line end between two", `${context.ca.trimEnd()}${stranger}`],
      // A block that can't be read spoils only itself (Go, `x509.CertPool.AppendCertsFromPEM`).
      ["a block that is no certificate before it", `${certificate("AAAA")}${context.ca}`],
      ["a block that is no base64 before it", `${certificate("%%%")}${context.ca}`],
      ["an empty block behind it", `${context.ca}${certificate("")}`],
      ["a block that was cut off before it", `${stranger.slice(0, 200)}\n${context.ca}`],
      ["a certificate with another's end before it", `${certificate(stranger.slice(30, 300))}${context.ca}`],
      ["a key before it", `${context.client.key}${context.ca}`],
      ["all of its base64 in one line", certificate(context.ca.replace(/-----.*-----|\s/g, ""))],
    ] as const
  ) {
    const named = { server: context.https, "certificate-authority-data": base64(text) };
    assert.is((await ask(context, config(named, {}))).url, "/version", what);
  }
  // Nobody else is trusted in the place of what can't be read.
  for (
    const text of [
      `\uFEFF${stranger}`,
      `${certificate("AAAA")}${stranger}`,
      `${
        context.ca.replace("CERTIFICATE-----\n", "CERTIFICATE-----\nProc-Type: 4,ENCRYPTED\n\n")
      }${stranger}`,
    ]
  ) {
    const unknown = { server: context.https, "certificate-authority-data": base64(text) };
    const refused = await connect({ kubeconfig: put(context, config(unknown, {})) });
    assert.is(
      await refused.request({ method: "GET", path: "/version" }).then(() => "answered", () => "refused"),
      "refused",
      text.slice(0, 80),
    );
    refused.close();
  }
  for (const text of [certificate("AAAA"), context.client.key, certificate("AAAA") + context.client.key]) {
    const none = { server: context.https, "certificate-authority-data": base64(text) };
    const loaded = await loadKubeconfig(put(context, config(none, {})));
    assert.match(
      await refusal(loaded.credentials()),
      /certificate-authority holds no certificate in PEM that can be read$/,
    );
  }
});

test("through which proxy", async (context) => {
  const proxy = await startProxy();
  const login = await startProxy("me:secret");
  const saved = { ...process.env };
  try {
    const through = async (content: object, used: typeof proxy) => {
      await used.reset();
      await ask(context, content);
      const count = used.seen.length;
      await used.reset();
      return count;
    };
    assert.is(
      await through(config(secured(context, { "proxy-url": proxy.url }), { token: "t" }), proxy),
      1,
      "https",
    );
    assert.is(await through(config({ server: context.http, "proxy-url": proxy.url }, {}), proxy), 1, "http");
    assert.is(
      await through(config(secured(context, { "proxy-url": login.url }), {}), login),
      1,
      "with a login",
    );
    process.env["HTTPS_PROXY"] = proxy.url;
    process.env["HTTP_PROXY"] = proxy.url;
    assert.is(
      await through(config(secured(context), {}), proxy),
      0,
      "the environment's is not for this machine itself",
    );
    process.env["NO_PROXY"] = "*";
    const named = config(secured(context, { "proxy-url": proxy.url }), {});
    assert.is(await through(named, proxy), 1, "no_proxy is not for proxy-url");
  } finally {
    process.env = saved;
    await Promise.all([proxy.stop(), login.stop()]);
  }
  const env = (more: Record<string, string>) => ({ HOME: "/nonexistent", ...more });
  const file = put(context, config({ server: "https://api.test:6443" }, {}));
  const found = async (more: Record<string, string>) => (await loadKubeconfig(file, env(more))).proxy;
  assert.is(await found({}), undefined);
  assert.is(await found({ HTTPS_PROXY: "http://p.test:1" }), "http://p.test:1");
  assert.is(await found({ https_proxy: "p.test:1" }), "http://p.test:1");
  assert.is(await found({ HTTP_PROXY: "http://p.test:1" }), undefined);
  assert.is(await found({ HTTPS_PROXY: "http://p.test:1", NO_PROXY: ".test" }), undefined);
  assert.is(await found({ HTTPS_PROXY: "http://p.test:1", NO_PROXY: "api.test:443" }), "http://p.test:1");
  assert.is(await found({ HTTPS_PROXY: "socks5://p.test:1" }), "socks5://p.test:1");
  // A domain that begins with a dot is not the domain itself for Go's programs.
  assert.is(await found({ HTTPS_PROXY: "http://p.test:1", NO_PROXY: ".api.test" }), "http://p.test:1");
  assert.match(
    await refusal(found({ HTTPS_PROXY: "socks4://me:secret@p.test:1" })),
    /^the variable https_proxy names a socks4:\/\/ proxy, which is not supported: give an http/,
  );
  const socks = put(
    context,
    config({ server: "https://api.test", "proxy-url": "socks4://me:secret@p.test" }, {}),
  );
  const text = await refusal(loadKubeconfig(socks));
  assert.match(text, /proxy-url names a socks4:\/\/ proxy, which is not supported/);
  assert.not.match(text, "secret");
});

test("several files: the first that says something counts", async (context) => {
  const first = put(
    context,
    config(secured(context), { token: "first" }, { "current-context": null, contexts: null }),
  );
  const second = put(
    context,
    config({ server: "https://wrong.test" }, { token: "second" }, { "current-context": "c" }),
  );
  const third = put(context, config({ server: "https://wrong.test" }, {}, { "current-context": "other" }));
  const broken = put(context, "{");
  const empty = put(context, "");
  const from = async (...listed: string[]) => {
    const loaded = await loadKubeconfig(undefined, {
      HOME: "/nonexistent",
      KUBECONFIG: listed.join(delimiter),
    });
    return `${loaded.server} ${(await loaded.credentials()).headers["Authorization"]}`;
  };
  const expected = `${context.https} Bearer first`;
  assert.is(await from(first, second, third), expected);
  assert.is(await from("/nonexistent/config", first, second), expected, "files that are not there");
  assert.is(await from("", first, "", second, ""), expected, "empty names");
  assert.is(await from(empty, first, second), expected, "an empty file");
  assert.match(
    await refusal(from(first, broken)),
    new RegExp(`^the kubeconfig ${broken} cannot be read: it is not valid YAML`),
  );
  assert.match(await refusal(from("/nonexistent/a", "/nonexistent/b")), /does not exist/);
  // As `$A:$B` of unset variables gives: another cluster than kubectl's must not be taken for it.
  const home = put(context, config(secured(context), { token: "home" }), "home/.kube/config");
  const HOME = dirname(dirname(home));
  assert.is((await loadKubeconfig(undefined, { HOME, KUBECONFIG: "" })).server, context.https);
  for (const KUBECONFIG of [delimiter, delimiter.repeat(3)]) {
    assert.is(
      await refusal(loadKubeconfig(undefined, { HOME, KUBECONFIG })),
      "the variable KUBECONFIG names no file: name one, or unset it",
    );
  }
});

test("a secret in the place of something else is not quoted", async (context) => {
  const { client } = context;
  const jwt = `eyJhbGciOiJSUzI1NiJ9.${base64("s3cret".repeat(20)).replaceAll("=", "")}.c2lnbmF0dXJl`;
  const fields = { "client-certificate-data": base64(client.cert) };
  const rows: readonly (readonly [string, object, object, RegExp, string])[] = [
    [
      "a token in the place of its file",
      {},
      { tokenFile: jwt },
      /tokenFile names no file .* or its content in token$/,
      jwt,
    ],
    [
      "a short token in the place of its file",
      {},
      { tokenFile: "abcdef.0123456789abcdef" },
      /tokenFile names no file/,
      "0123",
    ],
    [
      "a key in the place of its file",
      {},
      { ...fields, "client-key": client.key },
      /client-key names no file .* or its content in client-key-data$/,
      "BEGIN",
    ],
    [
      "base64 in the place of a file",
      {},
      { ...fields, "client-key": base64(client.key) },
      /client-key names no file/,
      base64(client.key).slice(0, 40),
    ],
    [
      "an authority in the place of its file",
      { server: context.https, "certificate-authority": context.ca },
      {},
      /certificate-authority names no file/,
      "BEGIN",
    ],
    [
      "a secret as a field",
      {},
      { "token=s3cret": true },
      /user "u" has a key that is no field of a kubeconfig/,
      "s3cret",
    ],
    [
      "a secret as an extra",
      {},
      { as: "a", "as-user-extra": { s3cret: "x" } },
      /as-user-extra, member 1, must be a list/,
      "s3cret",
    ],
    [
      "a token whose file begins in the home folder, as shells know it",
      {},
      { tokenFile: "~/token" },
      /tokenFile names .*\/~\/token, which cannot be read \(ENOENT\)$/,
      "secret",
    ],
    [
      "a secret in an extra's list",
      {},
      { as: "a", "as-user-extra": { s3cret: [7] } },
      /as-user-extra, member 1,\[0\] must be a text/,
      "s3cret",
    ],
    [
      "a command with its arguments",
      {},
      { exec: { apiVersion: V1, command: "no-such-plugin --password=s3cret", interactiveMode: "Never" } },
      /the exec plugin "no-such-plugin" of user "u" is not there: write what follows the program's name into args/,
      "s3cret",
    ],
    [
      "a zero byte in a plugin's environment",
      {},
      {
        exec: {
          apiVersion: V1,
          command: "/bin/true",
          interactiveMode: "Never",
          env: [{ name: "A", value: "s3cret\0" }],
        },
      },
      /has a zero byte in its args or its env: remove it/,
      "s3cret",
    ],
  ];
  for (const [what, cluster, user, expected, hidden] of rows) {
    const file = put(context, config("server" in cluster ? cluster : secured(context, cluster), user));
    const text = await refusal(loadKubeconfig(file).then(({ credentials }) => credentials()));
    assert.match(text, expected, what);
    assert.not.ok(text.includes(hidden), `${what}: ${text}`);
    assert.ok(text.length < 700 && !text.includes("\n"), `${what}: ${text}`);
  }
  const named = `c${"x".repeat(5000)}`;
  const long = await refusal(
    loadKubeconfig(put(context, config(secured(context), {}, { "current-context": named }))),
  );
  assert.ok(long.length < 700, long.slice(0, 300));
});

const PLUGIN = `#!/bin/sh
echo "$KUBERNETES_EXEC_INFO" > "$0.info"
echo x >> "$0.runs"
printf '%s' "$PLUGIN_ANSWER"
echo "secret chatter" >&2
exit \${PLUGIN_EXIT:-0}
`;

const answerOf = (status: object, more: object = {}) =>
  JSON.stringify({ kind: "ExecCredential", apiVersion: V1, status, ...more });

test("exec plugins: relative commands, what they are told, and how long their answer holds", async (context) => {
  const { readFileSync } = await import("node:fs");
  const plugin = put(context, PLUGIN, "bin/plugin");
  chmodSync(plugin, 0o755);
  const user = (answer: string, more: object = {}) => ({
    exec: {
      apiVersion: V1,
      command: "bin/plugin",
      env: [{ name: "PLUGIN_ANSWER", value: answer }],
      interactiveMode: "Never",
      ...more,
    },
  });
  const cluster = secured(context, {
    extensions: [{ name: "client.authentication.k8s.io/exec", extension: { audience: "x" } }],
  });
  assert.is(
    lines(
      await ask(context, config(cluster, user(answerOf({ token: "p" }), { provideClusterInfo: true }))),
      "authorization",
    )[0],
    "Bearer p",
  );
  const info = JSON.parse(readFileSync(`${plugin}.info`, "utf8"));
  assert.equal([info.kind, info.apiVersion, info.spec.interactive], ["ExecCredential", V1, false]);
  assert.is(info.spec.cluster.server, context.https);
  assert.is(info.spec.cluster["certificate-authority-data"], base64(context.ca));
  assert.equal(info.spec.cluster.config, { audience: "x" });
  await ask(context, config(cluster, user(answerOf({ token: "p" }))));
  assert.is(JSON.parse(readFileSync(`${plugin}.info`, "utf8")).spec.cluster, undefined);
  // client-go's decoder takes YAML as well.
  const yaml = (more: string) => `apiVersion: ${V1}\nkind: ExecCredential\n${more}`;
  for (
    const [what, answer] of [
      ["YAML", yaml("status:\n  token: tok\n")],
      ["a flow at its key's column", yaml("status: {\ntoken: tok\n}\n")],
      ["binary", yaml("status:\n  token: !!binary dG9r\n")],
      ["a time without quotes", yaml("status:\n  token: tok\n  expirationTimestamp: 2099-01-01T00:00:00Z\n")],
      ["no kind", JSON.stringify({ apiVersion: V1, status: { token: "tok" } })],
      [
        "a fraction behind a comma",
        answerOf({ token: "tok", expirationTimestamp: "2099-01-01T00:00:00,5+02:00" }),
      ],
      [
        "null members",
        answerOf({ token: "tok", expirationTimestamp: null, clientKeyData: null }, { spec: null }),
      ],
    ] as const
  ) {
    assert.is(
      lines(await ask(context, config(cluster, user(answer))), "authorization")[0],
      "Bearer tok",
      what,
    );
  }
  const certified = answerOf({
    clientCertificateData: context.client.cert,
    clientKeyData: context.client.key,
  });
  assert.is((await ask(context, config(cluster, user(certified)))).client, "jane");

  const runs = async (status: object, refused = false) => {
    writeFileSync(`${plugin}.runs`, "");
    const { credentials } = await loadKubeconfig(put(context, config(cluster, user(answerOf(status)))));
    await credentials();
    await credentials(refused);
    return readFileSync(`${plugin}.runs`, "utf8").trim().split("\n").length;
  };
  const inAnHour = new Date(Date.now() + 3_600_000).toISOString();
  assert.is(await runs({ token: "p" }), 1, "no expiry");
  assert.is(await runs({ token: "p", expirationTimestamp: inAnHour }), 1, "an hour left");
  assert.is(await runs({ token: "p", expirationTimestamp: new Date().toISOString() }), 2, "expired");
  assert.is(await runs({ token: "p" }, true), 2, "refused by the server");

  context.wanted = "p2";
  const transport = await connect({
    kubeconfig: put(context, config(cluster, user(answerOf({ token: "p" })))),
  });
  writeFileSync(`${plugin}.runs`, "");
  for (let request = 0; request < 2; request++) {
    const response = await transport.request({ method: "GET", path: "/version" });
    assert.is(response.status, 401);
    await response.text();
  }
  transport.close();
  assert.is(readFileSync(`${plugin}.runs`, "utf8").trim().split("\n").length, 2, "asked again after 401");
});

test("exec plugins that fail are named, and nothing of what they print is told", async (context) => {
  const plugin = put(context, PLUGIN, "bin/other-plugin");
  chmodSync(plugin, 0o755);
  const exec = (answer: string, more: object = {}, env: readonly object[] = []) => ({
    exec: {
      apiVersion: V1,
      command: plugin,
      interactiveMode: "Never",
      env: [{ name: "PLUGIN_ANSWER", value: answer }, ...env],
      ...more,
    },
  });
  const rows: readonly (readonly [string, object, RegExp])[] = [
    [
      "missing",
      exec("", { command: "no-such-plugin", installHint: "brew install it" }),
      /is not there: install it, or correct its path: brew install it/,
    ],
    ["missing beside the file", exec("", { command: "./no-such-plugin" }), /is not there/],
    [
      "failing",
      exec("secret", {}, [{ name: "PLUGIN_EXIT", value: "3" }]),
      /ended with code 3: run it by hand to see why/,
    ],
    ["no JSON", exec("secret"), /did not answer with JSON/],
    ["null", exec("null"), /did not answer with an ExecCredential/],
    ["words", exec("Please log in: secret"), /did not answer with an? /],
    [
      "a token of two lines",
      exec(answerOf({ token: "secret\nsecret" })),
      /a token that has the end of a line in it/,
    ],
    ["YAML that is none", exec("secret: ["), /did not answer with JSON/],
    [
      "another version",
      exec(answerOf({ token: "secret" }, { apiVersion: "client.authentication.k8s.io/v1beta1" })),
      /did not answer with an ExecCredential of client\.authentication\.k8s\.io\/v1/,
    ],
    ["nothing in it", exec(answerOf({})), /neither a token nor a client certificate/],
    ["half a certificate", exec(answerOf({ clientCertificateData: "secret" })), /without its key/],
    ...["soon", 4070908800, "2099-02-30T00:00:00Z", "2099-01-01T25:00:00Z", "2099-01-01T00:00:00", true, []]
      .map((
        expirationTimestamp,
      ) =>
        [
          `a time that is none: ${expirationTimestamp}`,
          exec(answerOf({ token: "secret", expirationTimestamp })),
          /expirationTimestamp that is none/,
        ] as const
      ),
    [
      "YAML whose token is true for kubectl",
      exec(`apiVersion: ${V1}\nstatus: {token: yes}\n`),
      /neither a token nor/,
    ],
    ["YAML with no blank", exec(`apiVersion: ${V1}\nstatus: {token:secret}\n`), /neither a token nor/],
    [
      "one that must ask a person",
      exec(answerOf({ token: "secret" }), { interactiveMode: "Always" }),
      /interactiveMode "Always"/,
    ],
  ];
  for (const [what, user, expected] of rows) {
    const { credentials } = await loadKubeconfig(put(context, config(secured(context), user)));
    const text = await refusal(credentials());
    // `spawn` of Node 24 leaves its timer where a program could not be started: a minute in which nothing ends.
    assert.not(process.getActiveResourcesInfo().includes("Timeout"), `${what}: a timer holds the process`);
    assert.match(text, /^the exec plugin ".*" of user "u" /, what);
    assert.match(text, expected, what);
    assert.not.match(text, "secret", what);
    assert.is(await refusal(credentials()), text, `${what}, asked again`);
  }
  const mixed = answerOf({ clientCertificateData: context.client.cert, clientKeyData: "secret" });
  const { credentials } = await loadKubeconfig(put(context, config(secured(context), exec(mixed))));
  for (const time of ["first", "second"]) {
    const text = await refusal(credentials());
    assert.match(text, /of user "u": the client certificate and its key are no pair/, time);
    assert.not.match(text, "secret", time);
  }
});

test("what is not supported, or broken, is named with its file; a broken entry that is not used spoils nothing", async (context) => {
  const rows: readonly (readonly [string, object, object, RegExp])[] = [
    [
      "an auth provider",
      {},
      { "auth-provider": { name: "gcp" } },
      /user "u" has the field "auth-provider" \(gcp\), which is not supported here: install gke-gcloud-auth-plugin/,
    ],
    [
      "a field of the user",
      {},
      { tokenfile: "x" },
      /user "u" has the field "tokenfile", which is not supported here/,
    ],
    [
      "a field of the cluster",
      { "proxy-uri": "http://p" },
      {},
      /cluster "k" has the field "proxy-uri", which is not supported here/,
    ],
    [
      "groups without a user",
      {},
      { "as-groups": ["a"] },
      /user "u" has as-uid, as-groups or as-user-extra without "as"/,
    ],
    [
      "groups that are a text",
      {},
      { as: "a", "as-groups": "b" },
      /user "u"\.as-groups must be a list, it is a string/,
    ],
    [
      "a group that is a number",
      {},
      { as: "a", "as-groups": [7] },
      /user "u"\.as-groups\[0\] must be a text, it is a number/,
    ],
    ["a token that is a number", {}, { token: 7 }, /user "u"\.token must be a text, it is a number/],
    [
      "a flag that is a text",
      { "insecure-skip-tls-verify": "true" },
      {},
      /cluster "k"\.insecure-skip-tls-verify must be true or false/,
    ],
    ...["https://api.test", "api.test:443", "api.test/", " api.test", "[::1]:443"].map((name) =>
      [
        `a tls-server-name ${name}`,
        { "tls-server-name": name },
        {},
        /cluster "k"\.tls-server-name must be a name or an address alone/,
      ] as const
    ),
    [
      "an authority and none",
      { "insecure-skip-tls-verify": true, "certificate-authority": "x" },
      {},
      /kubectl refuses both together/,
    ],
    [
      "an old exec API",
      {},
      { exec: { apiVersion: "client.authentication.k8s.io/v1alpha1", command: "x" } },
      /user "u"\.exec\.apiVersion must be/,
    ],
    ["an exec without a command", {}, { exec: { apiVersion: V1 } }, /user "u"\.exec names no command/],
    [
      "a field of exec",
      {},
      { exec: { apiVersion: V1, command: "x", arguments: [] } },
      /user "u"\.exec has the field "arguments"/,
    ],
  ];
  for (const [what, cluster, user, expected] of rows) {
    const file = put(context, config({ server: "https://api.test", ...cluster }, user));
    const text = await refusal(loadKubeconfig(file));
    assert.ok(text.startsWith(`the kubeconfig ${file}: `), `${what}: ${text}`);
    assert.match(text, expected, what);
  }
  const key = createPrivateKey(context.client.key);
  for (const type of ["pkcs8", "sec1"] as const) {
    const encrypted = key.export({ type, format: "pem", cipher: "aes-128-cbc", passphrase: "s3cret" })
      .toString();
    const user = {
      "client-certificate-data": base64(context.client.cert),
      "client-key-data": base64(encrypted),
    };
    const loaded = await loadKubeconfig(put(context, config(secured(context), user)));
    assert.match(
      await refusal(loaded.credentials()),
      /are no pair in PEM that can be read: the key is encrypted, which is not supported: decrypt it with `openssl pkey -in/,
    );
  }
  const missing = put(context, config(secured(context), { tokenFile: "absent.txt" }));
  const text = await refusal((await loadKubeconfig(missing)).credentials());
  assert.is(
    text,
    `the kubeconfig ${missing}: tokenFile names ${
      join(context.folder, "absent.txt")
    }, which cannot be read (ENOENT)`,
  );
  const endless = put(context, config(secured(context), { tokenFile: "/dev/zero" }));
  assert.match(
    await refusal((await loadKubeconfig(endless)).credentials()),
    /tokenFile names \/dev\/zero, which cannot be read \(too large\)$/,
  );
  assert.match(await refusal(loadKubeconfig("/dev/zero")), /\/dev\/zero is larger than \d+ bytes$/);
  const spoiled = config(secured(context), { token: "t" }, {
    clusters: [null, 7, {}, { name: "x", cluster: null }, { name: "y", cluster: { server: 7 } }, {
      name: "k",
      cluster: secured(context),
    }],
    users: [null, { name: "v", user: { tokenfile: "x" } }, { name: "u", user: { token: "t" } }],
  });
  assert.is(lines(await ask(context, spoiled), "authorization")[0], "Bearer t");
  const secret = await refusal(
    loadKubeconfig(put(context, "users:\n- name: u\n  user: {token: s3cret, token: s3cret}\n")),
  );
  assert.match(secret, /a key stands twice in its map, at line 3/);
  assert.not.match(secret, "s3cret");
  const others = await refusal(loadKubeconfig(put(context, "kind: Pod\n")));
  assert.match(others, /it is a Pod, no Config/);
});

/** A kubeconfig as a text; `cluster` and `user` are flow maps. */
const written = (cluster: string, user: string, more = "") =>
  "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts:\n- {name: c, context: {cluster: k, user: u}}\n" +
  `clusters:\n- {name: k, cluster: ${cluster}}\nusers:\n- {name: u, user: ${user}}\n${more}`;

test("the text of a file, as kubectl 1.36 reads it (sigs.k8s.io/yaml, YAML 1.1) unless it says otherwise", async (context) => {
  const here = "{server: https://x.test}";
  const rows: readonly (readonly [string, string | Uint8Array, string | RegExp])[] = [
    ["YAML", written(here, "{token: t}"), "Bearer t verified"],
    ["a byte order mark", `\uFEFF${written(here, "{token: t}")}`, "Bearer t verified"],
    [
      "UTF-16, as Windows PowerShell writes it",
      Buffer.from(`\uFEFF${written(here, "{token: t}")}`, "utf16le"),
      "Bearer t verified",
    ],
    ["line ends of Windows", written(here, "{token: t}").replaceAll("\n", "\r\n"), "Bearer t verified"],
    ["marks around it", `---\n${written(here, "{token: t}")}---\n# end\n`, "Bearer t verified"],
    [
      "a second document",
      `${written(here, "{token: t}")}---\nkind: Config\n`,
      /more than one document, of which kubectl reads the first alone.*at line 10 column/,
    ],
    [
      "yes is true",
      written("{server: https://x.test, insecure-skip-tls-verify: yes}", "{token: t}"),
      "Bearer t",
    ],
    [
      "On is true",
      written("{server: https://x.test, insecure-skip-tls-verify: On}", "{token: t}"),
      "Bearer t",
    ],
    [
      "no is false",
      written("{server: https://x.test, insecure-skip-tls-verify: no}", "{token: t}"),
      "Bearer t verified",
    ],
    [
      "yes in quotes is a text",
      written('{server: https://x.test, insecure-skip-tls-verify: "yes"}', "{}"),
      /must be true or false/,
    ],
    ["a merge", `x-defaults: &d {token: t}\n${written(here, "{<<: *d}")}`, "Bearer t verified"],
    ["a token like a date", written(here, "{token: 2001-12-14}"), "Bearer 2001-12-14 verified"],
    ["a token like a time", written(here, "{token: 1:30}"), "Bearer 1:30 verified"],
    [
      "a token that is a number",
      written(here, "{token: 1_000}"),
      /user "u"\.token must be a text, it is a number/,
    ],
    ["a token that is yes", written(here, "{token: yes}"), /user "u"\.token must be a text, it is a boolean/],
    [
      "a token of two lines",
      written(here, '{token: "s3cret\\ns3cret"}'),
      /user "u"\.token holds more than one line/,
    ],
    ["a token in a typographer's quotes", written(here, "{token: “s3cret”}"), /characters that no token has/],
    [
      "base64 of it, as CI keeps it",
      Buffer.from(written(here, "{token: s3cret}")).toString("base64"),
      /it looks like base64: decode it/,
    ],
    [
      "another encoding",
      Buffer.concat([Buffer.from(written(here, "{}")), Buffer.from([0x23, 0xe9])]),
      /it is not UTF-8: save it as UTF-8/,
    ],
    ["zero bytes", `${written(here, "{}")}\0`, /it holds zero bytes/],
    ["a page of HTML", "<html>login</html>", /it must be a map, it is a string/],
    [
      "fields of the user beside it",
      written(here, "{}").replace("user: {}}", "token: s3cret}"),
      /users\[0\] has the field "token" beside "name" and "user", which is not supported here: correct its name, or indent it/,
    ],
    [
      "fields of the cluster beside it",
      written(here, "{token: t}").replace(
        "cluster: {server",
        "proxy-url: 'http://me:s3cret@p.test', cluster: {server",
      ),
      /clusters\[0\] has the field "proxy-url" beside "name" and "cluster"/,
    ],
    [
      "a namespace beside the context",
      written(here, "{token: t}").replace("context: {cluster", "namespace: team, context: {cluster"),
      /contexts\[0\] has the field "namespace" beside "name" and "context"/,
    ],
    [
      "null beside the user",
      written(here, "{token: t}").replace("user: {token: t}}", "user: {token: t}, extensions: null}"),
      "Bearer t verified",
    ],
    [
      "a broken user that is not the context's",
      `${written(here, "{token: t}")}- {name: v, token: x}\n- {name: 7, user: {}}\n`,
      "Bearer t verified",
    ],
    [
      "a name that is yes",
      written(here, "{}").replaceAll("name: u,", "name: yes,").replace("user: u}", "user: 'true'}"),
      /users\[0\]\.name must be a text, it is a boolean: put it in quotes/,
    ],
    [
      "a proxy at its top",
      written(here, "{}", "proxy-url: http://p.test\n"),
      /the field "proxy-url" at its top, where kubectl passes it over/,
    ],
    ["a namespace at its top", written(here, "{}", "namespace: team\n"), /the field "namespace" at its top/],
    ...["as-uid: x", "as-user-extra: {a: [b]}", "auth-provider: {name: x}", "cluster: c", "user: u"].map((
      field,
    ) =>
      [
        `${field} at its top`,
        written(here, "{}", `${field}\n`),
        new RegExp(`the field "${field.split(":")[0]}" at its top`),
      ] as const
    ),
    ["nothing at its top", written(here, "{token: t}", "namespace: null\nas: ~\n"), "Bearer t verified"],
    ...[
      ["https://admin:p/ssSECRET@127.0.0.1:1", "https://…@127.0.0.1:1"],
      ["admin:SECRET@127.0.0.1:1", "…@127.0.0.1:1"],
      ["https:/admin:SECRET@127.0.0.1:1", "…@127.0.0.1:1"],
      ["https://admin:SEC@RET@h:1", "https://…@h:1"],
      [`https://admin:${"SECRET".repeat(80)}@h:1`, "https://…@h:1"],
      ["https://127.0.0.1:99999/?token=SECRET", "https://127.0.0.1:99999/?…"],
    ].map(([server, shown]) =>
      [
        `a server with a secret: ${server!.slice(0, 40)}`,
        written(`{server: ${JSON.stringify(server)}}`, "{}"),
        new RegExp(`the server "${shown!.replace(/[?.]/g, "\\$&")}"`),
      ] as const
    ),
    [
      "what kubectl has at its top",
      written(here, "{token: t}", "preferences: {colors: true}\nextensions: []\n"),
      "Bearer t verified",
    ],
  ];
  for (const [what, text, expected] of rows) {
    const file = join(context.folder, "written.yml");
    writeFileSync(file, text);
    const read = loadKubeconfig(file, { HOME: "/nonexistent" });
    if (expected instanceof RegExp) {
      const said = await refusal(read);
      assert.match(said, expected, what);
      assert.not.match(said, /SECRET/, what);
      assert.ok(said.startsWith(`the kubeconfig ${file}`), said);
      assert.not.match(said, "s3cret", what);
      continue;
    }
    const { headers, tls } = await (await read).credentials();
    assert.is(`${headers["Authorization"]}${tls.rejectUnauthorized ? " verified" : ""}`, expected, what);
  }
});

test("the namespace of the context", async (context) => {
  const named = config(secured(context), {}, {
    contexts: [{ name: "c", context: { cluster: "k", user: "u", namespace: "team" } }],
  });
  assert.is((await loadKubeconfig(put(context, named))).namespace, "team");
  assert.is((await loadKubeconfig(put(context, config(secured(context), {})))).namespace, undefined);
});

test.run();
