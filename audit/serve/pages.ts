/** Objects of a kind, page by page; the next page is on its way while one is worked on (spec/audit.md §7). */
import type { KubeClient } from "../../kubernetes/apply/kube_client.ts";
import { resourcePath } from "../../kubernetes/types/resource.ts";
import { itemsOf, type RawPage } from "../render/list_page.ts";
import { resourceOf, type Served } from "../types/policies.ts";

/** The pages of a kind in a namespace or in the cluster. Fails where the API server refuses one. */
export async function* pages(
  client: KubeClient,
  served: Served,
  namespace: string | undefined,
  pageSize: number,
): AsyncGenerator<RawPage> {
  const path = resourcePath(resourceOf(served), namespace);
  const fetchPage = async (next: string | undefined): Promise<RawPage> => {
    const query = new URLSearchParams();
    if (pageSize > 0) query.set("limit", String(pageSize));
    if (next !== undefined) query.set("continue", next);
    const text = query.toString();
    return itemsOf(await client.text(text === "" ? path : `${path}?${text}`));
  };
  let coming: Promise<RawPage> | undefined = fetchPage(undefined);
  while (coming !== undefined) {
    const page: RawPage = await coming;
    coming = page.next === undefined ? undefined : fetchPage(page.next);
    // Its failure is met when its turn comes.
    coming?.catch(() => {});
    yield page;
  }
}
