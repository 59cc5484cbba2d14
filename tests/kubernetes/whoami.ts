/**
 * Asks an API server who we are to it, by the one way in which every program connects, and prints the answer as JSON: `{"user"}`, or
 * `{"error"}` with the message that an operator reads. A process of its own, because proxies are told to a process by its environment.
 *
 * usage: whoami.ts [kubeconfig [times]]
 */
import process from "node:process";
import { connect } from "../../kubernetes/apply/api_transport.ts";
import { kubeClient } from "../../kubernetes/apply/kube_client.ts";
import type { KubeObject } from "../../kubernetes/types/object.ts";

const [file, times = "1"] = process.argv.slice(2);
const REVIEWS = {
  apiVersion: "authentication.k8s.io/v1",
  kind: "SelfSubjectReview",
  plural: "selfsubjectreviews",
  namespaced: false,
};
try {
  const transport = await connect({ kubeconfig: file === "" ? undefined : file });
  const client = kubeClient(transport, "whoami");
  let review: KubeObject & { readonly status?: { readonly userInfo?: unknown } } | undefined;
  for (let time = 0; time < Number(times); time++) {
    review = await client.create(REVIEWS, {
      apiVersion: "authentication.k8s.io/v1",
      kind: "SelfSubjectReview",
      metadata: {} as never,
    });
  }
  console.log(JSON.stringify({ user: review?.status?.userInfo }));
  transport.close();
} catch (error) {
  console.log(JSON.stringify({ error: (error as Error).message, name: (error as Error).name }));
}
process.exit(0);
