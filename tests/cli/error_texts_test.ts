// What is said of things that are wrong, where the words, or the exit code, are scripts' business too.
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { withCustomSection } from "../../evaluator/render/custom_section.ts";
import { startServer } from "../artifact/_server.ts";
import { inPlace, PLAIN, POLICY } from "./place.ts";
import { signingKey } from "./signing.ts";

const METADATA = `rules: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]
mutating: false
`;

test("a folder is no policy, whatever is done with it", () =>
  inPlace(async ({ reeve, cwd }) => {
    mkdirSync(join(cwd, "folder"));
    for (
      const words of [
        ["inspect", "folder"],
        ["push", "folder", "localhost:1/x:v1"],
        ["scaffold", "manifest", "-t", "AdmissionPolicy", "folder"],
      ]
    ) {
      const { exit, stdout, stderr } = await reeve(...words);
      assert.equal([exit, stdout], [1, ""]);
      assert.match(
        stderr,
        /^Error: cannot read \/\S+\/folder: Is a directory \(os error 21\)\n$/,
        words.join(" "),
      );
    }
  }));

test("a version that is none can't be read; a capability that this version does not know is declared in vain", () =>
  inPlace(async ({ reeve, recorded, file }) => {
    recorded("plain.wasm");
    const annotate = (more: string) => {
      file("m.yml", METADATA + more);
      return reeve("annotate", "-m", "m.yml", "-o", "out.wasm", "plain.wasm");
    };
    const version = await annotate('minimumKubewardenVersion: "1.36"\n');
    assert.is(version.exit, 1);
    assert.is(
      version.stderr,
      'Error: Error unmarshalling metadata minimumKubewardenVersion: "1.36" is not a semantic version at line 3 column 27 in m.yml\n',
    );
    const capability = await annotate("hostCapabilities: [oci/v9/sign]\n");
    assert.is(capability.exit, 0);
    assert.match(
      capability.stderr,
      /^TIME {2}WARN reeve: host capabilities declared in metadata but not detected in the policy capabilities=\{"oci\/v9\/sign"\}\n$/,
    );
  }));

test("a policy that can't be verified isn't validated, whatever the reason", () =>
  inPlace(async ({ reeve, file }) => {
    file("key.pub", signingKey().pem);
    // A port on which nothing listens any more.
    const server = await startServer((_, response) => void response.end());
    await server.stop();
    const local = `file://${file("policy.wasm", "")}`;
    for (
      const [command, uri] of [
        ["pull", `registry://${server.host}/policies/x:v1`],
        ["pull", local],
        ["verify", local],
      ] as const
    ) {
      const { exit, stdout, stderr } = await reeve(command, "-k", "key.pub", uri);
      assert.equal([exit, stdout], [1, ""]);
      assert.ok(stderr.startsWith(`Error: Policy ${uri} cannot be validated\n`), stderr);
      assert.is(stderr.split("\n").length, 3, "and why, in one line");
    }
  }));

test("every error is a line, or lines, that name what is wrong, where, and what to do", () =>
  inPlace(async ({ reeve, file, recorded, cwd }) => {
    recorded("plain.wasm");
    file("prose.txt", "hi\nthere\n");
    file("empty.wasm", Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));
    file("ok.json", `{"uid":"1"}`);
    file("unkind.json", `{"request":{"uid":"u"}}`);
    file("pod.yml", "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n");
    // An export that begins with opa_ is what makes a module one of Rego.
    file(
      "rego.wasm",
      Uint8Array.of(
        0,
        0x61,
        0x73,
        0x6d,
        1,
        0,
        0,
        0,
        5,
        3,
        1,
        0,
        1,
        7,
        9,
        1,
        5,
        ...Buffer.from("opa_x"),
        2,
        0,
      ),
    );
    const resource = (name: string, module: string, settings: string) =>
      "apiVersion: policies.kubewarden.io/v1\nkind: ClusterAdmissionPolicy\n" +
      `metadata: {name: ${name}}\nspec: {module: "file://${module}", settings: ${settings}}\n`;
    file("two.yml", `${resource("good", POLICY, "{}")}---\n${resource("bad", POLICY, "{x: 1}")}`);
    file(
      "versions.yml",
      `${resource("good", POLICY, "{}")}---\n${resource("rego", join(cwd, "rego.wasm"), "{}")}`,
    );
    const rows: readonly (readonly [string, RegExp])[] = [
      [
        "push empty.wasm localhost:1/x:v1",
        /not annotated\. Use `annotate` command or `push --force`: \S+empty\.wasm$/,
      ],
      [
        `push ${POLICY} file:///x`,
        /Invalid destination format: file:\/\/\/x \(write registry:\/\/HOST\/PATH:TAG\)$/,
      ],
      [
        "rm file:///tmp/x",
        /unknown scheme: file \(file:\/\/\/tmp\/x is not in the store: delete the file itself\)$/,
      ],
      [
        "verify registry://localhost:1/x:v1",
        /could not retrieve sigstore options: say who must have signed registry:\/\/localhost:1\/x:v1, by --/,
      ],
      ["run prose.txt -r ok.json", /prose\.txt: not a WebAssembly module/],
      ["run empty.wasm -r ok.json", /empty\.wasm: unable to rehydrate wapc module: cannot build Wapc host: /],
      [`run ${POLICY} -r prose.txt`, /Error parsing request prose\.txt: [^ ]/],
      [`run ${POLICY} -r absent.json`, /Error opening request file absent\.json; No such file/],
      [
        `run ${POLICY} --settings-path prose.txt -r ok.json`,
        /Invalid settings in CRD, not an object: prose\.txt$/,
      ],
      [`run ${POLICY} --settings-path absent -r ok.json`, /Cannot open settings file absent: No such file/],
      [
        `run ${POLICY} -r unkind.json`,
        /missing field `uid` in the object; it has a request, and its kind is not AdmissionReview \(unkind\.json\)$/,
      ],
      ["run two.yml -r pod.yml", /Provided settings are not valid: .*unknown field `x`.* \(policy bad\)$/],
      [
        "run versions.yml -r pod.yml",
        /The policy has been created with Rego, please specify which Opa runtime has to be used.* \(file:\S+rego\.wasm\)$/,
      ],
      [`annotate ${POLICY} -m absent.yml -o o.wasm`, /Error opening metadata file: .*: absent\.yml$/],
      [`annotate ${POLICY} -m prose.txt -o o.wasm`, /Error unmarshalling metadata .* in prose\.txt$/],
      [`annotate ${POLICY} -u absent.md -o o.wasm`, /Error reading usage file: .*: absent\.md$/],
      [`annotate ${POLICY} -a a=@absent -o o.wasm`, /Error reading annotation file: .*: absent$/],
      ["annotate absent.wasm -a a=b -o o.wasm", /Error reading wasm file: .*: absent\.wasm$/],
      [
        "annotate prose.txt -a a=b -o o.wasm",
        /Error parsing wasm module: prose\.txt: not a WebAssembly module/,
      ],
      [
        "scaffold vap -p prose.txt -b prose.txt",
        /cannot convert given data into a ValidatingAdmissionPolicy: .*prose\.txt/,
      ],
      [
        "scaffold admission-request --operation CREATE --object prose.txt",
        /object defined inside of prose\.txt is missing types/,
      ],
      ["scaffold artifacthub", /'metadata\.yml' not found: give it with --metadata-path$/],
      ["load --input absent.tar", /absent\.tar: No such file/],
      ["load --input prose.txt", /prose\.txt/],
      ["test absent.yml", /cannot read absent\.yml: No such file/],
      ["test prose.txt", /prose\.txt: expected a map/],
      [`bench ${POLICY} -r prose.txt`, /Error parsing request prose\.txt/],
      [`explain ${POLICY} -r prose.txt`, /Error parsing request prose\.txt/],
    ];
    const wrong: string[] = [];
    for (const [line, says] of rows) {
      const { exit, stderr } = await reeve(...line.split(" "));
      const error = stderr.split("\n").filter((one) => !/^(?:TIME| *$)/.test(one));
      if (exit !== 1 || error.length !== 1 || !says.test(error[0]!)) wrong.push(`${line}: ${exit} ${stderr}`);
    }
    assert.is(wrong.join("\n").replaceAll(cwd, "."), "");
  }));

