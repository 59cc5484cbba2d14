// The images as files: the same twice, small, nobody's but root's, without anything that a program does not need, and told what they
// are made of. That they run is shown on the node (tests/cluster/node).
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { loadTar } from "../../deps.ts";
import { COMPONENTS } from "../../deploy/images/components.ts";
import { digestOf } from "../../deploy/images/layer.ts";
import { pushLayout } from "../../deploy/images/push.ts";
import { NO_SOURCES } from "../../artifact/mod.ts";
import { REGISTRY_BINARY, REGISTRY_MISSING, startRegistry } from "../artifact/_registry.ts";

type Context = { folder: string };
const test = suite<Context>("images", {} as Context);
const root = fileURLToPath(new URL("../../", import.meta.url));
const STRIP = "/usr/bin/aarch64-linux-gnu-strip";
const MISSING =
  "needs apt-get and binutils for both architectures: apt-get install binutils binutils-aarch64-linux-gnu";
// deno-lint-ignore no-explicit-any
type Any = any;

/** Builds with Node whatever runs the test: builds are the same on one runtime. */
function build(...args: string[]): string {
  const node = join(root, "node_modules/.bin/node");
  const { status, stdout, stderr } = spawnSync(node, ["deploy/images/build.ts", ...args], {
    cwd: root,
    encoding: "utf8",
  });
  assert.is(status, 0, stderr);
  return stdout;
}

const blob = (layout: string, digest: string) => readFileSync(join(layout, "blobs/sha256", digest.slice(7)));
const json = (layout: string, digest: string): Any => JSON.parse(blob(layout, digest).toString());

type File = {
  readonly name: string;
  readonly type: string;
  readonly mode: number;
  readonly uid: number;
  readonly content: Uint8Array;
};

async function filesOf(archive: Uint8Array): Promise<readonly File[]> {
  const { extract } = await loadTar();
  const files: File[] = [];
  const parser = extract();
  const done = new Promise<void>((resolve, reject) => {
    parser.on("entry", (header: Any, stream: Any, next: () => void) => {
      const chunks: Uint8Array[] = [];
      stream.on("data", (chunk: Uint8Array) => chunks.push(chunk));
      stream.on("end", () => {
        const { name, type, mode, uid } = header;
        files.push({ name, type, mode, uid, content: Buffer.concat(chunks) });
        next();
      });
    });
    parser.on("finish", resolve);
    parser.on("error", reject);
  });
  parser.end(Buffer.from(gunzipSync(archive)));
  await done;
  return files;
}

