/**
 * Measures policies that look at many objects of the cluster: one that lists them by a label selector with a field mask, and one
 * of Gatekeeper's that gets all of them as its inventory. See README.md.
 *
 * usage: npm run bench:inventory -- [options]      (--help lists them)
 */
import { join } from "node:path";
import process from "node:process";
import { keptAlive, post } from "./apply/client.ts";
import { commandLine } from "./apply/command_line.ts";
import { load, machine, watchOthers } from "./apply/machine.ts";
import { checkWritable, writeJson } from "./apply/outputs.ts";
import { processorMs, residentMb } from "./apply/processes.ts";
import { ROLE_BINDINGS, roleBinding, startApiServer } from "./apply/role_bindings.ts";
import {
  type Bench,
  prepareBench,
  ROOT,
  type Runtime,
  startFloor,
  startServer,
  writePolicies,
} from "./apply/servers.ts";
import { table } from "./render/report.ts";
import { isFloor, percentile } from "./render/summary.ts";
import { verdict } from "./render/surroundings.ts";

const SUBJECTS = ["floor-node", "node", "floor-bun", "bun"];

const HELP = `usage: npm run bench:inventory -- [options]

  --subjects A,B       of ${SUBJECTS.join(", ")} [default: floor-node,node,floor-bun,bun]
  --objects N          in the cluster [default: 10000]
  --requests N         sent to each policy, one after the other [default: 200]
  --connections N      requests under way at a time [default: 1]
  --quick              2,000 objects, 20 requests, Node alone
  --server-flags TEXT  further flags of the server, e.g. --server-flags="--workers 1"
  --program FILE       measure this policy server [default: dist/policy_server.js if built, else policy_server/main.ts]
  --json FILE          write the rows as JSON
`;

