/**
 * The policy server in a process of one's own: the same routes, policies file and limits as the program `policy-server`.
 *
 * ```ts
 * import { servePolicies } from "portreeve/policy-server";
 *
 * const server = await servePolicies(["--policies", "policies.yml", "--port", "0", "--readiness-probe-port", "0"]);
 * console.log(`http://127.0.0.1:${server.port}/validate/…`);
 * await server.stop(5_000);
 * ```
 *
 * @module
 */
import { availableParallelism } from "node:os";
import process from "node:process";
import { PortreeveError } from "../program/types/error.ts";
import { FUNCTION, OBJECT, optionFault, type OptionRules } from "../program/types/option_rules.ts";
import type { LogOutput } from "../program/apply/log_lines.ts";
import { createLog } from "./apply/log.ts";
import { parseOptions } from "./render/parse_options.ts";
import { type PolicyServer, startServer } from "./serve/server.ts";

export { PoliciesFileError } from "./types/policies.ts";
export { type PolicyFailure, PolicySetError } from "./apply/policy_set.ts";
export { PortreeveError };
export type { LogOutput, PolicyServer };

/** Raised when the server can't be started: its flags can't be understood, or what they name can't be used. */
export class ServerError extends PortreeveError {
  /** Always this one. */
  override readonly code = "server_not_started";
  /** The name of the error. */
  override readonly name = "ServerError";
}

/** How a server is started. */
export interface ServeOptions {
  /** Environment variables that stand for flags (`KUBEWARDEN_*`); those of the process unless given. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Gets the log's text, line by line; returns how many bytes it holds back. Standard output unless given. */
  readonly output?: LogOutput;
}

const SERVE_OPTIONS: OptionRules<ServeOptions> = { env: OBJECT, output: FUNCTION };

/** What the program prints of a fault: `error: …`, a tip below it, and where help is. */
const oneLine = (text: string): string =>
  text.split("\n").map((line) => line.trim()).filter((line) => line !== "" && !/^(Usage|For more)/.test(line))
    .join("; ").replace(/^error: /i, "");

/**
 * Serves policies until it is told to stop. `flags` are those of the program, `policy-server --help` lists them; all but those that
 * print something or put the process into the background.
 *
 * @throws {ServerError} for flags that can't be understood, and what can't be used, such as a port that is taken
 * @throws {PoliciesFileError} when the policies file can't be understood
 * @throws {PolicySetError} when policies can't be served; it names them
 */
export async function servePolicies(
  flags: readonly string[],
  options: ServeOptions = {},
): Promise<PolicyServer> {
  const fault = Array.isArray(flags) && flags.every((flag) => typeof flag === "string")
    ? optionFault(options, SERVE_OPTIONS)
    : 'the flags are a list of strings, as in ["--policies", "policies.yml"]';
  if (fault !== undefined) throw new ServerError(fault);
  const parsed = parseOptions(flags, options.env ?? process.env, { cpus: availableParallelism() });
  if (parsed.kind !== "run") {
    throw new ServerError(
      parsed.kind === "error" ? oneLine(parsed.text) : `the flags ask for ${parsed.kind}, not for a server`,
    );
  }
  if (parsed.options.daemon !== null) {
    throw new ServerError("--daemon: a part of a process can't go to the background");
  }
  const { logLevel: level, logFormat: format } = parsed.options;
  const log = createLog({ level, format, ...(options.output && { output: options.output }) });
  try {
    return await startServer(parsed.options, log, undefined, false);
  } catch (error) {
    if (error instanceof PortreeveError) throw error;
    throw new ServerError((error as Error).message, { cause: error });
  }
}
