/**
 * Tries privileged and plain Pods through the API server, as dry runs, one after the other, until a file vanishes, and prints what
 * was answered: shows that policies are enforced all the while something else goes on.
 *
 * usage: _gap.ts KUBECONFIG FILE
 */
import { existsSync } from "node:fs";
import process from "node:process";
import { connect } from "../../kubernetes/apply/api_transport.ts";
import { kubeClient } from "../../kubernetes/apply/kube_client.ts";
import { PODS } from "../../controller/types/resources.ts";
import { podManifest } from "./_objects.ts";

/** What was answered; `wrong` has the first answers that a cluster without a gap would not give. */
export interface GapResult {
  readonly denied: number;
  readonly accepted: number;
  readonly wrong: readonly string[];
}

const PAUSE_MS = 20;
/** By whichever policy, and with whichever message: a policy may have another one at the time. */
const DENIED = /admission webhook \\?"kw\.[^"]+" denied the request: /;

async function watch(kubeconfig: string, file: string): Promise<GapResult> {
  const transport = await connect({ kubeconfig });
  const client = kubeClient(transport, "gap");
  const wrong: string[] = [];
  let denied = 0, accepted = 0;
  for (let index = 0; existsSync(file); index++) {
    const privileged = index % 4 !== 0;
    try {
      await client.create(PODS, podManifest(`gap-${index}`, { privileged }), { dryRun: true });
      if (privileged) wrong.push(`${new Date().toISOString()} a privileged Pod was accepted`);
      else accepted++;
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      if (privileged && DENIED.test(text)) denied++;
      else wrong.push(`${new Date().toISOString()} ${text}`);
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  transport.close();
  return { denied, accepted, wrong: wrong.slice(0, 20) };
}

if (import.meta.main) {
  const [kubeconfig, file] = process.argv.slice(2);
  console.log(JSON.stringify(await watch(kubeconfig!, file!)));
}
