/**
 * The second wall around guests. What a guest can reach is what its imports are (`link.ts`); should that ever be more than it
 * ought to be, then the objects of this thread, and with them whatever they lead to. So a thread that evaluates gives up,
 * before its first guest, what evaluating does not need:
 *
 * - making code from strings: `eval` and the constructors of functions throw, on every runtime;
 * - the globals and the functions of `process` by which one reaches files, the network, other processes and other threads;
 * - changing the objects that all others inherit from.
 *
 * What the runtime itself enforces comes on top of it (`thread_powers.ts`).
 */
import process from "node:process";

/** Globals that lead out of the thread. */
const GLOBALS = [
  "Bun",
  "BroadcastChannel",
  "Deno",
  "EventSource",
  "HTMLRewriter",
  "Navigator",
  "ShadowRealm",
  "Storage",
  "WebSocket",
  "Worker",
  "XMLHttpRequest",
  "alert",
  "confirm",
  "fetch",
  "localStorage",
  "navigator",
  "process",
  "prompt",
  "require",
  "sessionStorage",
];

/** What `process` can do beyond its own thread. */
const PROCESS_FUNCTIONS = [
  "_debugEnd",
  "_debugProcess",
  "_kill",
  "_linkedBinding",
  "abort",
  "binding",
  "chdir",
  "dlopen",
  "execve",
  "getBuiltinModule",
  "initgroups",
  "kill",
  "loadEnvFile",
  "openStdin",
  "setegid",
  "seteuid",
  "setgid",
  "setgroups",
  "setuid",
  "umask",
] as const;

/** What packages ask of the global `process`: on which runtime they are, and to be called a little later. */
function harmlessProcess(binding: unknown): object {
  const { arch, nextTick, platform, release, version, versions } = process;
  return Object.freeze({
    arch,
    argv: Object.freeze([]),
    ...(binding !== undefined && { binding }),
    cwd: () => "/",
    emitWarning: () => {},
    env: Object.freeze(Object.create(null)),
    nextTick,
    platform,
    release,
    version,
    versions,
  });
}

/** The prototypes that objects of this thread inherit from; a change of one would be a change of all. */
const PROTOTYPES: readonly object[] = [
  Object.prototype,
  Function.prototype,
  Array.prototype,
  String.prototype,
  Number.prototype,
  Promise.prototype,
  Map.prototype,
  Set.prototype,
  Object.getPrototypeOf(Uint8Array.prototype),
  Uint8Array.prototype,
];

/**
 * Makes `eval` and the constructors of functions throw an {@link EvalError}, in the calling thread, for good. WebAssembly is
 * not concerned.
 */
export function withoutCodeGeneration(): void {
  const samples = [function () {}, async function () {}, function* () {}, async function* () {}];
  const refuse = () => {
    throw new EvalError("code is not made from strings where policies are evaluated");
  };
  for (const sample of samples) {
    const prototype = Object.getPrototypeOf(sample);
    const { name } = prototype.constructor;
    // Can be called with `new` or without, and `instanceof` still tells what is a function.
    const refusing = function () {
      refuse();
    };
    Object.defineProperty(refusing, "name", { value: name });
    Object.defineProperty(refusing, "prototype", { value: prototype, writable: false });
    Object.defineProperty(prototype, "constructor", {
      value: refusing,
      writable: false,
      configurable: false,
      enumerable: false,
    });
  }
  for (const [name, value] of [["Function", Function.prototype.constructor], ["eval", refuse]] as const) {
    Object.defineProperty(globalThis, name, { value, writable: false, configurable: false });
  }
}

/** A thread is confined once: afterwards there is nothing left to do it with. */
let confined = false;

/** What Bun's own HTTP asks `process.binding` for, when a connection comes. */
const HTTP_PARSER = "http_parser";

/** A `process.binding` that gives nothing but what HTTP needs. */
function httpBinding(): unknown {
  const { binding } = process as unknown as { readonly binding?: (name: string) => unknown };
  if (binding === undefined || !("bun" in process.versions)) return undefined;
  const parser = binding(HTTP_PARSER);
  return (name: unknown) => name === HTTP_PARSER ? parser : undefined;
}

/**
 * Gives up what a thread that evaluates does not need, for good. To be called once its own code is loaded, and, where it `serves`
 * HTTP, once it listens.
 */
export function confineThread({ serves = false }: { readonly serves?: boolean } = {}): void {
  // Tinypool may use a thread again.
  if (confined) return;
  confined = true;
  const binding = serves ? httpBinding() : undefined;
  const harmless = harmlessProcess(binding);
  for (const name of PROCESS_FUNCTIONS) {
    const value = name === "binding" ? binding : undefined;
    if (name in process) Object.defineProperty(process, name, { value, writable: false });
  }
  for (const name of GLOBALS) {
    if (!Object.hasOwn(globalThis, name)) continue;
    if (!Reflect.deleteProperty(globalThis, name)) emptyObject(Reflect.get(globalThis, name));
  }
  Object.defineProperty(globalThis, "process", { value: harmless });
  withoutCodeGeneration();
  for (const prototype of PROTOTYPES) Object.freeze(prototype);
}

/** For a global that can't be removed: takes away what can be. */
function emptyObject(value: unknown): void {
  if (typeof value !== "object" || value === null) return;
  for (const name of Reflect.ownKeys(value)) {
    if (!Reflect.deleteProperty(value, name)) Reflect.set(value, name, undefined);
  }
}
