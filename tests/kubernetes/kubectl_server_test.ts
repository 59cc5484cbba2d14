// Which server a kubeconfig names, by which way it is reached, and what several files say together.
import { readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import * as assert from "uvu/assert";
import { parseDocument } from "../../deps.ts";
import { mergeKubeconfigs, readKubeconfigDocument } from "../../kubernetes/types/kubeconfig.ts";
import { createAuthority } from "../cluster/certificates.ts";
import { config, put } from "./kubeconfig_file.ts";
import {
  A,
  base64,
  besideKubectl,
  cluster,
  compare,
  type Environment,
  type Fields,
  KUBECTL,
  type Row,
  run,
} from "./kubectl.ts";
import type { Proxy } from "./proxies.ts";

/** A block that is no certificate. */
const NONE = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

besideKubectl("where a kubeconfig leads", (test) => {
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
        ...[
          `${NONE}${plane.authority.cert}`,
          `${plane.authority.cert}\n${NONE}`,
          `${plane.authority.key}\n${NONE}${plane.authority.cert}`,
        ]
          .map((text, index) =>
            row(
              `an authority beside a block that is none, ${index}`,
              { server, "certificate-authority-data": base64(text) },
              A,
            )
          ),
        row(
          "an authority's block with headers",
          {
            server,
            "certificate-authority-data": base64(
              `${
                plane.authority.cert.replace("CERTIFICATE-----\n", "CERTIFICATE-----\nA: b\n\n")
              }${stranger.cert}`,
            ),
          },
          /is not signed by the authority of context "c"/,
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
          "a name that begins as this machine's address does, without a scheme",
          { server: `127.evil.test:${gateway.port}` },
          /which is no http or https URL: write https:\/\/ before it/,
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
      ...[
        "0.0.0.0",
        "0.0.0.0/8",
        `0.0.0.0:${port}`,
        "*",
        " other.test , 0.0.0.0 ",
        "::/0,0.0.0.0",
        "0.0.0.0:",
        "000.0.0.0/8",
        "::ffff:0.0.0.0",
        "::ffff:0.0.0.0/104",
      ].map((list) => far(`NO_PROXY ${list}`, "0.0.0.0", { HTTPS_PROXY: gone, NO_PROXY: list }, "")),
      ...[
        "0.0.0.0:1",
        "000.0.0.0",
        " 000.0.0.0/8",
        "0.0.0.0.",
        "[0.0.0.0]",
        "::ffff:0.0.0.0/95",
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
      ...[".api.test", "*.api.test", "api.test.", ":443", "pi.test", "api.test:443", "other.test"].map((
        list,
      ) =>
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
});
