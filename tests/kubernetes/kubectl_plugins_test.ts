// Plugins that give credentials.
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import * as assert from "uvu/assert";
import { config, put } from "./kubeconfig_file.ts";
import {
  A,
  base64,
  besideKubectl,
  cluster,
  compare,
  type Environment,
  type Fields,
  kubectl,
  ours,
  type Row,
  seen,
} from "./kubectl.ts";

const PLUGIN = `#!/bin/sh
printf '%s' "$KUBERNETES_EXEC_INFO" > "$INFO"
echo x >> "$INFO.runs"
echo "chatter on stderr" >&2
printf '%s' "$ANSWER"
exit \${CODE:-0}
`;

besideKubectl("exec plugins", (test) => {
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
});
