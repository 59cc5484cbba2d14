/** Removes the scanner's reports of the API that `openreports` took the place of (spec/audit.md §13.4). */
import { isNotFound, type KubeClient } from "../../kubernetes/apply/kube_client.ts";
import type { KubeObject } from "../../kubernetes/types/object.ts";
import type { Resource } from "../../kubernetes/types/resource.ts";
import { errorText } from "../render/log_line.ts";
import { MANAGED_BY, MANAGED_BY_LABEL, reportResource, RUN_LABEL } from "../render/report.ts";
import type { Log } from "../types/log.ts";
import { NAMESPACES } from "../types/policies.ts";

/** Removes them where there are any; trouble is logged and nothing else. `unused` is a run UID that no report carries. */
export async function removeLegacyReports(client: KubeClient, unused: string, log: Log): Promise<void> {
  const managed = `${MANAGED_BY_LABEL}=${MANAGED_BY}`;
  const selection = { labelSelector: `${managed},${RUN_LABEL}!=${unused}` };
  const any = async (resource: Resource) => {
    try {
      const { items } = await client.list(resource, undefined, {
        labelSelector: managed,
        limit: 1,
        metadataOnly: true,
      });
      return items.length > 0;
    } catch (error) {
      if (!isNotFound(error)) throw error;
      log("debug", `no ${resource.plural} of ${resource.apiVersion} are served`);
      return false;
    }
  };
  try {
    const clusterReports = reportResource("policyreport", false);
    if (await any(clusterReports)) {
      log("info", "Deleting legacy wgpolicyk8s.io ClusterPolicyReports");
      await client.removeAll(clusterReports, undefined, selection);
    }
    const reports = reportResource("policyreport", true);
    if (await any(reports)) {
      const { items } = await client.list<KubeObject>(NAMESPACES, undefined, { metadataOnly: true });
      for (const { metadata: { name } } of items) {
        log("info", "Deleting legacy wgpolicyk8s.io PolicyReports", { namespace: name });
        await client.removeAll(reports, name, selection);
      }
    }
  } catch (error) {
    log("warning", "Failed to delete legacy wgpolicyk8s.io PolicyReports, continuing", {
      error: errorText(error),
    });
  }
}
