/** What a run came to. */

export type PolicyTally = { readonly pass: number; readonly fail: number; readonly error: number };

export type Totals = {
  /** Objects that were judged, or whose report was kept. */
  readonly resources: number;
  readonly written: number;
  readonly kept: number;
  readonly removed: number;
  /** Reports that could not be written. */
  readonly unwritten: number;
  /** Kinds that could not be listed, once per namespace. */
  readonly unlisted: number;
  readonly namespaces: number;
  readonly failedNamespaces: number;
};

export type Tally = {
  /** By policy id. */
  readonly policies: ReadonlyMap<string, PolicyTally>;
  readonly totals: Totals;
};
