// Archives that try: where they may write, how much, and what they may call it.
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { Readable } from "node:stream";
import { gzipSync } from "node:zlib";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type ArchiveLimits, unpack } from "../../cli/apply/archive.ts";
import { loadTar } from "../../deps.ts";
import { digestOf, OCI_MANIFEST, WASM_LAYER } from "../artifact/_image.ts";
import { memoryRegistry, startServer } from "../artifact/_server.ts";
import { inPlace, POLICY } from "./place.ts";

const policy = readFileSync(POLICY);

type Entry = {
  readonly name: string;
  readonly content?: string | Uint8Array;
  readonly type?: string;
  readonly linkname?: string;
  readonly pax?: Readonly<Record<string, string>>;
};

async function tarOf(entries: readonly Entry[]): Promise<Buffer> {
  const { pack } = await loadTar();
  const tar = pack();
  const pieces: Uint8Array[] = [];
  const read = (async () => {
    for await (const piece of tar) pieces.push(piece as Uint8Array);
  })();
  for (const { content = "x", ...header } of entries) {
    if (header.type === undefined || header.type === "contiguous-file") {
      tar.entry(header as { name: string }, content as string);
    } else tar.entry(header as { name: string });
  }
  tar.finalize();
  await read;
  return Buffer.concat(pieces);
}

/** A header written by hand: what no library would write. */
function rawHeader(name: string, size: number, type: string): Buffer {
  const block = Buffer.alloc(512);
  block.write(name, 0);
  block.write("000644 \0", 100);
  block.write("000000 \0", 108);
  block.write("000000 \0", 116);
  block.write(`${size.toString(8).padStart(11, "0")} `, 124);
  block.write("00000000000 ", 136);
  block.write(type, 156);
  block.write("ustar\x0000", 257, "latin1");
  block.write("        ", 148);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return block;
}

const padded = (content: Buffer) =>
  Buffer.concat([content, Buffer.alloc((512 - content.length % 512) % 512)]);
const paxHeader = (records: Readonly<Record<string, string>>) => {
  const body = Buffer.from(
    Object.entries(records).map(([key, value]) => {
      const rest = ` ${key}=${value}\n`;
      let length = rest.length;
      while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
      return `${length}${rest}`;
    }).join(""),
  );
  return Buffer.concat([rawHeader("PaxHeader", body.length, "x"), padded(body)]);
};

const GOOD = "registry/h.test/a/good:v1";
const long = "n".repeat(256);

