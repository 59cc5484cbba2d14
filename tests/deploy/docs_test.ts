// Every command in the operator's documents, run on a real node in the order in which they stand (see `_documents.ts` for how blocks
// are marked). Only what the node has its own way of is added: the images' runtime, and the authority of the registry that stands for
// the public ones. `DOCUMENTS=quick_start,operations` runs these alone.
import process from "node:process";
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite, test as plain } from "uvu";
import * as assert from "uvu/assert";
import { HOW_TO_GET_NODE, nodeBinariesFolder } from "../cluster/binaries/locate.ts";
import { BUSYBOX_IMAGE } from "../cluster/node/node.ts";
import { run } from "../cluster/node/shell.ts";
import { type Block, blocksIn, missingLine } from "./_documents.ts";
import { imageValues, NAMESPACE, RUNTIME, serverImage } from "./_objects.ts";
import { sourceValues, type Stack, startStack, until } from "./_stack.ts";

type Context = { stack: Stack; home: string };
const test = suite<Context>("documents", {} as Context);
const root = fileURLToPath(new URL("../../", import.meta.url));

/** The documents, in the order in which they are run, and what each takes for granted. */
const DOCUMENTS: readonly { readonly name: string; before?(stack: Stack): void }[] = [
  { name: "quick_start" },
  // These two go on with the installation of the quick start; the second ends with its removal.
  { name: "hardening" },
  { name: "operations" },
  { name: "host_network" },
  { name: "sizing" },
  {
    name: "moving_from_kubewarden",
    // In Kubewarden's place: charts of its layout and names, and images by the names of its own.
    before(stack) {
      // The one chart keeps them when it is removed.
      const crds = stack.list("crds").map(({ metadata }) => metadata.name);
      if (crds.length > 0) stack.kubectl("delete", "crds", ...crds, "--wait", "--timeout=60s");
      stack.kubectl("create", "namespace", NAMESPACE);
      const original = (component: string) => {
        const repository = `kubewarden/adm-controller/${component}`;
        const suffix = RUNTIME === "node" ? "" : "-bun";
        tagAs(
          stack,
          serverImage.replace("policy-server", component),
          `ghcr.io/${repository}:v1.36.0${suffix}`,
        );
        return { repository, tag: "v1.36.0", runtime: RUNTIME };
      };
      stack.install("kubewarden-crds", "portreeve-crds");
      stack.install("kubewarden-controller", "portreeve-controller", {
        image: original("controller"),
        auditScanner: { image: original("audit-scanner") },
      });
      const { policyServer } = sourceValues(stack.node);
      const image = original("policy-server");
      stack.install("kubewarden-defaults", "portreeve-defaults", {
        policyServer: { ...policyServer, image },
      });
    },
  },
];
const chosen = process.env["DOCUMENTS"]?.split(",");
const documents = DOCUMENTS.filter(({ name }) => chosen?.includes(name) ?? true);
const read = (name: string) => readFileSync(join(root, "docs", `${name}.md`), "utf8");
/** How long one block may take. */
const BLOCK_LIMIT_MS = 5 * 60_000;
/** The API server learns of a webhook, and stops asking one, a moment after its configuration is written. */
const SETTLE_LIMIT_MS = 20_000;

plain("a block that the test can't read is an error, and so is output that isn't there", () => {
  assert.throws(() => blocksIn("```shell\nls\n```\n"), /line 1: a block of "shell"/);
  assert.throws(() => blocksIn("```sh\nls\n"), /line 1: the block never ends/);
  const [first, second] = blocksIn(
    "```sh\nls\n```\n\n```text\na … c\n```\n\n```sh not-run: a cloud\nx\n```\n",
  );
  assert.equal([first!.line, first!.script, first!.output, second!.notRun], [2, "ls", ["a … c"], "a cloud"]);
  assert.is(missingLine(first!, "x a  b\nc"), undefined);
  assert.is(missingLine(first!, "c a"), "a … c");
});
plain.run();

for (const { name } of documents) {
  for (const { notRun, line } of blocksIn(read(name))) {
    if (notRun !== undefined) test.skip(`docs/${name}.md:${line} (${notRun})`, () => {});
  }
}

