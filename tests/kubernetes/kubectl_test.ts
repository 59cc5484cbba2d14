// Kubeconfigs against a real API server, with the real kubectl beside us: the same file and the same environment give the same identity,
// reached the same way, or both refuse. What kubectl takes and we don't is a row of its own, with the reason.
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { parseDocument } from "../../deps.ts";
import { connect } from "../../kubernetes/apply/api_transport.ts";
import { loadKubeconfig } from "../../kubernetes/apply/kubeconfig.ts";
import { mergeKubeconfigs, readKubeconfigDocument } from "../../kubernetes/types/kubeconfig.ts";
import {
  binariesFolder,
  cacheFolder,
  HOW_TO_GET_BINARIES,
  HOW_TO_GET_NODE,
} from "../cluster/binaries/locate.ts";
import { createAuthority } from "../cluster/certificates.ts";
import { type ControlPlane, freePorts, startControlPlane, until } from "../cluster/control_plane.ts";
import { hostCallRequest, policy } from "../cli/folder.ts";
import { bundleFile } from "../programs.ts";
import { config, put } from "./kubeconfig_file.ts";
import { type Proxy, startHttpProxy, startSocksProxy } from "./proxies.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const KUBECTL = join(cacheFolder(), "kubectl");

type Context = {
  folder: string;
  plane: ControlPlane;
  port: string;
  /** `kubectl proxy` as the administrator. */
  gateway: { readonly child: ChildProcess; readonly port: string };
  proxies: Record<"http" | "login" | "https" | "socks" | "socksLogin", Proxy>;
  tokens: Record<"a" | "b", string>;
  jane: { readonly cert: string; readonly key: string };
};
const test = suite<Context>("kubeconfigs beside kubectl", {} as Context);

const A = "system:serviceaccount:default:a";
const base64 = (text: string) => Buffer.from(text).toString("base64");

type Fields = Readonly<Record<string, unknown>>;
type Environment = Readonly<Record<string, string>>;

/** The cluster as it is; by another host than this machine's own when proxies of the environment are to be asked. */
const cluster = ({ plane, port }: Context, more: Fields = {}, host = "127.0.0.1") => ({
  server: `https://${host}:${port}`,
  "certificate-authority-data": base64(plane.authority.cert),
  ...more,
});

type Ran = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

function run(context: Context, command: string, args: readonly string[], env: Environment): Promise<Ran> {
  const child = spawn(command, args, {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env["PATH"], HOME: context.folder, ...env },
  });
  let stdout = "", stderr = "";
  child.stdout.setEncoding("utf8").on("data", (part) => stdout += part);
  child.stderr.setEncoding("utf8").on("data", (part) => stderr += part);
  return new Promise((resolve) => child.once("close", (code) => resolve({ code, stdout, stderr })));
}

type Answer = {
  readonly user?: { readonly username: string };
  readonly error?: string;
  readonly name?: string;
};

async function kubectl(context: Context, file: string, env: Environment): Promise<Answer> {
  const named = file === "" ? [] : ["--kubeconfig", file];
  const args = [...named, "--request-timeout=10s", "auth", "whoami", "-o", "json"];
  const { code, stdout, stderr } = await run(context, KUBECTL, args, env);
  return code === 0 ? { user: JSON.parse(stdout).status.userInfo } : { error: stderr };
}

async function ours(context: Context, file: string, env: Environment): Promise<Answer> {
  const { stdout, stderr } = await run(context, process.execPath, [
    join(root, "tests/kubernetes/whoami.ts"),
    file,
  ], env);
  assert.ok(stdout !== "", stderr);
  return JSON.parse(stdout) as Answer;
}

/** What each proxy was asked, without repetitions. */
function seen({ proxies }: Context): string {
  const all = Object.entries(proxies).flatMap(([name, { seen }]) =>
    seen.map((line) => `${name}: ${line.split("?")[0]}`)
  );
  for (const { seen } of Object.values(proxies)) seen.length = 0;
  return [...new Set(all)].join("\n");
}

type Row = {
  readonly what: string;
  readonly file: unknown;
  readonly env?: Environment;
  /** The name that the API server knows us by, or what our error says. */
  readonly says: string | RegExp;
  /** What one proxy was asked, if any. */
  readonly through?: string;
  /** Why ours is an error where kubectl's is none, or the other way round. */
  readonly differs?: string;
};

async function compare(context: Context, rows: readonly Row[]): Promise<void> {
  const wrong: string[] = [];
  for (const { what, file, env = {}, says, through = "", differs } of rows) {
    const path = file === undefined ? "" : put(context, file);
    const theirs = await kubectl(context, path, env);
    const theirWay = seen(context);
    const own = await ours(context, path, env);
    const ownWay = seen(context);
    const right = (typeof says === "string" ? own.user?.username === says : says.test(own.error ?? "")) &&
      ownWay === through &&
      (differs === undefined
        ? JSON.stringify(own.user) === JSON.stringify(theirs.user) && ownWay === theirWay
        : (theirs.user === undefined) !== (own.user === undefined));
    if (right) continue;
    wrong.push(
      `${what}\n  wanted ${says} through ${through || "no proxy"}\n  kubectl: ${
        JSON.stringify(theirs)
      } ${theirWay}\n` +
        `  ours: ${JSON.stringify(own)} ${ownWay}`,
    );
  }
  assert.is(wrong.join("\n"), "");
}

const PLUGIN = `#!/bin/sh
printf '%s' "$KUBERNETES_EXEC_INFO" > "$INFO"
echo x >> "$INFO.runs"
echo "chatter on stderr" >&2
printf '%s' "$ANSWER"
exit \${CODE:-0}
`;

