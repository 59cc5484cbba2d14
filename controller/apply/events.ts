/** Kubernetes Events about our resources: bounded, without repetition, never in the way of a reconcile. */
import type { KubeObject } from "../../kubernetes/types/object.ts";
import { EVENTS } from "../types/resources.ts";
import type { KubeClient } from "../../kubernetes/apply/kube_client.ts";
import type { Note } from "./world.ts";

const COMPONENT = "kubewarden-controller";
/** The same text about the same object is told once in this time, in milliseconds. */
const REPEAT_MS = 10 * 60_000;
/** Notes that wait to be written; more are dropped, since what they tell is in the status too. */
const WAITING_LIMIT = 200;
const REMEMBERED_LIMIT = 5000;
const MESSAGE_LIMIT = 1024;

export type EventWriter = {
  note(about: KubeObject, note: Note): void;
  /** Resolves when nothing waits to be written. */
  idle(): Promise<void>;
};

type Log = (level: "error", message: string, fields: { readonly [name: string]: unknown }) => void;

/** Writes Events through a client. `now` gives milliseconds since the epoch. */
export function eventWriter(client: KubeClient, now: () => number, log: Log): EventWriter {
  const told = new Map<string, number>();
  let waiting = 0;
  let last: Promise<void> = Promise.resolve();
  let refused = false;

  async function write(about: KubeObject, { type, reason, message }: Note, time: string): Promise<void> {
    const { name, namespace, uid, resourceVersion } = about.metadata;
    const event = {
      apiVersion: "v1",
      kind: "Event",
      metadata: { generateName: `${name.slice(0, 200)}.`, namespace: namespace ?? "default" },
      involvedObject: {
        apiVersion: about.apiVersion,
        kind: about.kind,
        name,
        namespace,
        uid,
        resourceVersion,
      },
      type,
      reason,
      message: message.length > MESSAGE_LIMIT ? `${message.slice(0, MESSAGE_LIMIT - 1)}…` : message,
      source: { component: COMPONENT },
      reportingComponent: COMPONENT,
      firstTimestamp: time,
      lastTimestamp: time,
      count: 1,
    };
    try {
      await client.create(EVENTS, event as unknown as KubeObject);
    } catch (error) {
      // Without the right to create Events everything else still works: said once.
      if (!refused) log("error", "cannot write an Event", { error: String(error) });
      refused = true;
    }
  }

  return {
    note(about, note) {
      const key = `${about.metadata.uid ?? about.metadata.name}/${note.reason}/${note.message}`;
      const before = told.get(key);
      if ((before !== undefined && now() - before < REPEAT_MS) || waiting >= WAITING_LIMIT) return;
      told.set(key, now());
      if (told.size > REMEMBERED_LIMIT) told.delete(told.keys().next().value!);
      waiting += 1;
      const time = new Date(now()).toISOString().replace(/\.\d+Z$/, "Z");
      last = last.then(() => write(about, note, time)).finally(() => waiting -= 1);
    },
    idle: () => last,
  };
}
