/** Runs programs, here or in the node's network namespace. */
import { spawn, spawnSync } from "node:child_process";
import { openSync } from "node:fs";

/** What a program printed. Throws with its output when it fails. */
export function run(command: string, args: readonly string[], input?: string): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
    ...(input === undefined ? {} : { input }),
  });
  if (error !== undefined) throw new Error(`cannot run ${command}: ${error.message}`);
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${status}:\n${stderr}${stdout}`);
  return stdout;
}

/** The arguments that run a program inside a network namespace. */
export const inside = (namespace: string, command: string, args: readonly string[]): readonly string[] => [
  `--net=/run/netns/${namespace}`,
  command,
  ...args,
];

/** Starts a program that outlives this process, in a namespace, its output in a file. Returns its process id. */
export function startDetached(
  namespace: string,
  log: string,
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
): number {
  const output = openSync(log, "a");
  const child = spawn("nsenter", inside(namespace, command, args), {
    detached: true,
    stdio: ["ignore", output, output],
    env,
  });
  child.unref();
  if (child.pid === undefined) throw new Error(`cannot start ${command}`);
  return child.pid;
}

/** Whether a process is there and no zombie. */
export function isAlive(pid: number): boolean {
  return spawnSync("sh", ["-c", `grep -q '^State:.[^Z]' /proc/${pid}/status 2>/dev/null`]).status === 0;
}
