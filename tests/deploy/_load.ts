/**
 * Creates Pods as dry runs through the API server, from several clients at once, and prints what became of them: started by the
 * end-to-end tests inside the node's network.
 *
 * usage: _load.ts KUBECONFIG CLIENTS OBJECTS
 */
import process from "node:process";
import { connect } from "../../kubernetes/apply/api_transport.ts";
import { kubeClient } from "../../kubernetes/apply/kube_client.ts";
import { PODS } from "../../controller/types/resources.ts";
import { podManifest } from "./_stack.ts";

/** What a load came to; latencies in milliseconds. */
export interface LoadResult {
  readonly accepted: number;
  readonly denied: number;
  /** The first errors that are no denials by the policy. */
  readonly errors: readonly string[];
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

async function load(kubeconfig: string, clients: number, objects: number): Promise<LoadResult> {
  const transport = await connect({ kubeconfig });
  const client = kubeClient(transport, "load");
  const latencies: number[] = [];
  const errors: string[] = [];
  let accepted = 0, denied = 0, next = 0;
  await Promise.all(Array.from({ length: clients }, async () => {
    for (let index = next++; index < objects; index = next++) {
      const privileged = index % 4 === 0;
      const began = performance.now();
      try {
        await client.create(PODS, podManifest(`load-${index}`, { privileged }), { dryRun: true });
        if (privileged) errors.push(`a privileged Pod was accepted: load-${index}`);
        else accepted++;
      } catch (error) {
        const text = error instanceof Error ? error.message : String(error);
        if (privileged && text.includes("Privileged container is not allowed")) denied++;
        else errors.push(text);
      }
      latencies.push(performance.now() - began);
    }
  }));
  transport.close();
  latencies.sort((a, b) => a - b);
  const at = (share: number) => Math.round(latencies[Math.floor(share * (latencies.length - 1))]! * 10) / 10;
  return { accepted, denied, errors: errors.slice(0, 20), p50: at(0.5), p99: at(0.99), max: at(1) };
}

if (import.meta.main) {
  const [kubeconfig, clients, objects] = process.argv.slice(2);
  console.log(JSON.stringify(await load(kubeconfig!, Number(clients), Number(objects))));
}
