/** The rows of `npm run bench:cold-start`. */

/** A measurement; of several rounds the medians. */
export type ColdStartRow = {
  /** `node` or `bun`. */
  readonly runtime: string;
  /** `code`, `padding` or `given`: what brought the modules to their size. */
  readonly kind: string;
  readonly modules: number;
  readonly moduleBytes: number;
  /** From the start of the process to the first 200 of the readiness probe. */
  readonly readyMs: number;
  /** Processor time of all threads until then; null where it can't be read. */
  readonly readyProcessorMs: number | null;
  /** MB (10^6 bytes) when ready, and when every module has answered one request; null where they can't be read. */
  readonly readyRssMb: number | null;
  readonly answeredRssMb: number | null;
};

const TEXTS = ["runtime", "kind"] as const;
const NUMBERS = ["modules", "moduleBytes", "readyMs"] as const;
const NUMBERS_OR_NULL = ["readyProcessorMs", "readyRssMb", "answeredRssMb"] as const;

const isFigure = (value: unknown) => typeof value === "number" && Number.isFinite(value) && value >= 0;

function fault(row: unknown): string | undefined {
  if (typeof row !== "object" || row === null) return "is no object";
  const members = new Map<string, unknown>(Object.entries(row));
  for (const name of TEXTS) {
    if (typeof members.get(name) !== "string") return `has no text "${name}"`;
  }
  for (const name of NUMBERS) {
    if (!isFigure(members.get(name))) return `has no number "${name}"`;
  }
  for (const name of NUMBERS_OR_NULL) {
    const value = members.get(name);
    if (value !== null && !isFigure(value)) return `has neither a number nor null as "${name}"`;
  }
  return undefined;
}

/** The rows in the text of a file that `bench:cold-start --json` wrote. Throws an Error that names the first thing that is wrong. */
export function parseColdStart(text: string): ColdStartRow[] {
  let rows: unknown;
  try {
    rows = JSON.parse(text);
  } catch (error) {
    throw new Error(`is no JSON (${(error as Error).message})`);
  }
  if (!Array.isArray(rows) || rows.length === 0) {
    throw new Error("holds no rows of `npm run bench:cold-start -- --json FILE`");
  }
  for (const [index, row] of rows.entries()) {
    const found = fault(row);
    if (found !== undefined) {
      throw new Error(
        `row ${index + 1} ${found}: give what \`npm run bench:cold-start -- --json FILE\` wrote`,
      );
    }
  }
  return rows as ColdStartRow[];
}
