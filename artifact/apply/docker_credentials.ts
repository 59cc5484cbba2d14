/** Which credentials a registry gets: Docker's `config.json` and its helpers (`spec/fetch-verify.md §5`). */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { homeFolder } from "../../program/apply/home.ts";
import { messageOf } from "../types/error.ts";
import {
  ANONYMOUS,
  authFor,
  type Credentials,
  credentialsOf,
  parseDockerConfig,
} from "../types/docker_config.ts";
import { parseJson } from "../types/json_text.ts";
import type { ArtifactOptions, Environment } from "../types/options.ts";
import { readBoundedText } from "./bounded_file.ts";
import { log } from "./event.ts";
import { environmentOf } from "./settings.ts";

const HELPER_MS = 30_000;
const HELPER_BYTES = 256 * 1024;

/** The directory that holds `config.json`. */
export function dockerConfigDir(options: ArtifactOptions): string {
  const env = environmentOf(options);
  return options.dockerConfigDir || env["DOCKER_CONFIG"] || join(homeFolder(env), ".docker");
}

/** Runs `docker-credential-<name> get` with the server on its standard input. */
function runHelper(name: string, server: string, env: Environment, signal: AbortSignal | undefined) {
  return new Promise<Credentials>((resolve, reject) => {
    if (!/^[A-Za-z0-9._-]{1,64}$/.test(name)) {
      // A secret may have been put in the name's place: it is not quoted.
      return reject(
        new Error("what config.json names is no helper's name: letters, digits, '.', '_' and '-'"),
      );
    }
    const program = `docker-credential-${name}`;
    const child = spawn(program, ["get"], {
      stdio: ["pipe", "pipe", "ignore"],
      env: { ...env } as NodeJS.ProcessEnv,
      timeout: HELPER_MS,
      killSignal: "SIGKILL",
      ...(signal === undefined ? {} : { signal }),
    });
    const output: Buffer[] = [];
    let size = 0;
    child.on("error", (cause) => reject(new Error(`${program}: ${cause.message}`)));
    child.stdin.on("error", () => {});
    child.stdout.on("data", (piece: Buffer) => {
      size += piece.length;
      if (size > HELPER_BYTES) child.kill("SIGKILL");
      else output.push(piece);
    });
    child.on("close", (code, killed) => {
      // What it printed may hold a secret: it is never part of a message.
      if (code !== 0) return reject(new Error(`${program} ended with ${killed ?? `code ${code}`}`));
      try {
        const { Username: username, Secret: secret } = parseJson(
          Buffer.concat(output).toString("utf8"),
          "the answer",
        ) as Readonly<Record<string, unknown>>;
        if (typeof username !== "string" || typeof secret !== "string") {
          throw new Error("no Username and Secret");
        }
        resolve(
          username === "<token>"
            ? { kind: "identity_token", token: secret }
            : { kind: "basic", username, password: secret },
        );
      } catch {
        reject(new Error(`${program} did not answer with {"Username": …, "Secret": …}`));
      }
    });
    child.stdin.end(server);
  });
}

async function lookUp(file: string, server: string, options: ArtifactOptions): Promise<Credentials> {
  const config = parseDockerConfig(await readBoundedText(file));
  const env = environmentOf(options);
  const helper = config.credHelpers.get(server);
  if (helper !== undefined) return await runHelper(helper, server, env, options.signal);
  const entry = authFor(config, server);
  const found = entry === undefined ? undefined : credentialsOf(entry);
  if (found !== undefined) return found;
  return config.credsStore === undefined
    ? ANONYMOUS
    : await runHelper(config.credsStore, server, env, options.signal);
}

export type CredentialsFound = {
  readonly credentials: Credentials;
  /** What to tell somebody whose request was not authorized. */
  readonly explanation: string;
};

/**
 * The credentials for a registry as it is written in the (normalised) reference. Any failure means anonymous, said at debug
 * level: most registries want none.
 */
export async function findCredentials(server: string, options: ArtifactOptions): Promise<CredentialsFound> {
  const file = join(dockerConfigDir(options), "config.json");
  try {
    const credentials = await lookUp(file, server, options);
    return {
      credentials,
      explanation: credentials.kind === "anonymous"
        ? `${file} has no credentials for ${server}: log in with \`docker login ${server}\``
        : `with the credentials for ${server} in ${file}`,
    };
  } catch (error) {
    log(options, "debug", "Couldn't fetch credentials. Using anonymous instead", {
      server,
      file,
      error: messageOf(error),
    });
    return { credentials: ANONYMOUS, explanation: `without credentials: ${messageOf(error)}` };
  }
}
