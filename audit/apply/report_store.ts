/** Reports in the cluster: written by server-side apply, read, and removed (spec/audit.md §13). */
import type { ManagedFields } from "../../crd/types.ts";
import { ApiError, type KubeClient } from "../../kubernetes/apply/kube_client.ts";
import type { KubeObject } from "../../kubernetes/types/object.ts";
import type { Resource } from "../../kubernetes/types/resource.ts";
import {
  INPUTS_ANNOTATION,
  MANAGED_BY,
  MANAGED_BY_LABEL,
  reportResource,
  RUN_LABEL,
} from "../render/report.ts";
import type { Report } from "../types/report.ts";
import type { ReportKind } from "../types/settings.ts";
import { openGate } from "./gate.ts";

/** Field manager of everything that the scanner writes. */
export const FIELD_MANAGER = "portreeve-audit-scanner";
/** Writes on the way at once: more than the API server works on at a time only wait there. */
const WRITES = 8;
const LIST_LIMIT = 500;

/** A stored report, as far as a scan needs to know it. */
export type StoredReport = {
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  /** What it was made from; absent where somebody else changed it since. */
  readonly inputs: string | undefined;
};

export type ReportStore = {
  /** Makes the stored report be this one, whatever was there. Says whether there was one. */
  write(report: Report): Promise<"created" | "updated">;
  /** The managed reports of a namespace, or the cluster's; without those that the run called `notOf` has written. */
  list(namespace: string | undefined, notOf?: string): AsyncIterable<StoredReport>;
  get(namespace: string | undefined, name: string): Promise<Report | undefined>;
  /** Removes a report, unless it has changed since it was listed. */
  remove(namespace: string | undefined, report: StoredReport): Promise<void>;
};

/** Whether the API server does not know the kind at all, in contrast to an object or a namespace that is not there. */
export function isUnserved(error: unknown): boolean {
  return error instanceof ApiError && error.status === 404 &&
    /could not find the requested resource|page not found/.test(error.answer);
}

const isOurs = ({ manager, operation }: ManagedFields) => manager === FIELD_MANAGER && operation === "Apply";

/** Whether nobody but the scanner had a hand in it. */
function untouched({ metadata }: KubeObject): boolean {
  const managers = metadata.managedFields ?? [];
  return managers.length === 1 && isOurs(managers[0]!);
}

/** What others put into our fields is replaced as a whole, as the original does: applying would keep their additions. */
function repairOf({ metadata, scope, summary, results }: Report, stored: KubeObject): readonly object[] {
  return [
    { op: "test", path: "/metadata/uid", value: stored.metadata.uid },
    { op: "add", path: "/metadata/labels", value: metadata.labels },
    { op: "add", path: "/metadata/ownerReferences", value: metadata.ownerReferences },
    { op: "add", path: "/scope", value: scope },
    { op: "add", path: "/summary", value: summary },
    { op: "add", path: "/results", value: results },
    // Nobody else's claim is left, so that the next run sees whether somebody had a hand in it again.
    {
      op: "add",
      path: "/metadata/managedFields",
      value: (stored.metadata.managedFields ?? []).filter(isOurs),
    },
  ];
}

/** A store of one kind of reports. */
export function reportStore(client: KubeClient, kind: ReportKind): ReportStore {
  const gate = openGate({ first: WRITES });
  const resourceFor = (namespace: string | undefined): Resource =>
    reportResource(kind, namespace !== undefined);

  return {
    write: (report) =>
      gate.pass(async () => {
        const { namespace, name } = report.metadata;
        const resource = resourceFor(namespace);
        // All of it comes back: to cut it down to the metadata costs the API server more than to send it.
        const stored = await client.patch<KubeObject>(resource, namespace, name, "apply", report, {
          trusted: true,
        });
        if (!untouched(stored)) {
          await client.patch(resource, namespace, name, "json", repairOf(report, stored));
        }
        return stored.metadata.generation === 1 ? "created" : "updated";
      }),
    async *list(namespace, notOf) {
      const managed = `${MANAGED_BY_LABEL}=${MANAGED_BY}`;
      const labelSelector = notOf === undefined ? managed : `${managed},${RUN_LABEL}!=${notOf}`;
      let next: string | undefined;
      do {
        const page = await client.list<KubeObject>(resourceFor(namespace), namespace, {
          labelSelector,
          limit: LIST_LIMIT,
          next,
          metadataOnly: true,
        });
        for (const object of page.items) {
          const { name, uid = "", resourceVersion = "", annotations } = object.metadata;
          yield {
            name,
            uid,
            resourceVersion,
            inputs: untouched(object) ? annotations?.[INPUTS_ANNOTATION] : undefined,
          };
        }
        next = page.next;
      } while (next !== undefined);
    },
    get: (namespace, name) =>
      client.get<KubeObject>(resourceFor(namespace), namespace, name).then(
        (object) => object as unknown as Report,
        () => undefined,
      ),
    remove: async (namespace, { name, uid, resourceVersion }) => {
      await client.remove(resourceFor(namespace), namespace, name, { uid, resourceVersion });
    },
  };
}