if (binariesFolder() === undefined) {
  test.skip(`kubeconfigs beside kubectl (${HOW_TO_GET_BINARIES})`, () => {});
} else if (!existsSync(KUBECTL)) {
  test.skip(`kubeconfigs beside kubectl (${HOW_TO_GET_NODE})`, () => {});
} else {
  test.before(async (context) => {
    context.folder = mkdtempSync(join(tmpdir(), "portreeve-kubectl-"));
    const plane = context.plane = await startControlPlane();
    context.port = new URL(plane.url).port;
    const send = async (path: string, body: object) => {
      const answer = await plane.admin.request({
        method: "POST",
        path,
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      });
      const text = await answer.text();
      assert.ok(answer.status < 300, text);
      return JSON.parse(text);
    };
    await until("the namespace default is there", async () => {
      const { status } = await plane.admin.request({ method: "GET", path: "/api/v1/namespaces/default" });
      return status === 200;
    });
    const tokenOf = async (name: string) => {
      const accounts = "/api/v1/namespaces/default/serviceaccounts";
      await send(accounts, { apiVersion: "v1", kind: "ServiceAccount", metadata: { name } });
      const { status } = await send(`${accounts}/${name}/token`, {
        apiVersion: "authentication.k8s.io/v1",
        kind: "TokenRequest",
        spec: {},
      });
      return status.token as string;
    };
    context.tokens = { a: await tokenOf("a"), b: await tokenOf("b") };
    // Account a may act as anybody.
    await send("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "ClusterRoleBinding",
      metadata: { name: "a" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
      subjects: [{ kind: "ServiceAccount", name: "a", namespace: "default" }],
    });
    // Nobody may ask who he is.
    await send("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "ClusterRoleBinding",
      metadata: { name: "nobody" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "system:basic-user" },
      subjects: [{ kind: "Group", name: "system:unauthenticated", apiGroup: "rbac.authorization.k8s.io" }],
    });
    context.jane = await plane.authority.issue({ commonName: "jane", organization: "dev" });
    const tls = await plane.authority.issue({ commonName: "proxy", dns: ["localhost", "127.0.0.1"] });
    context.proxies = {
      http: await startHttpProxy(),
      login: await startHttpProxy({ login: "me:se@cret" }),
      https: await startHttpProxy({ tls }),
      socks: await startSocksProxy(),
      socksLogin: await startSocksProxy("me:se@cret"),
    };
    const child = spawn(KUBECTL, ["--kubeconfig", plane.kubeconfig, "proxy", "--port=0"], {
      stdio: ["ignore", "pipe", "ignore"],
      env: { HOME: context.folder },
    });
    const port = await new Promise<string>((resolve, reject) => {
      child.stdout.setEncoding("utf8").on("data", (line: string) => {
        const [, found] = /:(\d+)\s*$/.exec(line) ?? [];
        if (found !== undefined) resolve(found);
      });
      child.once("close", (code) => reject(new Error(`kubectl proxy ended with ${code}`)));
    });
    context.gateway = { child, port };
  });
  test.after(async ({ folder, plane, proxies, gateway }) => {
    gateway?.child.kill();
    for (const proxy of Object.values(proxies ?? {})) await proxy.stop();
    await plane?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test("who we are", async (context) => {
    const { tokens, jane, folder } = context;
    const { a } = tokens;
    put(context, `${a}\n`, "token.txt");
    put(context, "", "empty.txt");
    put(context, `\n\n  ${a}\n\n`, "blank.txt");
    put(context, `${a}\n${a}\n`, "two.txt");
    put(context, `${jane.cert}\n${jane.key}`, "pki/both.pem");
    put(context, jane.cert, "pki/jane.pem");
    put(context, jane.key, "pki/jane.key");
    const other = await context.plane.authority.issue({ commonName: "other" });
    const pair = { "client-certificate-data": base64(jane.cert), "client-key-data": base64(jane.key) };
    const here = cluster(context);
    const row = (what: string, user: unknown, says: string | RegExp, more: Partial<Row> = {}): Row => ({
      what,
      file: config(here, user),
      says,
      ...more,
    });
    const nobody = { differs: "kubectl asks its terminal for a name and a password; programs have none" };
    await compare(context, [
      row("a token", { token: a }, A),
      row("a token file beside the kubeconfig", { tokenFile: "token.txt" }, A),
      row("a token file, dotted", { tokenFile: "./pki/../token.txt" }, A),
      row("a token file by its whole path", { tokenFile: join(folder, "token.txt") }, A),
      row("a token file before a token", { tokenFile: "token.txt", token: tokens.b }, A),
      row("a token where the file is missing", { tokenFile: "absent.txt", token: a }, A),
      row("a token where the file is empty", { tokenFile: "empty.txt", token: a }, A),
      row(
        "a missing token file",
        { tokenFile: "absent.txt" },
        /tokenFile names .*absent\.txt, which cannot be read \(ENOENT\)/,
      ),
      row("an empty token file", { tokenFile: "empty.txt" }, /tokenFile names an empty file/),
      row("a wrong token", { token: "wrong" }, /does not accept the credentials of context "c"/),
      row("a client certificate", pair, "jane"),
      row("a client certificate in files", {
        "client-certificate": "pki/jane.pem",
        "client-key": "pki/jane.key",
      }, "jane"),
      row("one in a file, one not", {
        "client-certificate": "pki/jane.pem",
        "client-key-data": base64(jane.key),
      }, "jane"),
      row("a certificate and a token", { ...pair, token: a }, "jane"),
      row(
        "a certificate without its key",
        { "client-certificate-data": base64(jane.cert) },
        /client certificate without its key/,
      ),
      row(
        "a key without its certificate",
        { "client-key-data": base64(jane.key) },
        /user "u" has a client key without its certificate/,
      ),
      row(
        "a password without a name",
        { password: "p" },
        /user "u" has a password without a username/,
      ),
      row("a token of two lines", { token: `${a}\n` }, /user "u"\.token holds more than one line/),
      row("a token in a file, with blank lines around", { tokenFile: "blank.txt" }, A),
      row(
        "a file of two tokens",
        { tokenFile: "two.txt" },
        /tokenFile names a file that holds more than one line/,
      ),
      row("certificate and key in one file, as the kubelet has them", {
        "client-certificate": "pki/both.pem",
        "client-key": "pki/both.pem",
      }, "jane"),
      row("parameters before the key, as openssl ecparam writes them", {
        ...pair,
        "client-key-data": base64(
          `-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n${jane.key}`,
        ),
      }, "jane"),
      row("text before the certificate, as openssl x509 -text writes it", {
        ...pair,
        "client-certificate-data": base64(`Certificate:\n    Data:\n${jane.cert}`),
      }, "jane"),
      row("line ends of Windows in it", {
        ...pair,
        "client-certificate-data": base64(jane.cert.replaceAll("\n", "\r\n")),
      }, "jane"),
      row(
        "a certificate twice",
        { ...pair, "client-certificate": "pki/jane.pem" },
        /both client-certificate and client-certificate-data/,
      ),
      row(
        "another one's key",
        { ...pair, "client-key-data": base64(other.key) },
        /user "u": the client certificate and its key are no pair/,
      ),
      row(
        "no PEM",
        { ...pair, "client-certificate-data": base64("x") },
        /the client certificate and its key are no pair/,
      ),
      row(
        "no base64",
        { ...pair, "client-key-data": "-----BEGIN" },
        /user "u"\.client-key-data is not base64/,
      ),
      row(
        "a token and a password",
        { token: a, username: "u", password: "p" },
        /a token and a password: only one/,
      ),
      row(
        "a token file and a password",
        { tokenFile: "token.txt", username: "u" },
        /a token and a password: only one/,
      ),
      row("a user without fields", {}, "system:anonymous", nobody),
      row("a user that is null", null, "system:anonymous", nobody),
      row("null fields", {
        token: a,
        as: null,
        exec: null,
        "as-groups": null,
        "auth-provider": null,
        tokenFile: null,
      }, A),
      row("a token that is a number", { token: 7 }, /user "u"\.token must be a text/),
      row(
        "gcp",
        { "auth-provider": { name: "gcp" } },
        /"auth-provider" \(gcp\), which is not supported here: install gke-gcloud-auth-plugin/,
      ),
      row(
        "azure",
        { "auth-provider": { name: "azure" } },
        /"auth-provider" \(azure\).*run kubelogin convert-kubeconfig/,
      ),
      row(
        "another",
        { "auth-provider": { name: "mine" } },
        /"auth-provider", which is not supported here: use an exec plugin/,
      ),
      row(
        "oidc",
        {
          "auth-provider": {
            name: "oidc",
            config: { "idp-issuer-url": "https://idp.test", "client-id": "x", "id-token": a },
          },
        },
        /"auth-provider" \(oidc\), which is not supported here: use an exec plugin for OpenID Connect/,
        {
          differs:
            "kubectl still has this provider, and takes its token while it holds; we don't, and say so",
        },
      ),
      row(
        "an unknown field",
        { token: a, tokenfile: "x" },
        /user "u" has the field "tokenfile", which is not supported/,
        {
          differs: "kubectl passes unknown fields over in silence: another identity than was written down",
        },
      ),
    ]);
  });

  test("whom we act as", async (context) => {
    const { tokens: { a } } = context;
    const row = (what: string, user: Fields, says: string | RegExp): Row => ({
      what,
      file: config(cluster(context), { token: a, ...user }),
      says,
    });
    const through = context.proxies.http;
    await compare(context, [
      row("a user", { as: "jane" }, "jane"),
      row(
        "groups, commas in their names",
        { as: "jane", "as-groups": ["dev", "a, b", "system:masters"] },
        "jane",
      ),
      row("a uid", { as: "jane", "as-uid": "7" }, "jane"),
      row("extras", {
        as: "jane",
        "as-user-extra": { "example.org/Scopes": ["x", "y"], "a%b": ["z"], none: [] },
      }, "jane"),
      row(
        "all",
        { as: "jane", "as-uid": "7", "as-groups": ["dev"], "as-user-extra": { reason: ["ü"] } },
        "jane",
      ),
      row("a name that is no ASCII", { as: "jürgen-日本" }, "jürgen-日本"),
      row("a group that is no ASCII", { as: "jane", "as-groups": ["ä, ö", "日本"] }, "jane"),
      row("a name of two lines", { as: "jane\nx" }, /user "u"\.as has the end of a line in it/),
      row("a service account", { as: "system:serviceaccount:default:b" }, "system:serviceaccount:default:b"),
      row("groups alone", { "as-groups": ["dev"] }, /without "as": name whom to act as/),
      row("a uid alone", { "as-uid": "7" }, /without "as"/),
      row("a group that is a number", { as: "jane", "as-groups": [7] }, /as-groups\[0\] must be a text/),
      {
        ...row(
          "by one who may not",
          { as: "jane" },
          /User "system:serviceaccount:default:b" cannot impersonate/,
        ),
        file: config(cluster(context), { token: context.tokens.b, as: "jane" }),
      },
      {
        what: "groups through a proxy",
        file: config(cluster(context, { "proxy-url": `http://127.0.0.1:${through.port}` }), {
          token: a,
          as: "jane",
          "as-groups": ["dev", "ops"],
        }),
        says: "jane",
        through: `http: CONNECT 127.0.0.1:${context.port}`,
      },
    ]);
  });

  test("where the server is", async (context) => {
    const { plane, port, gateway, tokens: { a, b } } = context;
    const stranger = await createAuthority("stranger");
    put(context, plane.authority.cert, "ca.pem");
    const server = `https://127.0.0.1:${port}`;
    const plain = `http://127.0.0.1:${gateway.port}`;
    const row = (
      what: string,
      where: unknown,
      says: string | RegExp,
      user: Fields = { token: a },
      more: Fields = {},
    ): Row => ({
      what,
      file: config(where, user, more),
      says,
    });
    await compare(
      context,
      [
        row("an authority in a file", { server, "certificate-authority": "ca.pem" }, A),
        row(
          "an authority in base64 of several lines",
          cluster(context, {
            "certificate-authority-data": base64(plane.authority.cert).replace(/(.{64})/g, "$1\n"),
          }),
          A,
        ),
        row(
          "an authority twice",
          cluster(context, { "certificate-authority": "ca.pem" }),
          /both certificate-authority and certificate-authority-data/,
        ),
        row(
          "an authority that is missing",
          { server, "certificate-authority": "absent.pem" },
          /certificate-authority names .*absent\.pem, which cannot be read/,
        ),
        row(
          "an authority that is none",
          { server, "certificate-authority-data": base64("x") },
          /certificate-authority holds no certificate/,
        ),
        row(
          "an authority that is no base64",
          { server, "certificate-authority-data": "x!" },
          /certificate-authority-data is not base64/,
        ),
        row(
          "another authority",
          { server, "certificate-authority-data": base64(stranger.cert) },
          /is not signed by the authority of context "c"/,
        ),
        row("no authority", { server }, /is not signed by the authority/),
        row("unverified", { server, "insecure-skip-tls-verify": true }, A),
        row(
          "unverified, with an authority",
          cluster(context, { "insecure-skip-tls-verify": true }),
          /kubectl refuses both together/,
        ),
        row(
          "a name of its certificate",
          cluster(context, {}, "0.0.0.0"),
          /is for another name .*set tls-server-name/,
        ),
        row(
          "tls-server-name",
          cluster(context, { "tls-server-name": "kubernetes.default.svc" }, "0.0.0.0"),
          A,
        ),
        row(
          "a tls-server-name that is an address",
          cluster(context, { "tls-server-name": "127.0.0.1" }, "0.0.0.0"),
          A,
        ),
        row(
          "a tls-server-name that is another address",
          cluster(context, { "tls-server-name": "127.0.0.2" }),
          /is for another name/,
        ),
        row(
          "a wrong tls-server-name",
          cluster(context, { "tls-server-name": "other.test" }),
          /is for another name/,
        ),
        row("a closing slash", cluster(context, { server: `${server}/` }), A),
        row("disable-compression", cluster(context, { "disable-compression": true }), A),
        row("kubectl proxy: our token is not sent in the clear", { server: plain }, "admin", { token: b }),
        row("kubectl proxy: a broken user is none there", { server: plain }, "admin", {
          tokenFile: "absent.txt",
        }),
        row("kubectl proxy: acting as", { server: plain }, "jane", { as: "jane", "as-groups": ["x", "y"] }),
        row("kubectl proxy: a password", { server: plain }, "admin", { username: "u", password: "p" }),
        row(
          "no scheme, and an authority",
          cluster(context, { server: `127.0.0.1:${port}` }),
          /which is no http or https URL: write https:\/\/ before it/,
        ),
        row(
          "no scheme, unverified",
          { server: `127.0.0.1:${port}`, "insecure-skip-tls-verify": true },
          /which is no http or https URL: write https:\/\/ before it/,
        ),
        row("no scheme, and nothing of TLS: kubectl proxy", { server: `127.0.0.1:${gateway.port}` }, "admin"),
        row(
          "a name of this machine without a scheme",
          { server: `localhost:${gateway.port}` },
          "admin",
        ),
        row(
          "another machine without a scheme",
          { server: `api.test:${gateway.port}` },
          /which is no http or https URL: write https:\/\/ before it/,
        ),
        row("a scheme in capitals", cluster(context, { server: `HTTPS://127.0.0.1:${port}` }), A),
        row(
          "a name and a password in the server",
          cluster(context, { server: `https://me:s3cret@127.0.0.1:${port}` }),
          /the server "https:\/\/…@127\.0\.0\.1:\d+", which has a name and a password in it/,
        ),
        row("a query in the server", cluster(context, { server: `${server}/?a=b#c` }), A),
        row("no server", {}, /cluster "k" has no server/),
        row("a cluster that is null", null, /cluster "k" has no server/),
        row(
          "a field that is unknown",
          cluster(context, { "proxy-uri": "x" }),
          /"proxy-uri", which is not supported/,
        ),
        row("a context without a user", cluster(context), /context "c" names no user/, {}, {
          contexts: [{ name: "c", context: { cluster: "k" } }],
        }),
        row("a user that is absent", cluster(context), /names the user "v", which is absent/, {}, {
          contexts: [{ name: "c", context: { cluster: "k", user: "v" } }],
        }),
        row("a context with a namespace", cluster(context), A, { token: a }, {
          contexts: [{ name: "c", context: { cluster: "k", user: "u", namespace: "team" } }],
        }),
        row("no current context", cluster(context), /names no current-context/, { token: a }, {
          "current-context": "",
        }),
        row("a current context that is absent", cluster(context), /has no context "d"/, { token: a }, {
          "current-context": "d",
        }),
        row("a name twice", cluster(context), /users\[0\] and users\[1\] have the same name "u"/, {}, {
          users: [{ name: "u", user: { token: a } }, { name: "u", user: { token: b } }],
        }),
        row(
          "fields of the user beside it",
          cluster(context),
          /users\[0\] has the field "token" beside "name" and "user", which is not supported here/,
          {},
          { users: [{ name: "u", token: a }] },
        ),
        row(
          "a user that is called otherwise",
          cluster(context),
          /users\[0\] has the field "usr" beside "name" and "user"/,
          {},
          { users: [{ name: "u", usr: { token: a } }] },
        ),
        row(
          "a name that is a number",
          cluster(context),
          /users\[0\]\.name must be a text, it is a number/,
          {},
          {
            contexts: [{ name: "c", context: { cluster: "k", user: "7" } }],
            users: [{ name: 7, user: { token: a } }],
          },
        ),
        row("another apiVersion", cluster(context), /its apiVersion must be v1/, { token: a }, {
          apiVersion: "v2",
        }),
        row("another kind", cluster(context), /it is a Pod, no Config/, { token: a }, { kind: "Pod" }),
        row("neither kind nor apiVersion", cluster(context), A, { token: a }, {
          kind: undefined,
          apiVersion: undefined,
        }),
      ].map((one) =>
        one.what === "a name and a password in the server"
          ? { ...one, differs: "kubectl sends them instead of the user's token, and is somebody else" }
          : one.what === "a field that is unknown"
          ? { ...one, differs: "kubectl passes unknown fields over in silence" }
          : one
      ),
    );
  });

  test("through which proxy", async (context) => {
    const { proxies, port, gateway, tokens: { a } } = context;
    const { http, login, https, socks, socksLogin } = proxies;
    const at = ({ port }: Proxy, scheme = "http", user = "") => `${scheme}://${user}127.0.0.1:${port}`;
    const tunnel = (name: string, host = "127.0.0.1") => `${name}: CONNECT ${host}:${port}`;
    const row = (
      what: string,
      proxy: string,
      says: string | RegExp,
      through = "",
      more: Partial<Row> = {},
    ): Row => ({
      what,
      file: config(cluster(context, { "proxy-url": proxy }), { token: a }),
      says,
      through,
      ...more,
    });
    const far = (what: string, host: string, env: Environment, through: string): Row => ({
      what,
      file: config(cluster(context, { "tls-server-name": "127.0.0.1" }, host), { token: a }),
      env,
      says: A,
      through,
    });
    const plain = { server: `http://127.0.0.1:${gateway.port}` };
    const gone = "http://127.0.0.1:1";
    await compare(context, [
      row("http", at(http), A, tunnel("http")),
      row("https, which the cluster's authority vouches for", at(https, "https"), A, tunnel("https")),
      row("socks5", at(socks, "socks5"), A, `socks: SOCKS 127.0.0.1:${port}`),
      row("a login", at(login, "http", "me:se%40cret@"), A, tunnel("login")),
      row(
        "a wrong login",
        at(login, "http", "me:wrong@"),
        /the proxy http:\/\/127\.0\.0\.1:\d+ answered CONNECT .* with status 407/,
        "login: REFUSED",
      ),
      row(
        "a login by socks5",
        at(socksLogin, "socks5", "me:se%40cret@"),
        A,
        `socksLogin: SOCKS 127.0.0.1:${port}`,
      ),
      row(
        "a wrong login by socks5",
        at(socksLogin, "socks5", "me:wrong@"),
        /the proxy socks5:\/\/127\.0\.0\.1:\d+ did not open a connection/,
        "socksLogin: REFUSED",
      ),
      row("a proxy that is gone", gone, /the proxy http:\/\/127\.0\.0\.1:1 cannot be used \(ECONNREFUSED\)/),
      row(
        "a socks proxy that is gone",
        "socks5://127.0.0.1:1",
        /the proxy socks5:\/\/127\.0\.0\.1:1 did not open a connection/,
      ),
      row(
        "another scheme",
        "ftp://127.0.0.1:1",
        /proxy-url names a ftp:\/\/ proxy, which is not supported: give an http/,
      ),
      row("no scheme", "127.0.0.1:1", /proxy-url is no URL of a proxy/),
      row("proxy-url before the variable", at(http), A, tunnel("http"), { env: { HTTPS_PROXY: gone } }),
      row("proxy-url whatever NO_PROXY says", at(http), A, tunnel("http"), {
        env: { NO_PROXY: "*", no_proxy: "*" },
      }),
      {
        what: "http to a server of plain http",
        file: config({ ...plain, "proxy-url": at(http) }, {}),
        says: "admin",
        through:
          `http: POST http://127.0.0.1:${gateway.port}/apis/authentication.k8s.io/v1/selfsubjectreviews`,
      },
      {
        what: "a login to a server of plain http",
        file: config({ ...plain, "proxy-url": at(login, "http", "me:se%40cret@") }, {
          as: "jane",
          "as-groups": ["x", "y"],
        }),
        says: "jane",
        through:
          `login: POST http://127.0.0.1:${gateway.port}/apis/authentication.k8s.io/v1/selfsubjectreviews`,
      },
      {
        what: "socks5 to a server of plain http",
        file: config({ ...plain, "proxy-url": at(socks, "socks5") }, {}),
        says: "admin",
        through: `socks: SOCKS 127.0.0.1:${gateway.port}`,
      },
      far(
        "HTTPS_PROXY, and the name is looked up by the proxy",
        "api.test",
        { HTTPS_PROXY: at(http) },
        tunnel("http", "api.test"),
      ),
      far("https_proxy", "api.test", { https_proxy: at(http) }, tunnel("http", "api.test")),
      far(
        "upper case first",
        "api.test",
        { HTTPS_PROXY: at(http), https_proxy: gone },
        tunnel("http", "api.test"),
      ),
      far(
        "without a scheme",
        "api.test",
        { HTTPS_PROXY: `127.0.0.1:${http.port}` },
        tunnel("http", "api.test"),
      ),
      far(
        "socks5 in the variable",
        "api.test",
        { HTTPS_PROXY: at(socks, "socks5") },
        `socks: SOCKS api.test:${port}`,
      ),
      far(
        "socks5h in the variable",
        "api.test",
        { HTTPS_PROXY: at(socks, "socks5h") },
        `socks: SOCKS api.test:${port}`,
      ),
      far("HTTP_PROXY is for plain http", "0.0.0.0", { HTTP_PROXY: gone, ALL_PROXY: gone }, ""),
      far("never for this machine", "127.0.0.1", { HTTPS_PROXY: gone }, ""),
      ...["0.0.0.0", "0.0.0.0/8", `0.0.0.0:${port}`, "*", " other.test , 0.0.0.0 ", "::/0,0.0.0.0"].map((
        list,
      ) => far(`NO_PROXY ${list}`, "0.0.0.0", { HTTPS_PROXY: gone, NO_PROXY: list }, "")),
      ...[
        "0.0.0.0:1",
        "10.0.0.0/8",
        ".0.0.0",
        "0.0.0",
        "",
        "0.0.0.0/8:1",
        `0.0.0.0/8:${port}`,
        "0.0.0.0/",
        "0.0.0.0/-1",
        "0.0.0.0/33",
        "http://0.0.0.0",
        "1.1.1.1 0.0.0.0",
        "*:1",
      ].map((list) =>
        far(
          `NO_PROXY ${list}`,
          "0.0.0.0",
          { HTTPS_PROXY: at(http), NO_PROXY: list },
          tunnel("http", "0.0.0.0"),
        )
      ),
      ...[".api.test", "*.api.test", "pi.test", "api.test:443", "other.test"].map((list) =>
        far(
          `NO_PROXY ${list}`,
          "api.test",
          { HTTPS_PROXY: at(http), NO_PROXY: list },
          tunnel("http", "api.test"),
        )
      ),
      {
        what: "ftp in the variable",
        file: config(cluster(context, { "tls-server-name": "127.0.0.1" }, "0.0.0.0"), { token: a }),
        env: { HTTPS_PROXY: "ftp://me:secret@127.0.0.1:1" },
        says: /^the variable https_proxy names a ftp:\/\/ proxy, which is not supported: give an http/,
      },
    ]);
  });

  test("several files, merged", async (context) => {
    const { tokens: { a, b } } = context;
    const here = cluster(context);
    const first = put(
      context,
      config(here, { token: a }, { "current-context": undefined, contexts: undefined }),
      "m/first",
    );
    const second = put(
      context,
      config({ server: "https://wrong.test" }, { token: b, as: "jane" }),
      "m/second",
    );
    const third = put(
      context,
      config({ server: "https://x.test" }, { token: b }, {
        "current-context": "other",
        contexts: [{ name: "other", context: { cluster: "k", user: "w" } }],
        users: [{ name: "w", user: { username: "w" } }],
      }),
      "m/third",
    );
    const relative = put(context, config(here, { tokenFile: "token" }), "n/config");
    put(context, b, "n/token");
    const empty = put(context, "", "m/empty");
    const nulls = put(
      context,
      'apiVersion: v1\nkind: Config\ncontexts:\nclusters: null\nusers: []\ncurrent-context: ""\n',
      "m/nulls",
    );
    const broken = put(context, "a: [", "m/broken");
    const absent = join(context.folder, "absent");
    const B = "system:serviceaccount:default:b";
    const rows: readonly (readonly [string, readonly string[], string | RegExp])[] = [
      ["the first that says something", [first, second, third], A],
      ["the first current context counts", [first, third, second], "system:anonymous"],
      ["missing files", [absent, first, absent, second], A],
      ["empty names, and one twice", ["", first, "", second, first, ""], A],
      ["empty files", [empty, nulls, first, second], A],
      ["relative to its own file", [empty, relative, first], B],
      [
        "a broken one",
        [first, second, broken],
        /the kubeconfig .*m\/broken cannot be read: it is not valid YAML/,
      ],
      ["a folder", [first, second, context.folder], /cannot be read: .*EISDIR/],
      ["none that is there", [absent, `${absent}2`], /does not exist/],
    ];
    await compare(
      context,
      rows.map(([what, listed, says]) => ({
        what,
        file: undefined,
        env: { KUBECONFIG: listed.join(delimiter) },
        says,
      })),
    );
    // The merged document itself is kubectl's.
    type Entry = { readonly name: string } & Fields;
    type View =
      & { readonly "current-context": string }
      & Readonly<Record<"contexts" | "clusters" | "users", readonly Entry[] | null>>;
    for (
      const listed of [[first, second, third], [third, second, first], [empty, second, nulls, third], [nulls]]
    ) {
      const shown = await run(context, KUBECTL, ["config", "view", "--raw", "-o", "json"], {
        KUBECONFIG: listed.join(delimiter),
      });
      const view = JSON.parse(shown.stdout) as View;
      const merged = mergeKubeconfigs(
        listed.map((file) => readKubeconfigDocument(parseDocument(readFileSync(file, "utf8")).toJS(), file)),
      );
      assert.is(merged.currentContext ?? "", view["current-context"]);
      for (
        const [list, member] of [["contexts", "context"], ["clusters", "cluster"], ["users", "user"]] as const
      ) {
        const own = merged[list].map(({ name, value }) => [name, value]).sort();
        assert.equal(own, (view[list] ?? []).map((entry) => [entry.name, entry[member]]).sort(), list);
      }
    }
  });

  test("exec plugins", async (context) => {
    const { tokens, jane } = context;
    const { a, b } = tokens;
    const plugin = put(context, PLUGIN, "bin/plugin");
    chmodSync(plugin, 0o755);
    const info = join(context.folder, "info.json");
    const V1 = "client.authentication.k8s.io/v1";
    const BETA = "client.authentication.k8s.io/v1beta1";
    const answer = (status: unknown, apiVersion = V1) =>
      JSON.stringify({ kind: "ExecCredential", apiVersion, status });
    const exec = (text: string, more: Fields = {}, env: Environment = {}) => ({
      apiVersion: V1,
      command: "bin/plugin",
      interactiveMode: "Never",
      env: Object.entries({ ANSWER: text, INFO: info, ...env }).map(([name, value]) => ({ name, value })),
      ...more,
    });
    const extended = cluster(context, {
      extensions: [{ name: "client.authentication.k8s.io/exec", extension: { audience: "x", list: [1] } }],
    });
    const token = answer({ token: a });
    const row = (
      what: string,
      field: unknown,
      says: string | RegExp,
      more: Partial<Row> = {},
      user: Fields = {},
    ): Row => ({
      what,
      file: config(extended, { exec: field, ...user }),
      says,
      ...more,
    });
    const pair = { "client-certificate-data": base64(jane.cert), "client-key-data": base64(jane.key) };
    const past = "2020-01-01T00:00:00Z";
    await compare(context, [
      row("a token", exec(token), A),
      row("an absolute command", exec(token, { command: plugin }), A),
      row("a dotted command", exec(token, { command: "./bin/../bin/plugin" }), A),
      row("a name in PATH", exec(token, { command: "plugin" }), A, {
        env: { PATH: `${dirname(plugin)}:${process.env["PATH"]}` },
      }),
      row(
        "a name in our PATH, not in the plugin's",
        exec(token, { command: "plugin" }, { PATH: "/usr/bin:/bin" }),
        A,
        {
          env: { PATH: `${dirname(plugin)}:${process.env["PATH"]}` },
        },
      ),
      row(
        "a name beside the file is not in PATH",
        exec(token, { command: "plugin" }),
        /is not there: install it/,
      ),
      row("arguments", exec(token, { args: ["--x", "a b"] }), A),
      row("v1beta1", exec(answer({ token: a }, BETA), { apiVersion: BETA, interactiveMode: undefined }), A),
      row(
        "a certificate",
        exec(answer({ clientCertificateData: jane.cert, clientKeyData: jane.key })),
        "jane",
      ),
      row("an answer that has expired", exec(answer({ token: a, expirationTimestamp: past })), A),
      row("IfAvailable without a terminal", exec(token, { interactiveMode: "IfAvailable" }), A),
      row("acting as", exec(token), "jane", {}, { as: "jane", "as-groups": ["x", "y"] }),
      row("beside a token", exec("", {}, { CODE: "3" }), "system:serviceaccount:default:b", {}, { token: b }),
      row("beside a certificate", exec(token, {}, { CODE: "3" }), "jane", {}, pair),
      row("plain http", exec("", {}, { CODE: "3" }), "admin", {
        file: config({ server: `http://127.0.0.1:${context.gateway.port}` }, {
          exec: exec("", {}, { CODE: "3" }),
        }),
      }),
      row(
        "missing",
        exec(token, { command: "./absent", installHint: "brew install it" }),
        /is not there: install it, or correct its path: brew/,
      ),
      row("not to be run", exec(token, { command: "./info.json" }), /cannot be run \(EACCES\)/),
      row(
        "failing",
        exec("secret", {}, { CODE: "3" }),
        /^the exec plugin "bin\/plugin" of user "u" ended with code 3/,
      ),
      row("no JSON", exec("Please log in"), /did not answer with JSON/),
      row(
        "YAML",
        exec(`apiVersion: ${V1}\nkind: ExecCredential\nstatus:\n  token: ${a}\n`),
        A,
      ),
      row(
        "JSON over several lines, with null members",
        exec(
          JSON.stringify(
            {
              kind: "ExecCredential",
              apiVersion: V1,
              spec: {},
              status: { token: a, expirationTimestamp: null, clientKeyData: "" },
            },
            null,
            2,
          ) + "\n",
        ),
        A,
      ),
      row(
        "a token of two lines",
        exec(answer({ token: `${a}\nx` })),
        /a token that has the end of a line in it/,
      ),
      row("YAML that is none", exec("kind: [ExecCredential"), /did not answer with JSON/),
      row("a list", exec("[]"), /did not answer with an ExecCredential/),
      row("chatter before the JSON", exec(`hello\n${token}`), /did not answer with JSON/),
      row("no status", exec(answer(undefined)), /neither a token nor a client certificate/),
      row("an empty status", exec(answer({})), /neither a token nor a client certificate/),
      row("half a certificate", exec(answer({ clientCertificateData: jane.cert })), /without its key/),
      row(
        "a certificate that is none",
        exec(answer({ clientCertificateData: "x", clientKeyData: "y" })),
        /the exec plugin "bin\/plugin" of user "u": the client certificate and its key are no pair/,
      ),
      row(
        "another version",
        exec(answer({ token: a }, BETA)),
        /did not answer with an ExecCredential of client\.authentication\.k8s\.io\/v1/,
      ),
      row(
        "a date that is none",
        exec(answer({ token: a, expirationTimestamp: "soon" })),
        /expirationTimestamp that is none/,
      ),
      row(
        "a date of another form",
        exec(answer({ token: a, expirationTimestamp: "1 Jan 2030" })),
        /expirationTimestamp that is none/,
      ),
      row(
        "Always without a terminal",
        exec(token, { interactiveMode: "Always" }),
        /interactiveMode "Always"/,
      ),
      row(
        "v1 without interactiveMode",
        exec(token, { interactiveMode: undefined }),
        /interactiveMode must be Never, IfAvailable or Always/,
      ),
      row(
        "an interactiveMode that is none",
        exec(token, { interactiveMode: "Sometimes" }),
        /interactiveMode must be/,
      ),
      row(
        "v1alpha1",
        exec(token, { apiVersion: "client.authentication.k8s.io/v1alpha1" }),
        /apiVersion must be/,
      ),
      row("no apiVersion", exec(token, { apiVersion: undefined }), /apiVersion must be/),
      row("no command", exec(token, { command: "" }), /exec names no command/),
      row("a variable without a name", exec(token, { env: [{ value: "x" }] }), /env\[0\] has no name/),
    ]);
    assert.not.match(JSON.stringify(readFileSync(`${info}.runs`, "utf8")), /y/);

    // What plugins are told is the same, member by member.
    const told = async (who: typeof kubectl, file: string) => {
      await who(context, file, {});
      return JSON.parse(readFileSync(info, "utf8"));
    };
    for (const apiVersion of [V1, BETA]) {
      for (const provideClusterInfo of [true, false]) {
        const more = {
          "disable-compression": true,
          "tls-server-name": "localhost",
          "proxy-url": `http://127.0.0.1:${context.proxies.http.port}`,
        };
        for (const where of [extended, cluster(context), { ...extended, ...more }]) {
          const field = exec(answer({ token: a }, apiVersion), { apiVersion, provideClusterInfo });
          const file = put(context, config(where, { exec: field }));
          assert.equal(
            await told(ours, file),
            await told(kubectl, file),
            `${apiVersion} ${provideClusterInfo}`,
          );
        }
      }
    }
    seen(context);
    // Nothing else says who we are in these rows, and no plugin was asked in vain.
    writeFileSync(`${info}.runs`, "");
    await ours(context, put(context, config(extended, { exec: exec(token), token: b })), {});
    assert.is(readFileSync(`${info}.runs`, "utf8"), "");
  });

  test("a token that is rotated in its file", async (context) => {
    const { tokens: { a, b } } = context;
    const file = put(context, config(cluster(context), { tokenFile: "token" }), "rotated/config");
    put(context, "outdated", "rotated/token");
    const transport = await connect({ kubeconfig: file });
    const whoami = async () => {
      const answer = await transport.request({
        method: "POST",
        path: "/apis/authentication.k8s.io/v1/selfsubjectreviews",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" }),
      });
      const text = await answer.text();
      return answer.status === 201 ? JSON.parse(text).status.userInfo.username as string : answer.status;
    };
    assert.is(await whoami(), 401);
    put(context, b, "rotated/token");
    assert.is(await whoami(), "system:serviceaccount:default:b", "read again after it was refused");
    transport.close();
    const { credentials } = await loadKubeconfig(file);
    assert.is((await credentials()).headers["Authorization"], `Bearer ${b}`);
    put(context, a, "rotated/token");
    assert.is((await credentials()).headers["Authorization"], `Bearer ${a}`);
    rmSync(join(dirname(file), "token"));
    assert.is(
      (await credentials()).headers["Authorization"],
      `Bearer ${a}`,
      "the last one while it is missing",
    );
  });

  test("all programs are who the file says, by the way that it says", async (context) => {
    const { proxies: { socks }, tokens: { a }, plane } = context;
    put(context, `${a}\n`, "programs/token.txt");
    const file = put(
      context,
      config(
        cluster(
          context,
          { "proxy-url": `socks5://127.0.0.1:${socks.port}`, "tls-server-name": "127.0.0.1" },
          "api.test",
        ),
        {
          tokenFile: "token.txt",
          as: "jane",
          "as-groups": ["dev", "ops"],
        },
      ),
      "programs/config",
    );
    const says = /User "jane" cannot (?:get|list|watch|create|patch)/;
    const module = policy("tests/policies/host-caller/policy.wasm");
    const get = {
      namespace: "kubernetes",
      operation: "get_resource",
      payload: { api_version: "v1", kind: "Namespace", name: "default" },
    };
    const request = put(context, hostCallRequest(get), "programs/request.json");
    const granted = put(context, {
      apiVersion: "policies.kubewarden.io/v1",
      kind: "ClusterAdmissionPolicy",
      metadata: { name: "a" },
      spec: {
        module: `file://${module}`,
        mutating: false,
        rules: [],
        contextAwareResources: [{ apiVersion: "v1", kind: "Namespace" }],
      },
    }, "programs/policy.json");
    const policies = put(context, {
      a: {
        module: `file://${module}`,
        hostCapabilities: ["*"],
        contextAwareResources: [{ apiVersion: "v1", kind: "Namespace" }],
      },
    }, "programs/policies.yml");
    const certificates = join(context.folder, "serving");
    const { cert, key } = await plane.authority.issue({ commonName: "127.0.0.1", dns: ["127.0.0.1"] });
    put(context, cert, "serving/tls.crt");
    put(context, key, "serving/tls.key");
    const [webhooks, probes, serving, readiness] = await freePorts(4) as [number, number, number, number];
    const programs: readonly (readonly [string, readonly string[], Environment])[] = [
      ["reeve", [bundleFile("reeve"), "run", granted, "-r", request], { KUBECONFIG: file }],
      ["audit", [bundleFile("audit"), "--disable-store"], { KUBECONFIG: file }],
      ["controller", [
        bundleFile("controller"),
        "--deployments-namespace=kubewarden",
        `--kubeconfig=${file}`,
        `--webhook-server-port=${webhooks}`,
        `--health-probe-bind-address=127.0.0.1:${probes}`,
        "--metrics-bind-address=0",
      ], { PORTREEVE_WEBHOOK_CERTIFICATES: certificates }],
      ["policy server", [
        bundleFile("policy_server"),
        "--policies",
        policies,
        "--addr",
        "127.0.0.1",
        "--port",
        String(serving),
        "--readiness-probe-port",
        String(readiness),
      ], { KUBECONFIG: file }],
    ];
    seen(context);
    for (const [name, args, env] of programs) {
      const child = spawn(process.execPath, args, {
        cwd: context.folder,
        stdio: ["ignore", "pipe", "pipe"],
        env: { PATH: process.env["PATH"], HOME: context.folder, HTTPS_PROXY: "http://127.0.0.1:1", ...env },
      });
      let output = "";
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding("utf8").on("data", (part: string) => output += part.replaceAll("\\", ""));
      }
      const ended = new Promise((resolve) => child.once("close", resolve));
      try {
        if (name === "policy server") {
          await until(
            `${name} is ready`,
            async () =>
              await fetch(`http://127.0.0.1:${readiness}/readiness`).then(({ ok }) => ok, () => false),
          );
          const review = {
            apiVersion: "admission.k8s.io/v1",
            kind: "AdmissionReview",
            request: hostCallRequest(get),
          };
          const answer = await fetch(`http://127.0.0.1:${serving}/validate/a`, {
            method: "POST",
            headers: { "content-type": "application/json" },
            body: JSON.stringify(review),
          });
          output += (await answer.text()).replaceAll("\\", "");
        } else {
          await until(`${name} says who it is`, () => says.test(output)).catch(() => {});
        }
        assert.match(output, says, `${name}: ${output}`);
      } finally {
        child.kill("SIGTERM");
        await ended;
      }
      assert.is(seen(context), `socks: SOCKS api.test:${context.port}`, name);
    }
  });
}

test.run();
