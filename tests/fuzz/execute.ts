/** Runs one input of a target and says what came of it. */
import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { elapsedMs, stopwatch } from "./stopwatch.ts";
import { Finding, type FindingKind, type Target } from "./target.ts";

/** An error tells what is wrong in fewer bytes than this, whatever the input holds. */
const MAX_ERROR_BYTES = 4096;
const LIMIT_MS = 100;
/** A run over the limit is repeated, and its shortest time counts: the machine may have been busy with something else. */
const ATTEMPTS = 3;
/** So many times the usual limit was not the machine's doing. */
const CLEARLY_LATE = 10;

const root = fileURLToPath(new URL("../../", import.meta.url));

/** A fault that an input showed. */
export interface Failure {
  readonly kind: FindingKind;
  /** The same for all inputs that show the same fault, as far as a program can tell. */
  readonly signature: string;
  readonly detail: string;
}

/** What came of an input. */
export type Outcome = "accepted" | "refused" | Failure;

const PROTOTYPES: readonly (readonly [string, object])[] = [
  ["Object", Object.prototype],
  ["Function", Function.prototype],
  ["Array", Array.prototype],
  ["String", String.prototype],
  ["Number", Number.prototype],
  ["Boolean", Boolean.prototype],
  ["RegExp", RegExp.prototype],
  ["Map", Map.prototype],
  ["Error", Error.prototype],
  ["Promise", Promise.prototype],
  ["Uint8Array", Uint8Array.prototype],
];
/** Two that inputs name, `Object.prototype.toString` and `constructor`, may be replaced where nothing is added. */
const state = ([, prototype]: readonly [string, object]): string =>
  Reflect.ownKeys(prototype).map((key) => {
    const { value, get } = Object.getOwnPropertyDescriptor(prototype, key)!;
    return `${String(key)} ${typeof value} ${typeof value === "function" ? value.name : ""} ${typeof get}`;
  }).join();
const PRISTINE = new Map<string, string>();

/** To be called once the target has been set up: remembers what the prototypes hold. */
export function rememberPrototypes(): void {
  for (const entry of PROTOTYPES) PRISTINE.set(entry[0], state(entry));
}

/** Which prototypes are no longer what they were; all of them are looked at, which takes some time. */
export function pollutedPrototypes(): readonly string[] {
  return PROTOTYPES.filter((entry) => PRISTINE.get(entry[0]) !== state(entry)).map(([name]) => name);
}

/** What is enumerable on every object: the quick look at {@link Object.prototype}. */
function inheritedKey(): string | undefined {
  for (const key in {}) return key;
  return undefined;
}

/** The function of the product that stands highest in the stack. */
function place(error: Error): string {
  for (const line of (error.stack ?? "").split("\n").slice(1)) {
    const path = line.match(/(?:file:\/\/)?(\/[^\s():]+)/)?.[1];
    if (!path) continue;
    const file = relative(root, path);
    if (/^(?:\.\.|node_modules\/|tests\/fuzz\/)/.test(file)) continue;
    const name = line.match(/at (?:async )?([\w.#<>$ ]+) \(/)?.[1] ?? line.match(/^\s*(\w+)@/)?.[1] ?? "";
    return ` in ${file} ${name}`.trimEnd();
  }
  return "";
}

const MAX_DETAIL = 400;
/** Text from inputs reaches a terminal without what would steer it. */
const printable = (text: string): string =>
  // deno-lint-ignore no-control-regex
  text.replace(/[\x00-\x1f\x7f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);

function failure(kind: FindingKind, error: unknown): Failure {
  const thrown = error instanceof Error ? error : new Error(String(error));
  const said = thrown.message.slice(0, 2000);
  // What our own checks say is the fault itself; of other texts the quoted parts come from the input.
  const general = (error instanceof Finding ? said : said.replace(/"(?:[^"\\]|\\.)*"|'[^']*'|`[^`]*`/g, "_"))
    .replace(/-?\d[\d.]*/g, "N")
    .replace(/[^\x20-\x7e]+/g, "_")
    .slice(0, 160);
  const name = error instanceof Finding ? "" : ` ${thrown.name}:`;
  return {
    kind,
    // A long text holds the input, which is never the same.
    signature: `${kind}:${name}${kind === "long error" && name !== "" ? "" : ` ${general}`}${place(thrown)}`,
    detail: `${thrown.name}: ${printable(said.slice(0, MAX_DETAIL))}\n${
      (thrown.stack ?? "").split("\n").slice(1, 12).join("\n")
    }`,
  };
}

/** A run that waits for longer than this waits for ever: nothing that targets wait for takes as long. */
const HANG_MS = 3_000;
let waiting: { readonly since: number; readonly fail: (error: Error) => void } | undefined;
// Also keeps the process alive while it waits for nothing but a promise that never settles.
let watchdog: ReturnType<typeof setInterval> | undefined;

function settled(running: Promise<void>): Promise<void> {
  watchdog ??= setInterval(() => {
    if (waiting && performance.now() - waiting.since > HANG_MS) {
      waiting.fail(new Finding("hang", `a promise that is not settled after ${HANG_MS / 1000} s`));
    }
  }, 500);
  return new Promise((resolve, reject) => {
    waiting = { since: performance.now(), fail: reject };
    running.then(resolve, reject);
  }).finally(() => waiting = undefined) as Promise<void>;
}

/** Lets the process end. */
export function endWatch(): void {
  clearInterval(watchdog);
}

async function once(target: Target, input: Uint8Array): Promise<Outcome> {
  let outcome: Outcome = "accepted";
  try {
    // Most targets answer at once; to wait for them would cost more than the run.
    const running = target.run(input);
    if (running) await settled(running);
  } catch (error) {
    if (error instanceof Finding) outcome = failure(error.kind, error);
    else if (target.expected.some((kind) => error instanceof kind)) {
      outcome = "refused";
      const { length } = (error as Error).message;
      if (length * 3 > MAX_ERROR_BYTES && Buffer.byteLength((error as Error).message) > MAX_ERROR_BYTES) {
        outcome = failure("long error", error);
      }
    } else outcome = failure("crash", error);
  }
  const key = inheritedKey();
  if (key !== undefined) {
    outcome = failure("pollution", new Error(`every object now has the member ${JSON.stringify(key)}`));
    delete (Object.prototype as Record<string, unknown>)[key];
  }
  return outcome;
}

/** Runs an input. `tookMs` is called with the time of the quickest run. */
export async function execute(
  target: Target,
  input: Uint8Array,
  tookMs: (milliseconds: number) => void = () => {},
): Promise<Outcome> {
  const limit = target.limitMs ?? LIMIT_MS;
  let quickest = Infinity;
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const started = stopwatch();
    const outcome = await once(target, input);
    quickest = Math.min(quickest, elapsedMs(started));
    const kind = typeof outcome === "object" ? outcome.kind : undefined;
    const over = kind === "late" || kind !== "hang" && quickest > limit;
    const clear = quickest > CLEARLY_LATE * LIMIT_MS;
    if (over && !clear && attempt < ATTEMPTS) continue;
    tookMs(quickest);
    if (kind !== undefined || quickest <= limit) return outcome;
    break;
  }
  const rounded = Math.round(quickest);
  return failure(
    "late",
    new Error(`one input of ${input.length} bytes took ${rounded} ms, the limit is ${limit}`),
  );
}