const { values } = commandLine({
  options: {
    subjects: { type: "string" },
    objects: { type: "string" },
    requests: { type: "string" },
    connections: { type: "string", default: "1" },
    quick: { type: "boolean", default: false },
    "server-flags": { type: "string", default: "" },
    program: { type: "string" },
    json: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

type Row = {
  readonly subject: string;
  readonly policy: string;
  /** The first request: the server lists and begins to watch. */
  readonly firstMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly errors: number;
  /** Processor time per request. */
  readonly cpuMs: number | null;
  readonly rssMb: number | null;
};

type Case = { readonly policy: string; readonly review: string; readonly expected: string };

const UID = "0d9c7c8e-4a55-4a3c-8f55-1d2e3f4a5b6c";

function review(extra: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({
    apiVersion: "admission.k8s.io/v1",
    kind: "AdmissionReview",
    request: {
      uid: UID,
      kind: { group: "rbac.authorization.k8s.io", version: "v1", kind: "RoleBinding" },
      resource: { group: "rbac.authorization.k8s.io", version: "v1", resource: "rolebindings" },
      name: "new",
      namespace: "team-1",
      operation: "CREATE",
      userInfo: { username: "bench" },
      ...extra,
    },
  });
}

function response(rest: string): string {
  return `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":"${UID}",${rest},` +
    `"auditAnnotations":null,"warnings":null}}`;
}

/** The policies with a request each. Both have to look at every object. */
function cases(objects: number): readonly Case[] {
  const { apiVersion: api_version, kind } = ROLE_BINDINGS;
  const selector = "app.kubernetes.io/part-of=shop";
  const payload = { api_version, kind, label_selector: selector, field_masks: ["roleRef.name"] };
  const hostCall = { namespace: "kubernetes", operation: "list_resources_all", payload, count: true };
  const { roleRef, subjects } = roleBinding(1);
  const object = { ...ROLE_BINDINGS, metadata: { name: "new", namespace: "team-1" }, roleRef, subjects };
  return [
    {
      policy: "list",
      review: review({ options: { hostCall }, object }),
      expected: response(`"allowed":true,"status":{"message":"${objects} items"}`),
    },
    {
      policy: "gatekeeper",
      review: review({ object }),
      expected: response(
        `"allowed":false,"status":{"message":"ServiceAccount account-1 has the role role-1 already, by binding-1"}`,
      ),
    },
  ];
}

async function measure(
  subject: string,
  url: string,
  pid: number,
  { policy, review, expected }: Case,
  requests: number,
  connections: number,
): Promise<Row> {
  const agent = keptAlive(connections);
  const body = Buffer.from(review);
  const target = `${url}/validate/${policy}`;
  let errors = 0;
  const ask = async () => {
    const answer = await post(agent, target, body);
    if (answer.status !== 200 || answer.body !== expected) {
      if (errors++ === 0) {
        console.error(`${subject}, ${policy}: ${answer.status} ${answer.body.slice(0, 500)}`);
      }
    }
    return answer.ms;
  };
  try {
    const firstMs = await ask();
    for (let warm = 0; warm < 5; warm++) await ask();
    const before = processorMs(pid);
    const latencies: number[] = [];
    let left = requests;
    await Promise.all(Array.from({ length: connections }, async () => {
      while (left-- > 0) latencies.push(await ask());
    }));
    const after = processorMs(pid);
    latencies.sort((a, b) => a - b);
    return {
      subject,
      policy,
      firstMs,
      p50Ms: percentile(latencies, 0.5),
      p99Ms: percentile(latencies, 0.99),
      errors,
      cpuMs: before === null || after === null ? null : (after - before) / requests,
      rssMb: residentMb(pid),
    };
  } finally {
    agent.destroy();
  }
}

async function startSubject(bench: Bench, subject: string, all: readonly Case[], kubeconfig: string) {
  if (subject.startsWith("floor-")) {
    const answers = all.map(({ policy, expected }) => [policy, expected] as const);
    return await startFloor(bench, subject, Object.fromEntries(answers));
  }
  const policiesFile = join(bench.folder, "policies.yml");
  const grants = { hostCapabilities: ["kubernetes/*"], contextAwareResources: [ROLE_BINDINGS] };
  writePolicies(policiesFile, {
    list: { module: join(ROOT, "tests/policies/host-caller/policy.wasm"), ...grants, timeoutEvalSeconds: 30 },
    gatekeeper: {
      module: join(ROOT, "tests/policies/gatekeeper-role-bindings/policy.wasm"),
      ...grants,
      timeoutEvalSeconds: 30,
    },
  });
  const runtime: Runtime = subject === "bun" ? "bun" : "node";
  return await startServer(bench, {
    runtime,
    policiesFile,
    flags: values["server-flags"].split(/\s+/).filter((flag) => flag !== ""),
    env: { KUBECONFIG: kubeconfig },
  });
}

/** What an idle machine has to reach: p50 by policy, and memory. */
const MAX_P50_MS: ReadonlyMap<string, number> = new Map([["list", 10], ["gatekeeper", 30]]);
const MAX_RSS_MB = 250;

function missedGoals(rows: readonly Row[]): string[] {
  return rows.filter(({ subject }) => !isFloor(subject)).flatMap(({ subject, policy, p50Ms, rssMb }) => {
    const limit = MAX_P50_MS.get(policy) ?? Infinity;
    return [
      ...p50Ms > limit ? [`MISSED: ${subject}, ${policy}: p50 at most ${limit} ms`] : [],
      ...rssMb !== null && rssMb > MAX_RSS_MB
        ? [`MISSED: ${subject}, ${policy}: RSS at most ${MAX_RSS_MB} MB`]
        : [],
    ];
  });
}

async function run(): Promise<number> {
  checkWritable("--json", values.json);
  const loadBefore = load();
  const count = (option: "objects" | "requests", usual: number, quick: number) =>
    Number(values[option] ?? (values.quick ? quick : usual));
  const objects = count("objects", 10_000, 2_000);
  const requests = count("requests", 200, 20);
  const connections = Number(values.connections);
  for (const number of [objects, requests, connections]) {
    if (!Number.isInteger(number) || number < 1) throw new Error("options want whole numbers above 0");
  }
  const subjects = (values.subjects ?? (values.quick ? "floor-node,node" : "floor-node,node,floor-bun,bun"))
    .split(",").map((name) => name.trim());
  for (const name of subjects) {
    if (!SUBJECTS.includes(name)) throw new Error(`--subjects: ${name} is none of ${SUBJECTS.join(", ")}`);
  }
  const bench = await prepareBench(values.program);
  console.error(`measured: ${bench.program}, ${objects} objects`);
  const others = watchOthers([]);
  const api = await startApiServer(objects, bench);
  const all = cases(objects);
  const rows: Row[] = [];
  try {
    for (const subject of subjects) {
      const { url, running } = await startSubject(bench, subject, all, api.kubeconfig);
      for (const each of all) {
        rows.push(await measure(subject, url, running.pid, each, requests, connections));
      }
      await running.stop();
    }
  } finally {
    api.close();
  }
  const shown = (value: number | null, digits = 1) => value === null ? "-" : value.toFixed(digits);
  console.log(table(
    ["subject", "policy", "first ms", "p50 ms", "p99 ms", "errors", "CPU ms/req", "RSS MB"],
    rows.map(({ subject, policy, firstMs, p50Ms, p99Ms, errors, cpuMs, rssMb }) => [
      ...[subject, policy, shown(firstMs), shown(p50Ms, 2), shown(p99Ms, 2), String(errors)],
      ...[shown(cpuMs, 2), shown(rssMb, 0)],
    ]),
  ));
  const { busy, text } = verdict({ loadBefore, floors: null, othersShare: others() }, machine());
  for (const line of busy ? [text] : missedGoals(rows)) console.log(line);
  writeJson("--json", values.json, rows);
  return rows.some(({ errors }) => errors > 0) ? 1 : 0;
}

if (values.help) process.stdout.write(HELP);
else {
  process.exit(
    await run().catch((error: unknown) => {
      console.error(`Error: ${(error as Error).message}`);
      return 1;
    }),
  );
}
