// What can go wrong is said in one place, with its text and exit code, and leaves nothing half done (spec/cli.md §1, §3).
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { startServer } from "../artifact/_server.ts";
import { inPlace, POLICY, root, type TestPlace } from "./place.ts";

const policy = readFileSync(POLICY);
const decoder = new TextDecoder();

/** A server that sends the beginning of a module and then nothing more; `asked` resolves when it has. */
async function neverEnding() {
  let started = () => {};
  const asked = new Promise<void>((resolve) => started = resolve);
  const server = await startServer((_, response) => {
    response.writeHead(200, { "content-length": "1000000" });
    response.write(policy.subarray(0, 4096));
    started();
  });
  return { server, asked };
}

const allowing = (place: TestPlace, host: string) =>
  place.file("sources.yaml", `insecure_sources: ["${host}"]\n`);

test("a pull that is interrupted ends at once, without a word, and leaves nothing", () =>
  inPlace(async (place) => {
    const { server, asked } = await neverEnding();
    try {
      allowing(place, server.host);
      const stop = new AbortController();
      const pulling = place.reeveWith(
        { signal: stop.signal },
        "pull",
        "--sources-path",
        "sources.yaml",
        `${server.base}/p.wasm`,
      );
      await asked;
      stop.abort();
      const { exit, stdout, stderr } = await pulling;
      assert.equal([exit, stdout], [130, ""]);
      assert.not.match(stderr, / at |\.ts:/);
      assert.equal(place.inStore(), []);
    } finally {
      await server.stop();
    }
  }));

test("Ctrl-C in the terminal does the same to the process", () =>
  inPlace(async (place) => {
    const { server, asked } = await neverEnding();
    try {
      allowing(place, server.host);
      const words = ["pull", "--sources-path", "sources.yaml", "-o", "out.wasm", `${server.base}/p.wasm`];
      const child = spawn(process.execPath, [join(root, "cli/main.ts"), ...words], {
        cwd: place.cwd,
        env: { PATH: process.env["PATH"] ?? "", HOME: place.home },
        stdio: ["ignore", "pipe", "pipe"],
      });
      let output = "";
      for (const stream of [child.stdout, child.stderr]) stream.on("data", (piece) => output += piece);
      await asked;
      child.kill("SIGINT");
      const [code] = await new Promise<[number | null]>((resolve) =>
        child.on("close", (status) => resolve([status]))
      );
      assert.is(code, 130, output);
      assert.not.match(output, /\n +at /);
      assert.equal(readdirSync(place.cwd), ["sources.yaml"]);
    } finally {
      await server.stop();
    }
  }));

function tinyDisk(folder: string): boolean {
  mkdirSync(folder, { recursive: true });
  return spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]).status === 0;
}

// Only root can make a file system that is full.
const canMount = await (async () => {
  let mounted = false;
  await inPlace(({ cwd }) => {
    mounted = tinyDisk(join(cwd, "disk"));
    if (mounted) spawnSync("umount", [join(cwd, "disk")]);
    return Promise.resolve();
  });
  return mounted;
})();
if (!canMount) test.skip("a full disk: run the tests as root of a machine that may mount a tmpfs", () => {});
const mounting = (canMount ? test : test.skip) as typeof test;

mounting("a full disk is named, and holds no part of what was written", () =>
  inPlace(async (place) => {
    const { reeve, reeveWith, file, cwd, home } = place;
    const disk = join(cwd, "disk");
    assert.ok(tinyDisk(disk));
    const server = await startServer((_, response) => void response.end(policy));
    try {
      allowing(place, server.host);
      file("policy.wasm", policy);
      file("m.yml", "rules: []\nmutating: false\n");
      const env = { HOME: home, XDG_CACHE_HOME: disk };
      const pulled = await reeveWith(
        { env },
        "pull",
        "--sources-path",
        "sources.yaml",
        `${server.base}/p.wasm`,
      );
      assert.is(pulled.exit, 1);
      assert.match(
        pulled.stderr,
        /^Error: wasm module cannot be save to "[^"]+": [^\n]*(no space|os error 28)[^\n]*\n$/i,
      );
      for (
        const words of [
          ["save", "-o", "disk/x.tgz", "policy.wasm"],
          ["annotate", "-m", "m.yml", "-o", "disk/x.wasm", "policy.wasm"],
        ]
      ) {
        const { exit, stderr } = await reeve(...words);
        assert.is(exit, 1);
        assert.match(stderr, /^Error: cannot [^\n]*No space left on device \(os error 28\)\n$/);
      }
      const kept = spawnSync("find", [disk, "-type", "f"]);
      assert.is(decoder.decode(kept.stdout), "");
    } finally {
      spawnSync("umount", [disk]);
      await server.stop();
    }
  }));

