/** The subjects of a run, started. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isFloor } from "../render/summary.ts";
import type { PlannedSubject, Subject, Workload } from "../types/measurement.ts";
import { SUBJECTS } from "../types/options.ts";
import { uidOf } from "./client.ts";
import { listeningProcess } from "./listening_process.ts";
import { type Bench, ROOT, startFloor, startServer, writePolicies } from "./servers.ts";

/** A workload with the files that the load generator reads. */
export type Prepared = Workload & {
  readonly review: string;
  readonly uid: string;
  readonly reviewFile: string;
  readonly expectedFile: string;
};

/** Writes what the load generator reads. */
export function prepare(bench: Bench, workload: Workload): Prepared {
  const reviewFile = join(ROOT, workload.request);
  const review = readFileSync(reviewFile, "utf8");
  const uid = uidOf(review);
  const expectedFile = join(bench.folder, `${workload.policy}.expected`);
  writeFileSync(expectedFile, workload.expected(uid));
  return { ...workload, review, uid, reviewFile, expectedFile };
}

/** Starts a subject with the policies of all workloads, or finds the server that runs at a URL. */
export async function startSubject(
  bench: Bench,
  { name, workers }: PlannedSubject,
  prepared: readonly Prepared[],
  serverFlags: readonly string[],
): Promise<Subject> {
  const atPath = (url: string) => (policy: string) => `${url}/validate/${policy}`;
  if (!SUBJECTS.includes(name)) {
    const target = new URL(name).pathname === "/" ? atPath(name) : () => name;
    return { name, workers, target, pid: listeningProcess(name) };
  }
  if (isFloor(name)) {
    const answers = prepared.map(({ policy, uid, expected }) => [policy, expected(uid)] as const);
    const { url, running } = await startFloor(bench, name, Object.fromEntries(answers));
    return { name, workers, target: atPath(url), pid: running.pid };
  }
  const policiesFile = join(bench.folder, "policies.yml");
  writePolicies(
    policiesFile,
    Object.fromEntries(prepared.map(({ policy, module, settings, allowedToMutate }) => [
      policy,
      { module: join(ROOT, module), settings, allowedToMutate },
    ])),
  );
  const { url, running } = await startServer(bench, {
    runtime: name === "bun" ? "bun" : "node",
    policiesFile,
    flags: [...serverFlags, ...workers === null ? [] : ["--workers", String(workers)]],
  });
  return { name, workers, target: atPath(url), pid: running.pid };
}
