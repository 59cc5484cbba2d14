/**
 * A policy inside of its module: what the engine's shim calls (`package/policy_engine/shim.wat`). It runs in QuickJS, and `reeve build`
 * puts it in front of the author's code.
 */
import type { DefinedPolicy } from "../types/policy.ts";
import type { AdmissionRequest } from "../types/request.ts";
import { ACCEPTED, writers } from "./answers.ts";
import { isDefined } from "./define_policy.ts";
import { HostError, hostOf } from "./host.ts";
import { authorStack, type LineMap } from "./stack.ts";

/** What the engine gives the bundle, under names that are taken away before the author's code runs. */
interface Engine {
  /** "1" and the answer, or "0" and the error. */
  readonly __portreeveCall: (namespace: string, operation: string, payload: string) => string;
  /** The text of the call that runs. */
  readonly __portreevePayload: () => string;
  readonly __portreeveMap: LineMap;
}

const engine = globalThis as unknown as Engine;
const { __portreeveCall: callHost, __portreevePayload: payloadText, __portreeveMap: map } = engine;
for (const name of ["__portreeveCall", "__portreevePayload", "__portreeveMap"]) {
  Reflect.deleteProperty(globalThis, name);
}

const host = hostOf((namespace, operation, payload) => {
  const answer = callHost(namespace, operation, payload);
  if (answer[0] !== "1") throw new HostError(answer.slice(1));
  return answer.slice(1);
});

type Level = "trace" | "debug" | "info" | "warning" | "error";
/** Longer entries are refused by the policy server; a cut one tells more. */
const MAX_LOGGED = 16_000;

function log(level: Level, message: string): void {
  const text = message.length > MAX_LOGGED ? `${message.slice(0, MAX_LOGGED)}…` : message;
  // Half a pair, the author's or what was cut, is no text for the host.
  callHost("tracing", "log", JSON.stringify({ level, message: text.toWellFormed() }));
}

/** What throws when it is read. */
const NO_TEXT = "a value that has no text";

/** The text of a value that somebody logs or throws. To ask for it may throw: the value is its author's. */
function shown(value: unknown): string {
  if (typeof value === "string") return value;
  try {
    if (value instanceof Error) return errorText(value);
    try {
      return JSON.stringify(value) ?? String(value);
    } catch {
      return String(value);
    }
  } catch {
    return NO_TEXT;
  }
}

const logger = (level: Level) => (...values: unknown[]) => log(level, values.map(shown).join(" "));

/** No more causes are followed. */
const MAX_CAUSES = 5;

/** An error with the places in the author's files, and with what caused it. */
function errorText(error: Error, causes = 0): string {
  const { stack, cause } = error;
  const lines = [summary(error), ...authorStack(String(stack), map).map((frame) => `    ${frame}`)];
  if (cause !== undefined && cause !== error && causes < MAX_CAUSES) {
    lines.push(`caused by ${cause instanceof Error ? errorText(cause, causes + 1) : shown(cause)}`);
  }
  return lines.join("\n");
}

const summary = (error: Error) => `${error.name}: ${error.message}`;

const define = (name: string, value: unknown) =>
  Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });

const absent = (name: string, instead: string) =>
  define(name, () => {
    throw new TypeError(`a policy has no ${name}: ${instead}`);
  });

define("console", {
  trace: logger("trace"),
  debug: logger("debug"),
  log: logger("info"),
  info: logger("info"),
  warn: logger("warning"),
  error: logger("error"),
});
absent("fetch", "what it may ask is in `host`");
for (const name of ["setTimeout", "setInterval", "setImmediate", "queueMicrotask"]) {
  absent(name, "nothing runs after its answer");
}
Math.random = () => {
  throw new TypeError("a policy has no Math.random: the same request gets the same verdict");
};

/** What the user of the API server sees of an error. */
const MAX_SHOWN = 200;

/** What is no error; the engine itself throws null when there is no memory left to make one. */
const strange = (error: unknown, text: string) =>
  error === null ? "out of memory, or null was thrown" : `thrown: ${text}`;

function shortText(error: unknown): string {
  let text = NO_TEXT;
  try {
    text = error instanceof Error ? summary(error) : strange(error, typeof error);
  } catch {
    // It is its author's, and throws when it is read.
  }
  const line = text.replace(/\s+/g, " ");
  return `the policy failed: ${line.length > MAX_SHOWN ? `${line.slice(0, MAX_SHOWN)}…` : line}`
    .toWellFormed();
}

function validate(policy: DefinedPolicy, payload: unknown): string {
  const { request, settings } = payload as { request: AdmissionRequest<never>; settings: unknown };
  const answer = policy.validate(request, { settings, host });
  if (answer === ACCEPTED) return '{"accepted":true}';
  const write = writers.get(answer);
  // The policy's own copy by now. What its author makes of all objects' toJSON is nothing that it answers.
  Object.setPrototypeOf(answer, null);
  if (write === undefined) return JSON.stringify(answer);
  const { mutated_object: changed, ...rest } = answer;
  const text = JSON.stringify(Object.setPrototypeOf(rest, null));
  return `{"mutated_object":${write(changed, payloadText())},${text.slice(1)}`;
}

/** What a call ends with that threw: at length in the log, and shortly for the client. */
function failed(error: unknown): string {
  try {
    log("error", typeof error === "object" && error !== null ? shown(error) : strange(error, shown(error)));
  } catch {
    // Where there is no memory left to say it, the short text still says something.
  }
  return `0${shortText(error)}`;
}

/** The function that the shim calls: with an operation and its payload, or with an error that could not be caught. */
export function serve(policy: DefinedPolicy): (operation: string | undefined, payload: unknown) => string {
  if (!isDefined(policy)) {
    throw new TypeError("the module's default export is no policy: export default definePolicy({ … })");
  }
  const operations: Readonly<Record<string, (payload: unknown) => string>> = {
    validate: (payload) => validate(policy, payload),
    validate_settings: (payload) => JSON.stringify(policy.validateSettings(payload)),
    protocol_version: () => '"v1"',
  };
  return (operation, payload) => {
    if (operation === undefined) return failed(payload);
    if (!Object.hasOwn(operations, operation)) return `0No handler registered for function ${operation}`;
    try {
      return `1${operations[operation]!(payload)}`;
    } catch (error) {
      return failed(error);
    }
  };
}
