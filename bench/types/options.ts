/** The command line of `npm run bench`. */
import { parseCommandLine } from "./command_line.ts";
import type { PlannedSubject } from "./measurement.ts";
import { WORKLOADS } from "./workloads.ts";

/** Servers of ours. */
const SERVERS = ["node", "bun"];

const GENERATORS = ["wrk", "autocannon"] as const;

/** What can be measured besides URLs, in the order in which it is. */
export const SUBJECTS: readonly string[] = [
  "floor-node",
  "node",
  "floor-bun",
  "floor-bun-serve",
  "bun",
];

/** A limit in the same place as `--workers` of the policy server has a use for: no machine that is measured has more. */
const MAX_WORKERS = 64;
export const MAX_CONNECTIONS = 10_000;
export const MAX_SECONDS = 3_600;
const MAX_ROUNDS = 1_000;
const MAX_THREADS = 64;

export const HELP = `usage: npm run bench -- [options]

  --html FILE          write a page with plots of the rows; it needs nothing else and loads nothing
  --with FILE          show the rows that \`npm run bench:cold-start -- --json FILE\` wrote in the page of --html too
  --json FILE          write the rows as JSON
  --save               write the run with machine, versions and date to bench/results/requests.json, which is committed and
                       drawn by \`npm run bench:plot\`
  --results FILE       write it to this file instead
  --quick              be done within 60 s: one-second runs
  --subjects A,B       of ${SUBJECTS.join(", ")} [default: all]
  --workers N,N        start each of our servers once for each number, with \`--workers N\` [default: once, without]
  --url URL            measure a server that runs already too, e.g. https://127.0.0.1:3000 (repeatable); without a path
                       in it, reviews go to /validate/POLICY
  --original URL       the same for Kubewarden's own policy server: the goals that compare with it are shown
  --policies A,B       of ${WORKLOADS.map(({ policy }) => policy).join(", ")} [default: ${
  WORKLOADS[0]!.policy
}]
  --connections N,N    kept-alive connections [default: 1,8,32]
  --duration SECONDS   of one run [default: 5]
  --rounds N           how often everything is repeated; medians are shown [default: 3]
  --server-flags TEXT  further flags of the servers under test, e.g. --server-flags="--log-level error"
  --program FILE       measure this policy server [default: dist/policy_server.js if built, else policy_server/main.ts]
  --generator NAME     wrk or autocannon [default: wrk where it is installed]
  --threads N          of wrk [default: 1]
`;

/** What is asked for. */
export type BenchOptions = {
  readonly help: boolean;
  readonly html: string | undefined;
  readonly with: string | undefined;
  readonly json: string | undefined;
  readonly results: string | undefined;
  readonly save: boolean;
  readonly quick: boolean;
  readonly subjects: readonly PlannedSubject[];
  readonly original: string | undefined;
  readonly policies: readonly string[];
  readonly connections: readonly number[];
  readonly seconds: number;
  readonly rounds: number;
  readonly serverFlags: readonly string[];
  readonly program: string | undefined;
  readonly generator: (typeof GENERATORS)[number] | undefined;
  readonly threads: number;
};

const OPTIONS = {
  html: { type: "string" },
  with: { type: "string" },
  json: { type: "string" },
  save: { type: "boolean", default: false },
  results: { type: "string" },
  quick: { type: "boolean", default: false },
  subjects: { type: "string", default: SUBJECTS.join(",") },
  workers: { type: "string" },
  url: { type: "string", multiple: true, default: [] as string[] },
  original: { type: "string" },
  policies: { type: "string", default: WORKLOADS[0]!.policy },
  connections: { type: "string", default: "1,8,32" },
  duration: { type: "string", default: "5" },
  rounds: { type: "string", default: "3" },
  "server-flags": { type: "string", default: "" },
  program: { type: "string" },
  generator: { type: "string" },
  threads: { type: "string", default: "1" },
  help: { type: "boolean", default: false },
} as const;

/** The items of a list, each once. */
function list(text: string): string[] {
  return [...new Set(text.split(",").map((item) => item.trim()).filter((item) => item !== ""))];
}

function someOf(option: string, text: string): string[] {
  const items = list(text);
  if (items.length === 0) throw new Error(`${option}: nothing is named`);
  return items;
}

/** A whole number from 1 to `most`. Throws an Error that names the option. */
export function whole(option: string, text: string, most: number): number {
  const number = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (number < 1 || number > most) {
    throw new Error(`${option}: ${JSON.stringify(text)} is not a whole number from 1 to ${most}`);
  }
  return number;
}

/** One of the choices. Throws an Error that names the option. */
export function oneOf<T extends string>(option: string, text: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === text);
  if (found === undefined) throw new Error(`${option}: ${text} is none of ${choices.join(", ")}`);
  return found;
}

/** A URL as subjects are named: without slashes at its end. */
function address(option: string, url: string): string {
  if (!URL.canParse(url) || !/^https?:/.test(url)) throw new Error(`${option}: ${url} is not an http(s) URL`);
  return url.replace(/\/+$/, "");
}

function file(option: string, path: string | undefined): string | undefined {
  if (path === "") throw new Error(`${option}: no file is named`);
  return path;
}

/** Understands the command line. Throws an Error that names the option and what is wrong with it. */
export function parseOptions(args: readonly string[]): BenchOptions {
  const { values } = parseCommandLine({ args: [...args], options: OPTIONS });
  const serverFlags = values["server-flags"].split(/\s+/).filter((flag) => flag !== "");
  const workers = values.workers === undefined
    ? [null]
    : someOf("--workers", values.workers).map((count) => whole("--workers", count, MAX_WORKERS));
  if (values.workers !== undefined && serverFlags.some((flag) => /^--workers(=|$)/.test(flag))) {
    throw new Error("--workers is given twice: leave it out of --server-flags");
  }
  if (values.with !== undefined && values.html === undefined) {
    throw new Error("--with: its rows are shown in the page of --html FILE, which is missing");
  }
  const urls = values.url.map((url) => address("--url", url));
  const original = values.original === undefined ? undefined : address("--original", values.original);
  const named = list(values.subjects).map((name) => oneOf("--subjects", name, SUBJECTS));
  const given = new Set(original === undefined ? urls : [...urls, original]);
  if (named.length + given.size === 0) throw new Error("--subjects: nothing is named");
  return {
    help: values.help,
    html: file("--html", values.html),
    with: file("--with", values.with),
    json: file("--json", values.json),
    results: file("--results", values.results),
    save: values.save,
    quick: values.quick,
    subjects: [
      ...named.flatMap((name) =>
        SERVERS.includes(name)
          ? workers.map((count) => ({ name, workers: count }))
          : [{ name, workers: null }]
      ),
      ...[...given].map((url) => ({ name: url, workers: null })),
    ],
    original,
    policies: someOf("--policies", values.policies).map((name) =>
      oneOf("--policies", name, WORKLOADS.map(({ policy }) => policy))
    ),
    connections: someOf("--connections", values.connections)
      .map((count) => whole("--connections", count, MAX_CONNECTIONS)),
    seconds: whole("--duration", values.duration, MAX_SECONDS),
    rounds: whole("--rounds", values.rounds, MAX_ROUNDS),
    serverFlags,
    program: file("--program", values.program),
    generator: values.generator === undefined
      ? undefined
      : oneOf<(typeof GENERATORS)[number]>("--generator", values.generator, GENERATORS),
    threads: whole("--threads", values.threads, MAX_THREADS),
  };
}
