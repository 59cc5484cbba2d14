/**
 * Creates Pods as dry runs through the API server, from several clients at once, and prints what became of them: started by the
 * end-to-end tests inside the node's network.
 *
 * usage: _load.ts KUBECONFIG CLIENTS OBJECTS [STOP_FILE]
 *
 * With STOP_FILE it makes STOP_FILE.running when the first Pod was answered, and goes on after OBJECTS until STOP_FILE is there.
 */
import { existsSync, rmSync, writeFileSync } from "node:fs";
import process from "node:process";
import { PODS } from "../../controller/types/resources.ts";
import { connect } from "../../kubernetes/apply/api_transport.ts";
import { ApiError, kubeClient } from "../../kubernetes/apply/kube_client.ts";
import { podManifest } from "./_objects.ts";

/** What a load came to; latencies in milliseconds. */
export interface LoadResult {
  readonly accepted: number;
  readonly denied: number;
  /** Answers that are wrong: neither an acceptance of a harmless Pod nor the policy's denial of a privileged one. The first 20. */
  readonly errors: readonly string[];
  readonly wrong: number;
  /** Calls without an answer of the API server, which was away. Made again until they had one. */
  readonly unanswered: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

const parent = process.ppid;

const DENIAL = "Privileged container is not allowed";

async function load(
  kubeconfig: string,
  clients: number,
  objects: number,
  goOn: () => boolean,
  began: () => void,
): Promise<LoadResult> {
  const transport = await connect({ kubeconfig });
  const client = kubeClient(transport, "load");
  const latencies: number[] = [];
  const errors: string[] = [];
  const start = performance.now();
  let accepted = 0, denied = 0, wrong = 0, unanswered = 0, next = 0;
  const record = (text: string) => {
    wrong++;
    if (errors.length < 20) errors.push(`${((performance.now() - start) / 1000).toFixed(1)} s: ${text}`);
  };
  const create = async (index: number): Promise<void> => {
    const privileged = index % 4 === 0;
    const asked = performance.now();
    try {
      await client.create(PODS, podManifest(`load-${index}`, { privileged }), { dryRun: true });
      if (privileged) record(`a privileged Pod was accepted: load-${index}`);
      else accepted++;
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      // Only the API server's own absence is no fault of what it asks: its refusals are counted by what they say.
      if (!(error instanceof ApiError) || (error.status === 503 && !text.includes("webhook"))) {
        // Nobody is left who would end this: the test that began it was ended.
        if (process.ppid !== parent) process.exit(1);
        unanswered++;
        await new Promise((resolve) => setTimeout(resolve, 20));
        return await create(index);
      }
      if (privileged && text.includes(DENIAL)) denied++;
      else record(text);
    }
    latencies.push(performance.now() - asked);
    if (latencies.length === 1) began();
  };
  await Promise.all(Array.from({ length: clients }, async () => {
    for (let index = next++; index < objects || goOn(); index = next++) await create(index);
  }));
  transport.close();
  latencies.sort((a, b) => a - b);
  const at = (share: number) => Math.round(latencies[Math.floor(share * (latencies.length - 1))]! * 10) / 10;
  return { accepted, denied, errors, wrong, unanswered, p50: at(0.5), p99: at(0.99), max: at(1) };
}

if (import.meta.main) {
  const [kubeconfig, clients, objects, stopFile] = process.argv.slice(2);
  const goOn = () => stopFile !== undefined && !existsSync(stopFile);
  const began = () => stopFile !== undefined && writeFileSync(`${stopFile}.running`, "");
  try {
    console.log(JSON.stringify(await load(kubeconfig!, Number(clients), Number(objects), goOn, began)));
  } finally {
    if (stopFile !== undefined) rmSync(`${stopFile}.running`, { force: true });
  }
}
