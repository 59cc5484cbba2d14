/** How far a run is, for people who watch it. */

export type PhaseProgress = {
  /** So many more objects are known of. */
  expect(count: number): void;
  /** One is done. */
  done(): void;
  /** The phase has ended. */
  end(): void;
};

export type Progress = {
  /** A phase begins: a namespace, or `undefined` for the cluster-scoped objects; `of` namespaces are in the run. */
  begin(namespace: string | undefined, of: number): PhaseProgress;
};