const REFUSED: readonly (readonly [what: string, entry: Entry, says: RegExp])[] = [
  ["a path upwards", { name: "../../escaped" }, /leads out of the store/],
  ["a path upwards inside", { name: "registry/../../../escaped" }, /leads out of the store/],
  ["a single dot inside", { name: "registry/./h/a" }, /leads out of the store/],
  ["an absolute path", { name: "/tmp/reeve-escaped" }, /leads out of the store/],
  ["a Windows path", { name: "registry\\..\\..\\escaped" }, /leads out of the store/],
  ["a drive", { name: "C:\\escaped" }, /leads out of the store/],
  ["an unknown scheme", { name: "ftp/h.test/p.wasm" }, /none of the folders http, https, registry/],
  ["the file scheme", { name: "file/h.test/p.wasm" }, /none of the folders/],
  ["another case of a scheme", { name: "HTTPS/h.test/p.wasm" }, /none of the folders/],
  ["a name without a scheme", { name: "policy.wasm" }, /none of the folders/],
  ["names of objects", { name: "__proto__/constructor/p.wasm" }, /none of the folders/],
  ["a scheme alone", { name: "registry" }, /names no policy/],
  ["a host alone", { name: "registry/h.test" }, /names no policy/],
  ["an escape sequence", { name: "registry/h.test/a\u001b[2J:v1" }, /control or invisible characters/],
  ["a line break", { name: "registry/h.test/a\r\n:v1" }, /control or invisible characters/],
  ["C1", { name: "registry/h.test/a\u009b:v1" }, /control or invisible characters/],
  ["a mark of direction", { name: "registry/h.test/\u202ea:v1" }, /control or invisible characters/],
  ["an invisible character", { name: "https/h.test/\u200bp.wasm" }, /control or invisible characters/],
  ["NUL by pax", { name: "x", pax: { path: "https/h.test/a\u0000b" } }, /control or invisible characters/],
  ["a symbolic link", { name: "registry/h.test/l:v1", type: "symlink", linkname: "/etc" }, /is a symlink/],
  ["a hard link", { name: "registry/h.test/l:v1", type: "link", linkname: GOOD }, /is a link/],
  ["a device", { name: "registry/h.test/l:v1", type: "character-device" }, /is a character-device/],
  ["a FIFO", { name: "registry/h.test/l:v1", type: "fifo" }, /is a fifo/],
  ["a contiguous file", { name: "registry/h.test/l:v1", type: "contiguous-file" }, /is a contiguous-file/],
  [
    "a sparse file",
    { name: "x", pax: { path: "https/h.test/s", "GNU.sparse.major": "1" } },
    /is a sparse file/,
  ],
  ["one name twice", { name: GOOD }, /is there twice/],
  ["one name twice, otherwise written", { name: `./${GOOD.replace("/", "//")}` }, /is there twice/],
  ["an unfinished file's name", { name: "https/h.test/.portreeve-00.part" }, /unfinished file/],
  ["a name too long", { name: `https/h.test/${long}` }, /too long/],
  ["folders too deep", { name: `https/h.test/${"d/".repeat(40)}p.wasm` }, /deeper than 32/],
  ["a URL that is another one", { name: "https/h.test/a/%2e%2e/p.wasm" }, /no URI of a policy/],
  ["a URL of another host", { name: "https/user@h.test/p.wasm" }, /no URI of a policy/],
  ["a name that is no reference", { name: "registry/h.test/UPPER:v1" }, /no URI of a policy/],
  [
    "a manifest that is another one",
    { name: `.manifests/sha256/${"a".repeat(64)}` },
    /is not what its name says/,
  ],
  ["a manifest without a digest", { name: ".manifests/sha256/x" }, /no manifest's name/],
  [
    "a manifest by an unknown digest",
    { name: `.manifests/constructor/${"a".repeat(64)}` },
    /no manifest's name/,
  ],
];

for (const [what, entry, says] of REFUSED) {
  test(`an archive with ${what}`, () =>
    inPlace(async ({ reeve, file, inStore, home }) => {
      file("x.tgz", gzipSync(await tarOf([{ name: GOOD }, entry])));
      const { exit, stderr } = await reeve("load", "--input", "x.tgz");
      assert.is(exit, 1);
      assert.match(stderr, /^Error: cannot unpack file: the entry "/);
      assert.match(stderr, says);
      assert.is(stderr.trimEnd().split("\n").length, 1);
      assert.equal(inStore(), [GOOD], "what came before stays, nothing else is there");
      assert.not(existsSync(join(home, "escaped")) || existsSync("/tmp/reeve-escaped"));
    }));
}

test("folders, leading dots and both compressions are fine", () =>
  inPlace(async ({ reeve, file, inStore }) => {
    const tar = await tarOf([
      { name: "./", type: "directory" },
      { name: "./registry/", type: "directory" },
      { name: `./${GOOD}` },
      { name: "https/localhost/home/me/my policy.wasm" },
      { name: "http/h.test:8080/p.wasm" },
      { name: `registry/localhost:5000/a/b@${digestOf("x")}` },
      { name: `.manifests/${digestOf("x").replace(":", "/")}` },
    ]);
    for (const bytes of [tar, gzipSync(tar)]) {
      file("x.tar", bytes);
      const { exit, stderr } = await reeve("load", "--input", "x.tar");
      assert.equal([exit, stderr], [0, ""]);
    }
    assert.is(inStore().length, 5);
  }));

const SMALL: ArchiveLimits = {
  entryBytes: 1000,
  totalBytes: 2500,
  entries: 5,
  overheadBytes: 64 * 1024,
  manifestBytes: 100,
};

const BOUNDED: readonly (readonly [what: string, archive: () => Promise<Buffer>, says: RegExp])[] = [
  [
    "an entry that is too large",
    () => tarOf([{ name: GOOD, content: Buffer.alloc(1001) }]),
    /has 1001 bytes/,
  ],
  [
    "an entry that claims to be too large",
    () => Promise.resolve(Buffer.concat([rawHeader(GOOD, 8 ** 11 - 1, "0"), Buffer.alloc(2048)])),
    /has 8589934591 bytes/,
  ],
  [
    "an entry that is too large by pax",
    () =>
      Promise.resolve(
        Buffer.concat([paxHeader({ size: "99999999999999" }), rawHeader(GOOD, 1, "0"), Buffer.alloc(2048)]),
      ),
    /has 99999999999999 bytes/,
  ],
  [
    "entries that are too large together",
    () => tarOf([1, 2, 3].map((at) => ({ name: `${GOOD}${at}`, content: Buffer.alloc(900) }))),
    /more than 2500 bytes/,
  ],
  [
    "too many entries",
    () => tarOf([1, 2, 3, 4, 5, 6].map((at) => ({ name: `${GOOD}${at}` }))),
    /more than 5 entries/,
  ],
  [
    "too many folders",
    () => tarOf([1, 2, 3, 4, 5, 6].map((at) => ({ name: `registry/h${at}/`, type: "directory" }))),
    /more than 5 entries/,
  ],
  [
    "long headers without end",
    () =>
      Promise.resolve(
        Buffer.concat(Array.from({ length: 500 }, () => paxHeader({ comment: "c".repeat(400) }))),
      ),
    /more than 65536 bytes beside its entries/,
  ],
  [
    "nothing without end after the last entry",
    async () => Buffer.concat([await tarOf([{ name: GOOD }]), Buffer.alloc(1024 * 1024)]),
    /more than 65536 bytes beside its entries/,
  ],
  [
    "a manifest that is too large",
    () =>
      tarOf([{
        name: `.manifests/${digestOf("y".repeat(200)).replace(":", "/")}`,
        content: "y".repeat(200),
      }]),
    /has 200 bytes, more than the 100/,
  ],
  [
    "a negative size by pax",
    async () => Buffer.concat([paxHeader({ size: "-1" }), await tarOf([{ name: GOOD }])]),
    /Invalid header/,
  ],
  [
    "an end in the middle",
    async () => (await tarOf([{ name: GOOD, content: Buffer.alloc(900) }])).subarray(0, 700),
    /Unexpected end|cannot unpack/,
  ],
];

for (const [what, archive, says] of BOUNDED) {
  test(`limits: ${what}`, () =>
    inPlace(async ({ store, inStore }) => {
      for (const bytes of [await archive(), gzipSync(await archive())]) {
        let message = "";
        try {
          await unpack(
            { name: "x", content: Readable.from([bytes]), head: bytes },
            store,
            new AbortController().signal,
            SMALL,
          );
        } catch (error) {
          message = (error as Error).message;
        }
        assert.match(message, /^cannot unpack file/);
        assert.match(message, says);
        const written = inStore();
        assert.ok(written.length <= 5 && !written.some((path) => path.includes(".part")), written.join());
      }
    }));
}

test("a gigabyte of nothing in a megabyte ends early, and takes no memory", () =>
  inPlace(({ file, cwd, home }) => {
    // Long headers, which an unpacker has to hold in memory until it knows them whole.
    const zeros = gzipSync(
      Buffer.concat(Array.from({ length: 4000 }, () => paxHeader({ comment: "c".repeat(60_000) }))),
    );
    const path = file("bomb.tgz", zeros);
    assert.ok(statSync(path).size < 3_000_000);
    const script = join(cwd, "load.ts");
    const archive = new URL("../../cli/apply/archive.ts", import.meta.url).href;
    writeFileSync(
      script,
      `import { createReadStream } from "node:fs";
const { unpack } = await import(${JSON.stringify(archive)});
const before = process.memoryUsage.rss();
try {
  await unpack({ name: "b", content: createReadStream(${
        JSON.stringify(path)
      }), head: Uint8Array.of(0x1f, 0x8b) }, ${
        JSON.stringify(join(home, "store"))
      }, new AbortController().signal);
  console.log("unpacked");
} catch (error) {
  console.log(error.message);
}
console.log(Math.round((process.memoryUsage.rss() - before) / 1e6));
`,
    );
    const output = execFileSync(process.execPath, [script], { encoding: "utf8" }).trim().split("\n");
    assert.match(output[0]!, "more than 67108864 bytes beside its entries");
    assert.ok(Number(output[1]) < 300, `grew by ${output[1]} MB`);
    return Promise.resolve();
  }));

test("what is saved by digest can be checked where it is loaded, without a network", async () => {
  const memory = memoryRegistry();
  const config = memory.blob("tests/policy", "application/vnd.wasm.config.v1+json", Buffer.from("{}"));
  const layer = memory.blob("tests/policy", WASM_LAYER, policy);
  const { digest } = memory.manifest(
    "tests/policy",
    "v1",
    { schemaVersion: 2, config, layers: [layer] },
    OCI_MANIFEST,
  );
  const server = await startServer(memory.answer);
  const uri = `registry://${server.host}/tests/policy@${digest}`;
  await inPlace(async ({ reeve, file, cwd, inStore }) => {
    file("sources.yml", JSON.stringify({ insecure_sources: [server.host] }));
    const pulled = await reeve("pull", uri, "--sources-path", "sources.yml");
    assert.is(pulled.exit, 0, pulled.stderr);
    await server.stop();
    const saved = await reeve("save", uri, "-o", "x.tgz");
    assert.equal([saved.exit, saved.stderr], [0, ""]);
    const archive = readFileSync(join(cwd, "x.tgz"));
    const before = inStore();
    await inPlace(async (there) => {
      there.file("x.tgz", archive);
      assert.is((await there.reeve("load", "--input", "x.tgz")).exit, 0);
      assert.equal(there.inStore(), before);
      there.file(
        "request.json",
        readFileSync(
          new URL("../../policies/pod-privileged/requests/", import.meta.url).pathname +
            readdirSync(new URL("../../policies/pod-privileged/requests/", import.meta.url))[0],
        ),
      );
      for (const words of [["inspect", uri], ["run", uri, "-r", "request.json"]]) {
        const { exit, stderr } = await there.reeve(...words);
        assert.equal([exit, stderr], [0, ""], words[0]);
      }
      const stored = there.inStore().find((path) => path.startsWith("registry"))!;
      there.stored(stored, Buffer.concat([policy, Buffer.from([0, 1, 0])]));
      for (
        const words of [
          ["inspect", uri],
          ["save", uri, "-o", "y.tgz"],
          ["push", uri, "localhost:1/a/b:v1"],
          ["scaffold", "manifest", uri, "-t", "ClusterAdmissionPolicy"],
        ]
      ) {
        const { exit, stderr } = await there.reeve(...words);
        assert.is(exit, 1, words[0]);
        assert.match(stderr, "the stored module is not what its digest names", words[0]);
      }
      const run = await there.reeve("run", uri, "-r", "request.json");
      assert.is(run.exit, 1);
      assert.match(run.stderr, "Fail to interact with OCI registry");
      assert.is((await there.reeve("rm", uri)).exit, 0, "what is wrong can be removed");
    });
  });
});

test.run();
