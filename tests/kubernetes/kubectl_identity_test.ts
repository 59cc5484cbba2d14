// Whom a kubeconfig's user stands for.
import { rmSync } from "node:fs";
import { dirname, join } from "node:path";
import * as assert from "uvu/assert";
import { connect } from "../../kubernetes/apply/api_transport.ts";
import { loadKubeconfig } from "../../kubernetes/apply/kubeconfig.ts";
import { config, put } from "./kubeconfig_file.ts";
import { A, base64, besideKubectl, cluster, compare, type Fields, type Row } from "./kubectl.ts";

besideKubectl("whom a kubeconfig stands for", (test) => {
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
});