test("that signatures can't be asked for is not that there are none", () =>
  inPlace(async ({ reeve, stored, file }) => {
    const server = await startServer((_, response) =>
      void response.writeHead(500).end("unknown, not found, 404")
    );
    try {
      file("sources.yaml", `insecure_sources: ["${server.host}"]`);
      stored(`registry/${server.host}/x:v1`, readFileSync(POLICY));
      const { exit, stdout } = await reeve(
        ...[
          "inspect",
          "--show-signatures",
          "--sources-path",
          "sources.yaml",
          `registry://${server.host}/x:v1`,
        ],
      );
      assert.is(exit, 0);
      assert.match(stdout, "Cannot determine if the policy has been signed.");
      assert.not.match(stdout, "No sigstore signatures");
    } finally {
      await server.stop();
    }
  }));

test("a policy's URI is shown in one line, bounded, and without the password in it", () =>
  inPlace(async ({ reeve, file }) => {
    const bodies: Readonly<Record<string, Uint8Array>> = {
      "/page.wasm": Buffer.from("<html>login</html>"),
      "/version.wasm": withCustomSection(
        readFileSync(PLAIN),
        "io.kubewarden.metadata",
        Buffer.from("{"),
      ),
      "/plain.wasm": readFileSync(PLAIN),
    };
    const server = await startServer((request, response) => {
      const body = bodies[(request.url ?? "").split("?")[0]!];
      response.writeHead(body === undefined ? 404 : 200);
      response.end(body);
    });
    try {
      file("sources.yaml", `insecure_sources: ["${server.host}"]`);
      file("request.json", "{}");
      const at = (path: string) => `${server.base.replace("//", "//me:s3cret@")}${path}`;
      const sources = ["--sources-path", "sources.yaml"];
      const long = at(`/absent.wasm?${"x".repeat(50_000)}`);
      for (
        const words of [
          ["run", "-r", "request.json", ...sources, at("/page.wasm")],
          ["run", "-r", "request.json", ...sources, at("/version.wasm")],
          ["run", "-r", "request.json", ...sources, at("/absent.wasm")],
          ["pull", ...sources, at("/absent.wasm")],
          ["pull", ...sources, long],
          ["verify", at("/plain.wasm")],
          ["inspect", at("/plain.wasm")],
          ["rm", at("/plain.wasm")],
          ["save", "-o", "x.tar", at("/plain.wasm")],
          ["push", at("/plain.wasm"), "localhost:1/x:v1"],
          ["scaffold", "manifest", "-t", "AdmissionPolicy", ...sources, at("/absent.wasm")],
          ["digest", at("/plain.wasm")],
          ["inspect", at("/a\nError: forged")],
        ]
      ) {
        const { exit, stdout, stderr } = await reeve(...words);
        const what = words.join(" ").slice(0, 100);
        assert.is.not(exit, 0, what);
        assert.not.match(stdout + stderr, "s3cret", what);
        assert.ok(stderr.length < 5_000, `${what}: ${stderr.length} characters`);
        assert.not.match(stderr, /^Error: forged/m, what);
      }
    } finally {
      await server.stop();
    }
  }));

test.run();
