// Files that hold passwords and tokens: what is said of one that can't be read names the place, and quotes nothing of it.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseDockerConfig } from "../artifact/types/docker_config.ts";
import { parseSources } from "../artifact/types/sources.ts";
import { parseVerificationConfig } from "../artifact/types/verification_config.ts";
import { readSession } from "../cli/render/exchange.ts";
import { readAllowedResources } from "../controller/render/allowed_resources.ts";
import { readDefaults } from "../controller/render/read_defaults.ts";
import { loadKubeconfig } from "../kubernetes/apply/kubeconfig.ts";
import { parsePolicies } from "../policy_server/types/policies.ts";
import { readDocument } from "../policy_server/types/read_document.ts";
import { readYamlStream } from "../policy_server/types/yaml_document.ts";

const SECRET = "hunter2";

/** Texts that no parser takes; each has the secret near to, or in, what is wrong. */
const BROKEN: Readonly<Record<string, string>> = {
  "a line too many": `a: b\n  http_proxy: http://user:${SECRET}@proxy\n`,
  "an alias": `password: *${SECRET}\n`,
  "a tag": `password: !<${SECRET} x\n`,
  "an unknown tag's handle": `password: !${SECRET}!x y\n`,
  "a bracket": `password: ]${SECRET}\n`,
  "a bracket behind it": `password: [${SECRET}]]\n`,
  "an open bracket": `password: [${SECRET}\n`,
  "an open quote": `password: "${SECRET}\n`,
  "text behind a quote": `password: "a"${SECRET}\n`,
  "an escape": `password: "\\q${SECRET}"\n`,
  "a block's header": `password: |${SECRET}\n  a\n`,
  "a directive": `%${SECRET} a\n---\n`,
  "a directive without its text": `%TAG ${SECRET}\n---\na\n`,
  "a percent sign": `password: %${SECRET}\n`,
  "an at": `password: @${SECRET}\n`,
  "a tab": `a:\n\t${SECRET}: b\n`,
  "the same key twice": `${SECRET}: 1\n${SECRET}: 2\n`,
  "a map in a line": `password: ${SECRET}: b\n`,
  "an anchor twice": `password: &${SECRET} &${SECRET} a\n`,
  "two documents": `password: ${SECRET}\n---\npassword: ${SECRET}\n`,
  "an alias in itself": `&${SECRET} a: [*${SECRET}]\n`,
  "JSON": `{"password": "${SECRET}",,}`,
  "JSON with a bare word": `{"password": ${SECRET}"}`,
};

/** Texts that are of another shape. */
const MISSHAPEN: Readonly<Record<string, string>> = {
  "a text": SECRET,
  "a list": `[${SECRET}]`,
  "proxies as a text": `proxies: http://user:${SECRET}@proxy`,
  "proxies as a list": `proxies: [http://user:${SECRET}@proxy]`,
  "a proxy as a list": `proxies: {https_proxy: [http://user:${SECRET}@proxy]}`,
  "a proxy as a map": `proxies: {https_proxy: {${SECRET}: ${SECRET}}}`,
  "auths as a text": `{"auths": "${SECRET}"}`,
  "an auth as a text": `{"auths": {"a": "${SECRET}"}}`,
  "a session's request": `- type: Exchange\n  request: ${SECRET}\n  response: ${SECRET}\n`,
  "a session's broken request": `- type: Exchange\n  request: "a: [${SECRET}"\n  response: ${SECRET}\n`,
  "a login in the server's address":
    `{clusters: [{name: a, cluster: {server: "ftp://user:${SECRET}@host"}}], contexts: [{name: a, context: {cluster: a}}], current-context: a}`,
  "a token in the wrong place": `{users: [{token: ${SECRET}}]}`,
};

const folder = mkdtempSync(join(tmpdir(), "secret-quoting-"));
test.after(() => rmSync(folder, { recursive: true, force: true }));

const READERS: Readonly<Record<string, (text: string) => unknown>> = {
  "sources.yml": parseSources,
  "verification.yml": parseVerificationConfig,
  "config.json": parseDockerConfig,
  "policies.yml": readDocument,
  "a stream of documents": readYamlStream,
  "a session": (text) => readSession(text, "session.yml"),
  "the allowed resources": (text) => ({ problems: readAllowedResources(text).problems }),
  "the default resources": (text) => ({ problems: readDefaults({ a: text }).problems }),
  "a kubeconfig": (text) => {
    const file = join(folder, "kubeconfig");
    writeFileSync(file, text);
    return loadKubeconfig(file);
  },
};

test("a private key in the place of a file that names it is not quoted", () => {
  const pem = `-----BEGIN PRIVATE KEY-----\n${SECRET}\n-----END PRIVATE KEY-----\n`;
  const deeper = ["a", "apiVersion", "allOf", "anyOf", "kind"].map((name) =>
    `${name}: |\n${pem.replace(/^/gm, "  ")}`
  );
  for (const text of [pem, ...deeper, `allOf:\n- |\n${pem.replace(/^/gm, "  ")}`]) {
    const readers = [
      parseVerificationConfig,
      parseSources,
      (text: string) => parsePolicies(text, "policies.yml"),
    ];
    for (const read of readers) {
      try {
        read(text);
      } catch (error) {
        assert.not.match((error as Error).message, SECRET);
      }
    }
  }
});

for (const [reader, read] of Object.entries(READERS)) {
  test(`${reader}: errors hold nothing of the file`, async () => {
    let refused = 0;
    for (const [name, text] of Object.entries({ ...BROKEN, ...MISSHAPEN })) {
      let said: string;
      try {
        // What is no error may tell of one in what it gives.
        const { problems = [] } = (await read(text) ?? {}) as { readonly problems?: readonly string[] };
        refused += problems.length;
        said = problems.join("\n");
      } catch (error) {
        refused++;
        said = `${(error as Error).message}\n${inspect(error, { depth: 10 })}`;
      }
      // Values of the verification's configuration are named: it holds no secrets.
      if (reader === "verification.yml" && /unknown field|invalid type/.test(said)) continue;
      assert.not.match(said, SECRET, `${name}: ${said}`);
    }
    assert.ok(refused > 5, `${refused}`);
  });
}

test.run();