test("a file that takes nothing, and one that can not be made, are named", () =>
  inPlace(async ({ reeve, file }) => {
    if (!existsSync("/dev/full")) return;
    file("policy.wasm", policy);
    file("m.yml", "rules: []\nmutating: false\n");
    for (
      const [words, text] of [
        [["docs", "-o", "/dev/full"], "cannot write to file /dev/full"],
        [["annotate", "-m", "m.yml", "-o", "/dev/full", "policy.wasm"], "cannot write /dev/full"],
        [["docs", "-o", "/no/such/x.md"], "cannot create file /no/such/x.md"],
      ] as const
    ) {
      const { exit, stderr } = await reeve(...words);
      assert.is(exit, 1);
      assert.ok(stderr.startsWith(`Error: ${text}: `), stderr);
      assert.is(stderr.split("\n").length, 2);
    }
  }));

test("a network that is missing is named once, in one line", () =>
  inPlace(async ({ reeve }) => {
    for (
      const words of [["pull", "registry://localhost:1/a/b:v1"], ["pull", "https://localhost:1/p.wasm"], [
        "digest",
        "localhost:1/a/b",
      ]]
    ) {
      const { exit, stdout, stderr } = await reeve(...words);
      assert.equal([exit, stdout], [1, ""]);
      assert.match(stderr, /^Error: [^\n]*cannot reach https:\/\/localhost:1: [^\n]+\n$/);
    }
  }));

test("what is local stays local", () =>
  inPlace(async (place) => {
    const { reeveWith, file, recorded, cwd, home } = place;
    const server = await startServer((_, response) => void response.end());
    try {
      recorded("plain.wasm", "meta-full.yml", "vap.yml", "binding.yml", "ok.json");
      file("policy.wasm", policy);
      const env = Object.fromEntries(
        ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"].map((name) => [name, server.base]),
      );
      for (
        const line of [
          "annotate -m meta-full.yml -o full.wasm plain.wasm",
          "inspect full.wasm",
          "inspect -o yaml full.wasm",
          "run full.wasm -r ok.json",
          "save -o x.tgz full.wasm policy.wasm",
          "load --input x.tgz",
          "policies",
          `rm https://localhost${cwd}/full.wasm`,
          "scaffold manifest -t ClusterAdmissionPolicy full.wasm",
          "scaffold vap -p vap.yml -b binding.yml --cel-policy ghcr.io/kubewarden/policies/cel-policy:v1",
          "scaffold artifacthub -m meta-full.yml",
          "scaffold verification-config",
          "info",
          "docs -o x.md",
          "completions -s bash",
          "--version",
        ]
      ) {
        const { exit, stderr } = await reeveWith({ env: { HOME: home, ...env } }, ...line.split(" "));
        assert.is(exit, 0, `${line}: ${stderr}`);
      }
      assert.equal(server.requests.map(({ line }) => line), []);
      assert.not(existsSync(join(home, ".config")));
    } finally {
      await server.stop();
    }
  }));

