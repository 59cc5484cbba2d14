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
export const OPEN_FINDINGS: readonly OpenFinding[] = [
  {
    what: "`reeve load` of an archive that ends within a file waits for ever",
    files: ["archives/truncated-in-an-entry"],
    signatures: ["hang: a promise that is not settled"],
  },
  {
    what:
      "bundles with nulls or values of other kinds are refused with a TypeError of the package that reads them",
    files: [
      "bundles/null-media-type",
      "bundles/null-signature",
      "bundles/null-timestamp",
    ],
    signatures: ["crash: TypeError: "],
  },
  {
    what:
      "bundles with objects where texts belong are refused with a TypeError of the package that reads them",
    files: ["bundles/object-for-a-primitive"],
    signatures: ["crash: TypeError: "],
    on: "node",
  },
  {
    what: "what is wrong with a condition is told in a text as long as the condition",
    files: ["cel/long-explanation"],
    signatures: ["long error: the explanation of a condition"],
  },
  {
    what: "to compile a condition of 15 KB takes a second",
    files: ["cel/long-row"],
    signatures: ["late: "],
    unsteady: true,
  },
  {
    what: "the price of a bulk instruction on tables, and of an exception, is less than its cost",
    files: [
      "deadlines/table-copy",
      "deadlines/table-fill",
      "deadlines/table-init",
      "deadlines/throw",
      "deadlines/throw-through",
    ],
    signatures: ["late: a guest made of "],
    unsteady: true,
  },
  {
    what: "errors quote the values of config.json, however long and secret they are",
    files: ["docker-config/text"],
    signatures: ["long error: Error: in artifact/types/strict_document.ts"],
  },
  {
    what: "imports are looked up on objects that inherit",
    files: [
      "imports/constructor-of-the-namespace-wapc",
      "imports/constructor-of-the-namespace-wasi",
      "imports/function-constructor-wapc",
      "imports/function-constructor-wasi",
    ],
    signatures: ["difference: an import that no host provides was served in "],
  },
  {
    what: "imports are looked up on objects that inherit, and the guest calls what is found there",
    files: ["imports/define-getter-wapc"],
    signatures: ["difference: a guest called a foreign function in "],
    on: "node",
  },
  {
    what: "a module of some KiB takes a GiB and seconds to compile: local variables times nesting",
    files: ["malformed-modules/locals-times-nesting"],
    signatures: ["late: ", "memory: ", "hang: "],
    unsteady: true,
  },
  {
    what: "errors quote a digest or a media type in full",
    files: ["manifests/long-digest", "manifests/long-media-type"],
    signatures: ["long error: ArtifactError: in artifact/types/manifest.ts"],
  },
  {
    what: "a mediaType that has no text raises a TypeError",
    files: ["manifests/media-type-without-a-text"],
    signatures: ["crash: TypeError: "],
  },
  {
    what: "a refused URI is quoted in full, however long it is",
    files: ["references/long-host"],
    signatures: ["long error: ArtifactError: in artifact/"],
  },
  {
    what: "the path in the store of a very long segment can't be made (Windows: names in base64)",
    files: ["references/long-segment-base64"],
    signatures: ["crash: RangeError: Maximum call stack size exceeded in artifact/render/store_path.ts"],
    on: "node",
  },
  {
    what: "memory that an earlier request grew can be told by loads beyond the guest's own page count",
    files: ["snapshots/load-beyond-the-memory"],
    signatures: ["a", "b"].map((program) =>
      `difference: ${program}, as if nothing had been before: expected "error while executing: wasm trap: out of bounds memory access"`
    ),
  },
];

/** Whether a fault is a known one. */
export const isOpen = (target: string, signature: string): boolean =>
  OPEN_FINDINGS.some(({ files, signatures }) =>
    files.some((file) => file.startsWith(`${target}/`)) &&
    signatures.some((known) => signature.startsWith(known))
  );
