/** Which policies are asked about a review in one request (docs/audit_scanner.md). */

/** Servers take URLs of 8,000 octets at least (RFC 9110 §4.1). */
const URL_LIMIT = 8_000;

/** Policies of one server that are asked in one request. */
export type Bundle = {
  /** The URLs of the server's policies up to `/audit`. */
  readonly audit: string;
  /** What asks them all. */
  url: string;
  /** Where in the list of URLs each is, by its id as the URL writes it. */
  readonly policies: Map<string, number>;
};

/** `https://host/audit/ID` in its parts. */
export function partsOf(url: string): { readonly audit: string; readonly id: string } {
  const end = url.lastIndexOf("/");
  return { audit: url.slice(0, end), id: url.slice(end + 1) };
}

/**
 * Sorts the URLs of policies into those that go together and the places of those that are asked singly. `limitOf` says how many
 * policies a server takes at once.
 */
export function bundlesOf(
  urls: readonly string[],
  limitOf: (audit: string) => number,
): { readonly bundles: readonly Bundle[]; readonly single: number[] } {
  const bundles: Bundle[] = [];
  const open = new Map<string, Bundle>();
  const single: number[] = [];
  for (const [index, url] of urls.entries()) {
    const { audit, id } = partsOf(url);
    const limit = limitOf(audit);
    let bundle = open.get(audit);
    if (limit < 2 || bundle?.policies.has(id)) {
      single.push(index);
      continue;
    }
    const member = `policy=${id}`;
    if (
      bundle === undefined || bundle.policies.size >= limit ||
      bundle.url.length + 1 + member.length > URL_LIMIT
    ) {
      bundles.push(bundle = { audit, url: `${audit}?${member}`, policies: new Map() });
      open.set(audit, bundle);
    } else bundle.url += `&${member}`;
    bundle.policies.set(id, index);
  }
  return { bundles, single };
}