const ready = process.getuid?.() === 0 && nodeBinariesFolder() !== undefined;
// There is one node, which the end-to-end scenarios have; and this takes many minutes.
if (!/\b(all|docs)\b/.test(process.env["E2E"] ?? "")) {
  test.skip("documents on a node (get it by: E2E=docs)", () => {});
} else if (!ready) test.skip(`documents on a node (${HOW_TO_GET_NODE})`, () => {});
else {
  test.before(async (context) => {
    context.stack = await startStack();
    // The documents name the images of Node.
    if (RUNTIME !== "node") tagAs(context.stack, serverImage, serverImage.replace(/-bun$/, ""));
    context.home = mkdtempSync(join(tmpdir(), "portreeve-docs-"));
    writeWrappers(context.home, context.stack);
  });
  test.after(async ({ stack, home }) => {
    await stack?.stop();
    if (home !== undefined) rmSync(home, { recursive: true });
  });

  for (const { name, before } of documents) {
    test(`every command of docs/${name}.md does what it says`, async ({ stack, home }) => {
      before?.(stack);
      for (const block of blocksIn(read(name))) {
        if (block.notRun !== undefined) continue;
        const where = `docs/${name}.md:${block.line}`;
        let failure = "";
        const passes = () => (failure = problemOf(block, home)) === "";
        // A rejection, or an acceptance, may be a moment away; nothing else is tried twice.
        if (/--dry-run=server/.test(block.script)) {
          await until(where, passes, { limitMs: SETTLE_LIMIT_MS, pauseMs: 500 }).catch(() => {});
        } else passes();
        assert.is(failure, "", `${where}\n${block.script}\n${failure}`);
      }
    });
  }
}

function tagAs({ node: { sockets } }: Stack, image: string, name: string): void {
  run("ctr", ["--address", sockets[0]!, "-n", "k8s.io", "images", "tag", image, name]);
}

/** What is wrong with how a block went; empty when it went as the document has it. */
function problemOf(block: Block, home: string): string {
  const { status, stdout, stderr, error } = spawnSync("bash", ["-euo", "pipefail", "-c", block.script], {
    cwd: root,
    encoding: "utf8",
    timeout: BLOCK_LIMIT_MS,
    env: { ...process.env, PATH: `${join(home, "bin")}:${process.env["PATH"]}`, HOME: home, TMPDIR: home },
  });
  const printed = `${stdout}${stderr}`;
  if (error !== undefined) return `${error.message}\n${printed}`;
  if (block.fails !== (status !== 0)) return `it ended with ${status}:\n${printed}`;
  const missing = missingLine(block, printed);
  return missing === undefined ? "" : `the output lacks "${missing}":\n${printed}`;
}

/** `kubectl`, `helm` and `reeve` as on an operator's machine, that reach the node. */
function writeWrappers(home: string, stack: Stack): void {
  const { node } = stack;
  const bin = join(home, "bin");
  mkdirSync(bin);
  const binaries = nodeBinariesFolder()!;
  const values = join(home, "node-values.json");
  writeFileSync(values, JSON.stringify({ ...imageValues(), ...sourceValues(stack.node) }));
  const inside = `KUBECONFIG=${node.credential("admin.kubeconfig")} PATH=${binaries}:$PATH ` +
    "exec nsenter --net=/run/netns/portreeve-node";
  const write = (name: string, script: string) => {
    writeFileSync(join(bin, name), `#!/bin/bash\n${script}\n`);
    chmodSync(join(bin, name), 0o755);
  };
  // busybox is on the node under a name of its own.
  write(
    "kubectl",
    `args=()
for arg in "$@"; do args+=("\${arg/#--image=busybox/--image=${BUSYBOX_IMAGE}}"); done
${inside} ${join(binaries, "kubectl")} "\${args[@]}"`,
  );
  const helm = join(binaries, "..", "..", "bin", "helm");
  assert.ok(existsSync(helm), helm);
  write(
    "helm",
    `case "$1" in install | upgrade | template)
  ${inside} ${helm} "$@" --values ${values} ;;
esac
${inside} ${helm} "$@"`,
  );
}

test.run();
