/** What several scenarios do or look at. */
import * as assert from "uvu/assert";
import { type Any, NAMESPACE, type PodOptions } from "../_objects.ts";
import { type Stack, until } from "../_stack.ts";

export type Context = { stack: Stack };
/** Registers a scenario. */
export interface Scenarios {
  (name: string, run: (context: Context) => unknown): void;
  skip(name: string): void;
}
/** The scenarios of one subject, registered in the order in which they run. Each subject says which charts it needs. */
export type Subject = (test: Scenarios) => void;

export const DENIED = /admission webhook .* denied the request: Privileged container is not allowed\s*$/;

export const deployment = (stack: Stack, name: string): Any => stack.get("deployment", name, NAMESPACE);
export const podSpec = (stack: Stack, name: string): Any => deployment(stack, name).spec.template.spec;
export const remove = (stack: Stack, kind: string, ...names: readonly string[]) =>
  void stack.kubectl("delete", kind, ...names, "--wait", "--timeout=60s");
export const rolledOut = (stack: Stack, name: string, limit = "240s") =>
  void stack.kubectl("rollout", "status", `deployment/${name}`, "-n", NAMESPACE, `--timeout=${limit}`);

/** The API server learns of a webhook a moment after its configuration is written. */
export const denied = (stack: Stack, options: PodOptions = {}) =>
  until(
    "a privileged Pod is denied",
    () => DENIED.test(stack.tryPod({ ...options, privileged: true }) ?? "accepted"),
  );
export const accepted = (stack: Stack, options: PodOptions = {}) =>
  until("the Pod is accepted", () => stack.tryPod(options) === undefined);

export const serverPods = (stack: Stack, name: string): readonly Any[] =>
  stack.list("pods", "-n", NAMESPACE, "-l", `app.kubernetes.io/instance=policy-server-${name}`);
/** What all pods of a PolicyServer logged. */
export function serverLogs(stack: Stack, name = "default"): string {
  const selector = `app.kubernetes.io/instance=policy-server-${name}`;
  try {
    return stack.node.kubectl("logs", "-n", NAMESPACE, "-l", selector, "--tail=-1");
  } catch (error) {
    // kubectl lists the pods first: one of a rollout may be gone when it is asked.
    if (!/pods "[^"]+" not found/.test((error as Error).message)) throw error;
    return serverLogs(stack, name);
  }
}

/** The conditions of an object by their types. */
export const conditions = (object: Any): ReadonlyMap<string, Any> =>
  new Map((object?.status?.conditions ?? []).map((condition: Any) => [condition.type, condition]));

/** Waits until a condition of an object has a message, and returns it. */
export const conditionSays = (stack: Stack, kind: string, name: string, text: RegExp, namespace?: string) =>
  until(`${kind} ${name} says ${text}`, () => {
    const all: readonly Any[] = stack.get(kind, name, namespace)?.status?.conditions ?? [];
    return all.find(({ message = "", status }) => status === "False" && text.test(message));
  }) as Promise<Any>;

/** What the stack would leave behind if it did not clean up. */
export function nothingLeft(stack: Stack): void {
  const part = "app.kubernetes.io/part-of=kubewarden";
  const namespaced = [
    "deployments",
    "pods",
    "services",
    "secrets",
    "configmaps",
    "poddisruptionbudgets",
    "jobs",
    "serviceaccounts",
    "leases",
  ];
  const cluster = [
    "validatingwebhookconfigurations",
    "mutatingwebhookconfigurations",
    "clusterroles",
    "clusterrolebindings",
  ];
  const left = [
    ...stack.list(namespaced.join(), "-A", "-l", part),
    ...stack.list(cluster.join(), "-l", part),
  ].filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  assert.equal(left.map(({ kind, metadata }) => `${kind} ${metadata.name}`), []);
}
