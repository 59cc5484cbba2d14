/**
 * Stands in for `evaluator/apply/link.ts` in a worker of `second_wall_test.ts`: instead of linking, it tries what code of an
 * attacker would try in the thread, and tells in an error what came of it.
 */
import process from "node:process";
import { InstantiationError } from "../../../evaluator/types/guest.ts";

/** `DONE` for what an attempt could do, else the error's name or code. */
async function attempt(action: () => unknown): Promise<string> {
  try {
    await action();
    return "DONE";
  } catch (error) {
    const { code, name } = error as { readonly code?: string; readonly name?: string };
    return code ?? name ?? "error";
  }
}

const member = (of: unknown, name: string): unknown => Reflect.get(Object(of), name);
const call = (of: unknown, name: string, ...parameters: unknown[]): unknown =>
  Reflect.apply(member(of, name) as () => unknown, of, parameters);
const made = (sample: object): unknown =>
  Reflect.construct(member(Object.getPrototypeOf(sample), "constructor") as new () => unknown, ["return 1"]);
const builtin = (name: string): Promise<unknown> => import(`node:${name}`);

const GLOBAL_NAMES = ["Bun", "BroadcastChannel", "ShadowRealm", "WebSocket", "Worker", "fetch", "require"];

const ATTEMPTS: Readonly<Record<string, () => unknown>> = {
  eval: () => call(globalThis, "eval", "1"),
  Function: () => made(function () {}),
  AsyncFunction: () => made(async function () {}),
  GeneratorFunction: () => made(function* () {}),
  AsyncGeneratorFunction: () => made(async function* () {}),
  "global Function": () => call(globalThis, "Function", "return 1"),
  "process.binding": () => call(process, "binding", "fs"),
  "process.dlopen": () => call(process, "dlopen", { exports: {} }, "/absent.node"),
  "process.kill": () => call(process, "kill", process.pid, 0),
  "process.getBuiltinModule": () => call(process, "getBuiltinModule", "fs"),
  "global process": () => {
    if (!member(member(globalThis, "process"), "pid")) throw new ReferenceError("process");
  },
  "environment variables": () => {
    if (Object.keys(process.env).length === 0) throw new RangeError("none");
  },
  globals: () => {
    for (const name of GLOBAL_NAMES) {
      const value = member(globalThis, name);
      if (typeof value === "function" || typeof member(value, "spawn") === "function") return;
    }
    throw new ReferenceError("none");
  },
  prototypes: () => {
    for (const type of [Object, Function, Array, Promise, Map, Uint8Array]) {
      Object.defineProperty(type.prototype, "polluted", { value: 1 });
    }
  },
  "reads a file": async () => call(await builtin("fs"), "readFileSync", "/etc/passwd"),
  "writes a file": async () => call(await builtin("fs"), "writeFileSync", "/dev/null", "x"),
  "starts a process": async () => {
    const { error } = call(await builtin("child_process"), "spawnSync", "true") as { readonly error?: Error };
    if (error) throw error;
  },
  "starts a thread": async () => {
    const { Worker } = await import("node:worker_threads");
    await new Worker("0", { eval: true }).terminate();
  },
  "opens a socket": async () => {
    const { connect } = await import("node:net");
    await new Promise<void>((resolve, reject) => {
      const socket = connect(1, "127.0.0.1", resolve);
      // That nobody listens there is what one learns from the network.
      socket.on(
        "error",
        (error: NodeJS.ErrnoException) => error.code === "ECONNREFUSED" ? resolve() : reject(error),
      );
    });
  },
};

/** Always throws {@link InstantiationError}, with the results as JSON. */
export async function link(): Promise<never> {
  const results: Record<string, string> = {};
  for (const [name, action] of Object.entries(ATTEMPTS)) results[name] = await attempt(action);
  throw new InstantiationError(JSON.stringify(results));
}
