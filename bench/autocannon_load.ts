/**
 * The load generator where wrk is missing; prints what `wrk_review.lua` prints.
 *
 * usage: autocannon_load.ts URL CONNECTIONS SECONDS REVIEW_FILE EXPECTED_FILE
 */
import { readFileSync } from "node:fs";
import process from "node:process";
import autocannon from "autocannon";
import { percentile } from "./render/summary.ts";

const [url, connections, seconds, reviewFile, expectedFile] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
];
const expected = readFileSync(expectedFile, "utf8");
let firstWrong = "";
let badStatus = 0;
let answers = 0;
const latencies: number[] = [];
const run = autocannon({
  url,
  connections: Number(connections),
  duration: Number(seconds),
  method: "POST",
  headers: { "content-type": "application/json" },
  body: readFileSync(reviewFile),
  verifyBody: (body) => {
    if (body === expected) return true;
    firstWrong ||= body.slice(0, 500);
    return false;
  },
  tlsOptions: { rejectUnauthorized: false },
});
// Its own histogram counts whole milliseconds.
run.on("response", (_client, status, _bytes, milliseconds) => {
  answers++;
  if (status !== 200) badStatus++;
  latencies.push(milliseconds);
});
const result = await run;
const sorted = Float64Array.from(latencies).sort();
const microseconds = (share: number) => Math.round(percentile(sorted, share) * 1000);
console.log(
  "RESULT " + JSON.stringify({
    requests: answers,
    duration: result.duration * 1e6,
    p50: microseconds(0.5),
    p90: microseconds(0.9),
    p99: microseconds(0.99),
    p999: microseconds(0.999),
    wrong: Math.max(badStatus, result.mismatches),
    unanswered: result.errors,
    firstWrong,
  }),
);
