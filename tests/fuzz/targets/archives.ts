/** Archives for `reeve load`: nothing is written outside of the store, and what is refused leaves nothing unfinished. */
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { Readable } from "node:stream";
import { gzipSync } from "node:zlib";
import { unpack } from "../../../cli/apply/archive.ts";
import { CliError } from "../../../cli/types/command.ts";
import { mutateBytes } from "../mutate.ts";
import { holds, type Target } from "../target.ts";

const encoder = new TextEncoder();

/** A tar header as the format has it: name, mode, owner, size, time, checksum, type, link. */
function header(name: string, size: number, type = "0", link = ""): Uint8Array {
  const block = new Uint8Array(512);
  const put = (at: number, text: string) => block.set(encoder.encode(text).subarray(0, 100), at);
  put(0, name);
  put(100, "0000644\0");
  put(108, "0000000\0");
  put(116, "0000000\0");
  put(124, `${size.toString(8).padStart(11, "0")}\0`);
  put(136, "00000000000\0");
  put(148, "        ");
  put(156, type);
  put(157, link);
  put(257, "ustar\0");
  put(263, "00");
  let sum = 0;
  for (const byte of block) sum += byte;
  put(148, `${sum.toString(8).padStart(6, "0")}\0 `);
  return block;
}

function archive(
  ...entries: readonly (readonly [name: string, content: string, type?: string, link?: string])[]
) {
  const blocks = entries.flatMap(([name, content, type, link]) => {
    const bytes = encoder.encode(content);
    const padded = new Uint8Array(Math.ceil(bytes.length / 512) * 512);
    padded.set(bytes);
    return [header(name, bytes.length, type, link), padded];
  });
  return new Uint8Array(Buffer.concat([...blocks, new Uint8Array(1024)]));
}

const PLAIN = [
  archive(["registry/ghcr.io/a/b:v1", "module"], ["https/example.org/p.wasm", "x".repeat(600)]),
  archive(["../../escape", "x"]),
  archive(["/tmp/absolute", "x"]),
  archive(["registry/link", "", "2", "/etc/passwd"], ["registry/link/x", "y"]),
  archive(["registry/", "", "5"], ["./registry/a/../../b", "x"]),
  archive(["registry/long", "30 path=registry/ghcr.io/x/y:z\n", "x"], ["registry/a", "b"]),
  archive(["registry/a", "b", "L"], ["constructor/__proto__", "x"]),
];

let root = "";

function isEmptyOfParts(folder: string): boolean {
  return readdirSync(folder, { withFileTypes: true, recursive: true }).every((entry) =>
    !entry.name.endsWith(".part") && (entry.isFile() || entry.isDirectory())
  );
}

export const target: Target = {
  name: "archives",
  setUp: () => {
    root = mkdtempSync(join(tmpdir(), "portreeve-fuzz-archives-"));
    process.on("exit", () => rmSync(root, { recursive: true, force: true }));
  },
  seeds: () => [...PLAIN, new Uint8Array(gzipSync(PLAIN[0]!)), new Uint8Array(0)],
  generate: (random, seeds) => {
    if (!random.oneIn(2)) {
      return mutateBytes(random, random.pick(seeds), seeds, ["../", "/", "\0", "registry/", "00000000001\0"]);
    }
    const parts = [
      "registry",
      "https",
      "http",
      "file",
      "..",
      ".",
      "",
      "a",
      "b:v1",
      "\u001b[31m",
      "__proto__",
      "x".repeat(90),
    ];
    const name = () => Array.from({ length: 1 + random.below(5) }, () => random.pick(parts)).join("/");
    const type = () => random.oneIn(4) ? random.pick([..."0123456789xgLKSV"]) : "0";
    return archive(
      ...Array.from(
        { length: 1 + random.below(4) },
        () => [name(), "y".repeat(random.below(700)), type(), name()] as const,
      ),
    );
  },
  expected: [CliError],
  limitMs: 1_000,
  run: async (input) => {
    const store = join(root, "outer", "store");
    mkdirSync(store, { recursive: true });
    const canary = join(root, "outer", "canary");
    mkdirSync(canary, { recursive: true });
    const source = {
      name: "archive",
      content: Readable.from([Buffer.from(input)]),
      head: input.subarray(0, 2),
    };
    try {
      await unpack(source, store, new AbortController().signal);
    } finally {
      const outside = [...readdirSync(root), ...readdirSync(join(root, "outer"))].filter((name) =>
        !["outer", "store", "canary"].includes(name)
      );
      holds(outside.length === 0, `outside of the store was written: ${outside.join()}`);
      holds(existsSync(store) && !lstatSync(store).isSymbolicLink(), "the store is no folder any more");
      holds(readdirSync(canary).length === 0, "a folder beside the store was written to");
      holds(isEmptyOfParts(store), "a part or a link was left in the store");
      rmSync(join(root, "outer"), { recursive: true });
    }
  },
};