test("who must have signed: contradictions, halves, and files that aren't there", () =>
  inPlace(async ({ reeve, file, recorded }) => {
    recorded("verif.yml");
    file("key.pub", "key");
    file("trust.json", "{}");
    file("typo.yml", "apiVersion: v1\nallOf: []\nmore: 1\n");
    file("empty.yml", "apiVersion: v1\n");
    file("v2.yml", "apiVersion: v2\nallOf: []\n");
    const keyless = ["--cert-email", "a@b", "--cert-oidc-issuer", "https://i"];
    const cases: readonly (readonly [readonly string[], number, string])[] = [
      [
        [],
        1,
        "Error: could not retrieve sigstore options: say who must have signed registry://localhost:1/a/b:v1, by " +
        "--verification-config-path, --verification-key, --github-owner, or --cert-email with --cert-oidc-issuer\n",
      ],
      [
        ["-k", "key.pub", "--verification-config-path", "verif.yml"],
        1,
        "Error: verification-config-path cannot be used in conjunction with other verification flags\n",
      ],
      [
        ["-a", "a=b"],
        1,
        "Error: Intending to verify annotations, but no verification keys, OIDC issuer or GitHub owner were passed\n",
      ],
      [
        ["--github-repo", "r"],
        1,
        "Error: Intending to verify GitHub actions signature, but the repository owner is missing.\n",
      ],
      ...[["--cert-email", "a@b"], ["--cert-oidc-issuer", "https://i"]].map((flags) =>
        [
          flags,
          1,
          "Error: Intending to verify OIDC issuer, but no email or issuer were provided. You must pass the email " +
          "and OIDC issuer to be validated together \n",
        ] as const
      ),
      [
        ["-k", "absent.pub"],
        1,
        "Error: could not read file absent.pub: No such file or directory (os error 2)\n",
      ],
      [
        ["-k", "key.pub", "-a", "nothing"],
        2,
        "error: invalid value 'nothing' for '--verification-annotation",
      ],
      [["--verification-config-path", "typo.yml"], 1, "Error: Not a valid configuration file: "],
      [
        ["--verification-config-path", "empty.yml"],
        1,
        "Error: config is missing signatures in both allOf and anyOff list (",
      ],
      [["--verification-config-path", "v2.yml"], 1, "Error: Not a supported configuration version: "],
      [
        [...keyless, "--sigstore-trust-config", "absent.json"],
        1,
        "Error: could not read Sigstore trust config file ",
      ],
      [
        [...keyless, "--sigstore-trust-config", "key.pub"],
        1,
        "Error: could not parse Sigstore trust config file ",
      ],
      [[...keyless, "--sigstore-trust-config", "trust.json"], 1, "Error: Sigstore trust config file "],
      [
        ["--cert-email", "a", "--cert-email", "b"],
        2,
        "error: the argument '--cert-email <VALUE>' cannot be used multiple times",
      ],
    ];
    for (const [flags, code, text] of cases) {
      for (const command of flags.length === 0 ? ["verify"] : ["verify", "pull"]) {
        const { exit, stdout, stderr } = await reeve(command, ...flags, "localhost:1/a/b:v1");
        assert.equal([exit, stdout], [code, ""], `${flags.join(" ")}: ${stderr}`);
        assert.ok(stderr.startsWith(text), stderr);
      }
    }
  }));

test("files of sources: what is wrong with them, and what isn't", () =>
  inPlace(async ({ reeve, file, home }) => {
    const failing = async (...flags: string[]) => (await reeve("digest", ...flags, "localhost:1/a")).stderr;
    file("s.yaml", "insecure_sources: 1\n");
    assert.match(await failing("--sources-path", "s.yaml"), /^Error: Error getting remote server options: /);
    assert.match(
      await failing("--sources-path", "absent.yaml"),
      /^Error: Error getting remote server options: /,
    );
    file("s.yaml", "source_authorities: {h: [{type: Data, data: nonsense}]}\n");
    assert.match(
      await failing("--sources-path", "s.yaml"),
      "Raw certificate is not in PEM nor in DER encoding",
    );
    mkdirSync(join(home, ".config/kubewarden"), { recursive: true });
    writeFileSync(join(home, ".config/kubewarden/sources.yaml"), "insecure_sources: 1\n");
    assert.match(
      await failing(),
      /^Error: Error getting remote server options: /,
      "the default file counts, too",
    );
    file("good.yaml", "insecure_sources: []\nunknown: 1\n");
    assert.match(await failing("--sources-path", "good.yaml"), "cannot reach https://localhost:1");
  }));

test("no stack trace, unless --verbose asks for it", () =>
  inPlace(async ({ reeve, file }) => {
    file("text.wasm", "text");
    assert.is((await reeve("inspect", "text.wasm")).stderr.split("\n").length, 2);
    assert.match((await reeve("--verbose", "inspect", "text.wasm")).stderr, /\n +at /);
    assert.is(
      (await reeve("inspect", "--verbose", "text.wasm")).exit,
      2,
      "root flags stand before the command",
    );
  }));

test("a terminal is told what is pulled, a pipe isn't", () =>
  inPlace(async (place) => {
    const server = await startServer((_, response) => void response.end(policy));
    try {
      allowing(place, server.host);
      const words = ["pull", "--sources-path", "sources.yaml", `${server.base}/p.wasm`];
      const terminal = { out: true, err: true, columns: 80 };
      const told = await place.reeveWith({ terminal }, ...words);
      assert.is(told.stdout, "");
      assert.match(told.stderr, `Pulling policy from ${server.base}/p.wasm\n`);
      assert.match(told.stderr, `Successfully pulled policy from ${server.base}/p.wasm\n`);
      assert.is((await place.reeve(...words, "-o", "again.wasm")).stderr, "");
    } finally {
      await server.stop();
    }
  }));

test.run();