if ("bun" in process.versions) {
  test.skip("images (Node builds them whatever runs this: see the run on Node)", () => {});
} else if (!existsSync(STRIP)) test.skip(`images (${MISSING})`, () => {});
else {
  test.before((context) => {
    context.folder = mkdtempSync(join(tmpdir(), "portreeve-images-test-"));
  });
  test.after(({ folder }) => rmSync(folder, { recursive: true, force: true }));

  test("two builds give one digest, for both architectures", ({ folder }) => {
    const args = ["--component", "audit-scanner", "--runtime", "node", "--out"];
    const first = build(...args, join(folder, "first"));
    const second = build(...args, join(folder, "second"));
    assert.is(first, second);
    assert.match(first, /@?sha256:[0-9a-f]{64}/);
    for (const run of ["first", "second"]) {
      assert.equal(readdirSync(join(folder, run)), ["audit-scanner-node"]);
    }
  });

  test("an image holds the program, the runtime and their libraries, all root's, and no shell", async ({ folder }) => {
    const layout = join(folder, "first/audit-scanner-node");
    const top = JSON.parse(readFileSync(join(layout, "index.json"), "utf8")).manifests[0];
    const { manifests } = json(layout, top.digest);
    assert.equal(manifests.map(({ platform }: Any) => platform.architecture), ["amd64", "arm64"]);
    for (const { digest, platform } of manifests) {
      const manifest = json(layout, digest);
      const { config, rootfs } = json(layout, manifest.config.digest);
      assert.is(config.User, "65533:65533");
      assert.equal(config.Entrypoint, ["/audit-scanner"]);
      for (const label of ["version", "revision", "created", "licenses", "title"]) {
        assert.ok(config.Labels[`org.opencontainers.image.${label}`], label);
      }
      const files: File[] = [];
      let bytes = 0;
      for (const [index, layer] of manifest.layers.entries()) {
        const archive = blob(layout, layer.digest);
        assert.is(digestOf(archive), layer.digest);
        const plain = gunzipSync(archive);
        assert.is(digestOf(plain), rootfs.diff_ids[index]);
        bytes += plain.length;
        files.push(...await filesOf(archive));
      }
      assert.ok(bytes < 150e6, `${bytes} bytes`);
      assert.equal(files.filter(({ uid }) => uid !== 0).map(({ name }) => name), []);
      const programs = files.filter(({ type, mode, name }) =>
        type === "file" && (mode & 0o111) !== 0 && !/\.so(\.|$)|^usr\/lib\/.*\/ld-/.test(name)
      );
      assert.equal(programs.map(({ name }) => name).sort(), ["audit-scanner", "usr/local/bin/node"]);
      assert.equal(files.filter(({ mode, type }) => type === "file" && (mode & 0o022) !== 0), []);
      assert.equal(files.filter(({ mode }) => (mode & 0o6000) !== 0), [], "nothing changes its user");
      assert.not(
        files.some(({ name }) => /\.map$|policy_server|reeve\.js|worker\.js/.test(name)),
        "only its own bundle",
      );
      const bill = JSON.parse(
        Buffer.from(files.find(({ name }) => name.endsWith("portreeve.cdx.json"))!.content).toString(),
      );
      assert.is(bill.bomFormat, "CycloneDX");
      const purls: string[] = bill.components.map(({ purl }: Any) => purl);
      assert.ok(
        purls.some((purl) => purl.startsWith("pkg:npm/%40marcbachmann/cel-js@")),
        purls.join("\n"),
      );
      assert.ok(
        purls.some((purl) =>
          purl.startsWith("pkg:deb/debian/libc6@") && purl.endsWith(platform.architecture)
        ),
      );
      assert.ok(purls.some((purl) => purl.startsWith("pkg:npm/node-linux-")));
      // An executable of the architecture that the manifest says.
      const node = files.find(({ name }) => name === "usr/local/bin/node")!.content;
      assert.is(node[18], platform.architecture === "amd64" ? 0x3e : 0xb7);
    }
  });

  test("the names of programs are those that Kubewarden's charts and manifests call", () => {
    assert.equal(Object.fromEntries(Object.entries(COMPONENTS).map(([name, { path }]) => [name, path])), {
      "policy-server": "/policy-server",
      controller: "/controller",
      "audit-scanner": "/audit-scanner",
      cli: "/reeve",
    });
  });

  test("bad arguments: one line", () => {
    const node = join(root, "node_modules/.bin/node");
    for (
      const [args, says] of [
        [
          ["--component", "constructor"],
          /^there is no component "constructor"; there are policy-server, controller/,
        ],
        [["--runtime", "deno"], /^there is no runtime "deno"; there are node, bun/],
        [["--arch", "s390x"], /^there is no architecture "s390x"/],
        [["--nonsense"], /Unknown option '--nonsense'/],
      ] as const
    ) {
      const { status, stderr } = spawnSync(node, ["deploy/images/build.ts", ...args], {
        cwd: root,
        encoding: "utf8",
      });
      assert.is(status, 1, stderr);
      assert.match(stderr, says);
      assert.is(stderr.trim().split("\n").length, 1, stderr);
    }
  });

  if (REGISTRY_BINARY === undefined) test.skip(`a push (${REGISTRY_MISSING})`, () => {});
  else {
    test("a pushed image is in the registry under its tag and its digest, and a second push sends nothing twice", async ({ folder }) => {
      const registry = await startRegistry();
      try {
        const sources = { ...NO_SOURCES, insecureSources: new Set([registry.host]) };
        const reference = `${registry.host}/portreeve/audit-scanner:v0`;
        const digest = await pushLayout(join(folder, "first/audit-scanner-node"), reference, { sources });
        assert.is(await pushLayout(join(folder, "first/audit-scanner-node"), reference, { sources }), digest);
        for (const name of ["v0", digest]) {
          const answer = await fetch(`http://${registry.host}/v2/portreeve/audit-scanner/manifests/${name}`, {
            headers: { accept: "application/vnd.oci.image.index.v1+json" },
          });
          assert.is(digestOf(new Uint8Array(await answer.arrayBuffer())), digest);
        }
      } finally {
        await registry.stop();
      }
    });
  }
}

test.run();
