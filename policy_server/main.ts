/** The policy server's program: flags and environment in, a serving process out. */
import { writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import process from "node:process";
import { REGO_BUILTINS } from "../evaluator/types/rego_builtin_names.ts";
import { createLog } from "./apply/log.ts";
import { osErrorText } from "./apply/os_error.ts";
import { PolicySetError } from "./apply/policy_set.ts";
import { writeTerminationMessage } from "./apply/termination_message.ts";
import { parseOptions } from "./render/parse_options.ts";
import { startServer } from "./serve/server.ts";
import type { ServerOptions } from "./types/options.ts";
import { VERSION } from "./types/version.ts";

/** Kubernetes gives 30 s from SIGTERM to SIGKILL. */
const GRACE_MS = 25_000;

function fail(message: string, exitCode: number): never {
  process.stderr.write(`${message}\n`);
  process.exit(exitCode);
}

async function serve(options: ServerOptions, notices: readonly string[]): Promise<void> {
  const log = createLog({ level: options.logLevel, format: options.logFormat });
  for (const notice of notices) log.warn(notice);
  const server = await startServer(options, log).catch((error: unknown) => {
    log.flush();
    if (error instanceof PolicySetError) {
      writeTerminationMessage(
        process.env["PORTREEVE_TERMINATION_LOG"] ?? "/dev/termination-log",
        error.failures,
      );
      const [first, ...others] = error.failures;
      const causes = others.map(({ message }, index) => `    ${index}: ${message}`);
      return fail(
        [`Error: ${first!.message}`, ...(causes.length > 0 ? ["", "Caused by:", ...causes] : [])].join("\n"),
        1,
      );
    }
    return fail(`Error: ${osErrorText(error)}`, 1);
  });
  process.on("SIGHUP", () => {
    log.info("SIGHUP received, reloading policies");
    void server.reload();
  });
  let stopping = false;
  const stop = async (signal: string) => {
    if (stopping) return;
    stopping = true;
    log.info("shutting down", { signal });
    await server.stop(GRACE_MS);
    log.info("all requests were answered");
    log.flush();
    process.exit(0);
  };
  process.on("SIGTERM", () => void stop("SIGTERM"));
  process.on("SIGINT", () => void stop("SIGINT"));
}

const outcome = parseOptions(process.argv.slice(2), process.env, {
  cpus: availableParallelism(),
  version: VERSION,
  regoBuiltins: REGO_BUILTINS,
});
switch (outcome.kind) {
  case "run":
    await serve(outcome.options, outcome.notices);
    break;
  case "help":
  case "version":
    process.stdout.write(`${outcome.text}\n`);
    break;
  case "docs":
    try {
      writeFileSync(outcome.path, `${outcome.text}\n`);
    } catch (error) {
      fail(`Error: cannot create file ${outcome.path}: ${osErrorText(error)}`, 1);
    }
    break;
  case "error":
    fail(outcome.text, outcome.exitCode);
}
