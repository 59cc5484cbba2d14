/**
 * Pulls a 90 MB module from a registry on loopback, again and again, beside `curl` fetching the same blob into a file from the
 * same registry, alternating. Prints medians, and how much memory a pull added at its peak.
 *
 * usage: node bench/pull.ts [--rounds N] [--megabytes N]      needs: docker-registry (Debian), curl
 */
import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { fetchPolicy, NO_SOURCES, pushPolicy } from "../artifact/mod.ts";
import { startRegistry } from "../tests/artifact/_registry.ts";

const run = promisify(execFile);
const MB = 1024 * 1024;

function argument(name: string, otherwise: number): number {
  const at = process.argv.indexOf(name);
  return at < 0 ? otherwise : Number(process.argv[at + 1]);
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

/** Random, so that nothing on the way can compress it; begins as Wasm does. */
async function writeModule(path: string, megabytes: number): Promise<string> {
  const file = await open(path, "w");
  const hash = createHash("sha256");
  try {
    for (let at = 0; at < megabytes; at++) {
      const piece = Buffer.from(crypto.getRandomValues(new Uint8Array(65536)));
      const whole = Buffer.concat(Array.from({ length: 16 }, () => piece));
      if (at === 0) whole.set([0, 0x61, 0x73, 0x6d]);
      hash.update(whole);
      await file.write(whole);
    }
  } finally {
    await file.close();
  }
  return hash.digest("hex");
}

/** One pull in a process of its own; reports milliseconds and the peak of added resident memory. */
async function pullOnce(uri: string, root: string): Promise<void> {
  const options = {
    sources: { ...NO_SOURCES, insecureSources: new Set([new URL(uri).host]) },
    env: { HOME: root },
  };
  // What every process pays once (modules, certificate roots) is not the pull's.
  await fetchPolicy(`${uri}-absent`, { kind: "store", root }, options).catch(() => {});
  const before = process.memoryUsage.rss();
  let peak = before;
  const sample = setInterval(() => peak = Math.max(peak, process.memoryUsage.rss()), 5);
  const started = performance.now();
  await fetchPolicy(uri, { kind: "file", path: join(root, "pulled.wasm") }, options);
  const ms = performance.now() - started;
  clearInterval(sample);
  console.log(JSON.stringify({ ms, peak: Math.max(peak, process.memoryUsage.rss()) - before }));
}

async function measure(rounds: number, megabytes: number): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "portreeve-pull-"));
  const registry = await startRegistry();
  try {
    const path = join(directory, "module.wasm");
    const hex = await writeModule(path, megabytes);
    const uri = `registry://${registry.host}/bench/module:v1`;
    const sources = { ...NO_SOURCES, insecureSources: new Set([registry.host]) };
    await pushPolicy(path, uri, {}, { sources });
    const curl: number[] = [];
    const ours: number[] = [];
    const added: number[] = [];
    const sha256sum: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const blob = `http://${registry.host}/v2/bench/module/blobs/sha256:${hex}`;
      const { stdout } = await run("curl", [
        "-sS",
        "-o",
        join(directory, "curl.wasm"),
        "-w",
        "%{time_total}",
        blob,
      ]);
      curl.push(Number(stdout) * 1000);
      const started = performance.now();
      await run("sha256sum", [join(directory, "curl.wasm")]);
      sha256sum.push(performance.now() - started);
      const child = spawn(process.execPath, [process.argv[1] ?? "", "--pull", uri, directory], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      let output = "";
      for await (const piece of child.stdout) output += piece;
      const { ms, peak } = JSON.parse(output);
      ours.push(ms);
      added.push(peak / MB);
    }
    const runtime = "bun" in process.versions
      ? `Bun ${process.versions["bun"]}`
      : `Node ${process.versions.node}`;
    const show = (ms: number) => `${ms.toFixed(0)} ms (${(megabytes / (ms / 1000)).toFixed(0)} MB/s)`;
    console.log(`${megabytes} MB from docker-registry on loopback, ${rounds} rounds, ${runtime}; medians`);
    console.log(`curl into a file            ${show(median(curl))}`);
    console.log(`sha256sum of that file      ${show(median(sha256sum))}`);
    console.log(
      `fetchPolicy, checked+synced ${show(median(ours))}   ${
        (median(ours) / median(curl)).toFixed(2)
      }x of curl`,
    );
    console.log(
      `memory added while pulling  ${median(added).toFixed(0)} MB (largest ${
        Math.max(...added).toFixed(0)
      } MB)`,
    );
  } finally {
    await registry.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

if (process.argv[2] === "--pull") await pullOnce(process.argv[3] ?? "", process.argv[4] ?? "");
else await measure(argument("--rounds", 7), argument("--megabytes", 90));
