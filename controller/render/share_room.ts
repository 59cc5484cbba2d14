/** Who gets room where definitions of many namespaces share a file of a limited size. */

export type Claim = {
  readonly id: string;
  /** `undefined` for what the cluster's administrators define. */
  readonly namespace: string | undefined;
  readonly bytes: number;
  /** When it was created; the oldest of a namespace come first. */
  readonly since: string;
};

const order = (a: string, b: string) => a < b ? -1 : a > b ? 1 : 0;

/**
 * The claims that get none of `room` bytes. What is defined cluster-wide always gets it: if that alone is too much, the API
 * server says so. The rest is shared so that who claims much is refused before who claims little: claims are taken in the order
 * of what their namespace has with them, its oldest first, as long as they fit.
 */
export function shareRoom<C extends Claim>(claims: readonly C[], room: number): readonly C[] {
  let total = 0;
  for (const { bytes } of claims) total += bytes;
  if (total <= room) return [];
  let left = room;
  const byNamespace = new Map<string, C[]>();
  for (const claim of claims) {
    if (claim.namespace === undefined) left -= claim.bytes;
    else {
      const own = byNamespace.get(claim.namespace);
      if (own === undefined) byNamespace.set(claim.namespace, [claim]);
      else own.push(claim);
    }
  }
  const ranked = [...byNamespace.values()].flatMap((own) => {
    let sum = 0;
    return own.sort((a, b) => order(a.since, b.since) || order(a.id, b.id))
      .map((claim) => ({ claim, rank: sum += claim.bytes }));
  });
  ranked.sort((a, b) => a.rank - b.rank || order(a.claim.id, b.claim.id));
  return ranked.flatMap(({ claim }) => {
    if (claim.bytes > left) return [claim];
    left -= claim.bytes;
    return [];
  });
}
