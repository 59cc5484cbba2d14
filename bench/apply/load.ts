/** Drives a server from another process: with wrk where it is installed, else with autocannon. */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { Load } from "../types/measurement.ts";
import { start } from "./processes.ts";

const LUA = fileURLToPath(new URL("../wrk_review.lua", import.meta.url));
const AUTOCANNON = fileURLToPath(new URL("../autocannon_load.ts", import.meta.url));

export type Generator = "wrk" | "autocannon";

/** Printed where wrk is missing. */
export const GET_WRK =
  "wrk is not installed (Debian, Ubuntu: apt-get install wrk; macOS: brew install wrk); " +
  "autocannon is used, which is slower than what it measures: the floor comes out too low and ratios too high";

/** The best load generator that is installed. */
export function findGenerator(): Generator {
  const found = (process.env["PATH"] ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, "wrk"), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
  return found ? "wrk" : "autocannon";
}

export type LoadOptions = {
  readonly generator: Generator;
  readonly url: string;
  readonly connections: number;
  readonly threads: number;
  readonly seconds: number;
  /** Files with the review that is sent and the bytes that must come back. */
  readonly reviewFile: string;
  readonly expectedFile: string;
};

/** What both load generators print as their last line. Latencies and duration in microseconds. */
type Result = {
  readonly requests: number;
  readonly duration: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly wrong: number;
  readonly unanswered: number;
  readonly firstWrong: string;
};

/** Sends one review over and over for some seconds. Rejects when the load generator fails. */
export async function drive(options: LoadOptions): Promise<Load> {
  const { generator, url, connections, seconds, reviewFile, expectedFile } = options;
  const threads = Math.min(options.threads, connections);
  const running = generator === "wrk"
    ? start({
      command: "wrk",
      args: [
        `-t${threads}`,
        `-c${connections}`,
        `-d${seconds}s`,
        "--timeout",
        "10s",
        "-s",
        LUA,
        url,
        "--",
        reviewFile,
        expectedFile,
      ],
      keepOutput: true,
    })
    : start({
      command: process.execPath,
      args: [AUTOCANNON, url, String(connections), String(seconds), reviewFile, expectedFile],
      keepOutput: true,
    });
  const { code, stdout, stderr } = await running.ended;
  const line = /^RESULT (.*)$/m.exec(stdout)?.[1];
  if (code !== 0 || line === undefined) {
    throw new Error(`${generator} ended with ${code}: ${stderr.trim() || stdout.trim()}`);
  }
  const result = JSON.parse(line) as Result;
  return {
    requests: result.requests,
    requestsPerSecond: result.requests / (result.duration / 1e6),
    p50Ms: result.p50 / 1000,
    p90Ms: result.p90 / 1000,
    p99Ms: result.p99 / 1000,
    p999Ms: result.p999 / 1000,
    errors: result.wrong + result.unanswered,
    firstError: result.wrong > 0
      ? result.firstWrong
      : result.unanswered > 0
      ? "no answer, or a broken connection"
      : undefined,
  };
}
