/** Faults that were found and are not mended yet: they are counted as known and don't make a run fail. */
interface OpenFinding {
  /** What it is. */
  readonly what: string;
  /** Inputs that show it, below `found/`. */
  readonly files: readonly string[];
  /** What signatures of it begin with. */
  readonly signatures: readonly string[];
  /** The runtime that shows it, where the other does not. */
  readonly on?: "node" | "bun";
  /** Whether it is a matter of time, which an idle machine may not show. */
  readonly unsteady?: true;
}

/** `found_test.ts` fails for one that is mended: then its lines go, and its inputs stay as tests. */
export const OPEN_FINDINGS: readonly OpenFinding[] = [];

/** Whether a fault is a known one. */
export const isOpen = (target: string, signature: string): boolean =>
  OPEN_FINDINGS.some(({ files, signatures }) =>
    files.some((file) => file.startsWith(`${target}/`)) &&
    signatures.some((known) => signature.startsWith(known))
  );
