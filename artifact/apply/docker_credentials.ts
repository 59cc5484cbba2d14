/** Which credentials a registry gets: Docker's `config.json` and its helpers (`spec/fetch-verify.md §5`). */
import { spawn } from "node:child_process";
import { statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { homeFolder } from "../../program/apply/home.ts";
import { messageOf } from "../types/error.ts";
import {
  ANONYMOUS,
  authsFor,
  type Credentials,
  credentialsOf,
  DOCKER_HUB_SERVER,
  helperFor,
  isEmpty,
  parseDockerConfig,
} from "../types/docker_config.ts";
import { parseJson } from "../types/json_text.ts";
import type { ArtifactOptions, Environment } from "../types/options.ts";
import { looseText } from "../../program/types/decoded_text.ts";
import { readBounded } from "./bounded_file.ts";
import { log } from "./event.ts";
import { environmentOf } from "./settings.ts";

const HELPER_MS = 30_000;
const HELPER_BYTES = 256 * 1024;

/** The directory that holds `config.json`. */
export function dockerConfigDir(options: ArtifactOptions): string {
  const env = environmentOf(options);
  return options.dockerConfigDir || env["DOCKER_CONFIG"] || join(homeFolder(env), ".docker");
}

/** The file in a directory of Docker's configuration; who named the file itself means that one. */
export function dockerConfigFile(directory: string): string {
  try {
    if (statSync(directory).isFile()) return directory;
  } catch {
    // What is wrong with it is told when the file is read.
  }
  return join(directory, "config.json");
}

/**
 * Podman's file below a directory of `XDG_RUNTIME_DIR`, or where it has that by default (containers-auth.json(5)): a login of root's in
 * a container.
 */
function podmanRuntimeFile(env: Environment): readonly string[] {
  const runtime = env["XDG_RUNTIME_DIR"];
  if (runtime) return [join(runtime, "containers", "auth.json")];
  return process.platform === "linux" ? [`/run/containers/${process.getuid?.() ?? 0}/auth.json`] : [];
}

/**
 * The files that may hold logins, in the order in which they are asked. What the caller or `DOCKER_CONFIG` names comes first and keeps
 * the other tools' defaults out; `REGISTRY_AUTH_FILE` is podman's and skopeo's name for theirs.
 */
export function loginFiles(options: ArtifactOptions): readonly string[] {
  const env = environmentOf(options);
  const docker = dockerConfigFile(dockerConfigDir(options));
  if (options.dockerConfigDir) return [docker];
  const named = env["REGISTRY_AUTH_FILE"] ? [env["REGISTRY_AUTH_FILE"]] : [];
  if (env["DOCKER_CONFIG"]) return [docker, ...named];
  const home = homeFolder(env);
  const podman = join(env["XDG_CONFIG_HOME"] || join(home, ".config"), "containers", "auth.json");
  return [...named, docker, ...podmanRuntimeFile(env), podman];
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
      killSignal: "SIGKILL",
      ...(signal === undefined ? {} : { signal }),
    });
    // Not by the `timeout` of `spawn`: Node 24 waits for it also where the program could not be started.
    const limit = setTimeout(() => child.kill("SIGKILL"), HELPER_MS).unref();
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
      clearTimeout(limit);
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
        // Some helpers answer so instead of failing where they have nothing.
        if (username === "" && secret === "") return resolve(ANONYMOUS);
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

/** The servers that a helper is asked for: the keys that stand in the file, as `docker login` gave them to it, then the registry. */
function helperServers(keys: readonly string[], registry: string): readonly string[] {
  const own = registry === "docker.io" ? [DOCKER_HUB_SERVER, registry] : [registry];
  return [...new Set([...keys.slice(0, 4), ...own])];
}

async function askHelper(
  name: string,
  servers: readonly string[],
  env: Environment,
  signal: AbortSignal | undefined,
) {
  let failure: unknown;
  for (const server of servers) {
    try {
      return await runHelper(name, server, env, signal);
    } catch (error) {
      failure ??= error;
    }
  }
  throw failure;
}

/** Docker's variable with the content of such a file, which comes before all files (docker/cli 28.3). */
const AUTH_VARIABLE = "DOCKER_AUTH_CONFIG";

async function lookUp(file: string, image: Image, options: ArtifactOptions): Promise<Credentials> {
  const variable = file === AUTH_VARIABLE ? environmentOf(options)[AUTH_VARIABLE] : undefined;
  const config = parseDockerConfig(variable ?? looseText(await readBounded(file)));
  const env = environmentOf(options);
  const entries = authsFor(config, image.registry, image.repository);
  const empty = entries.filter(({ auth }) => isEmpty(auth)).map(({ key }) => key);
  const servers = helperServers(empty, image.registry);
  const helper = helperFor(config, image.registry);
  if (helper !== undefined) return await askHelper(helper, servers, env, options.signal);
  const faults: unknown[] = [...config.faults];
  for (const { auth } of entries) {
    try {
      const found = credentialsOf(auth);
      if (found !== undefined) return found;
    } catch (error) {
      // A bad entry spoils only itself: the next one may hold for the image, too.
      faults.push(error);
    }
  }
  if (config.credsStore !== undefined) {
    const found = await askHelper(config.credsStore, servers, env, options.signal);
    if (found.kind !== "anonymous") return found;
  }
  if (faults.length > 0) throw faults[0];
  return ANONYMOUS;
}

/** What credentials are wanted for. */
type Image = { readonly registry: string; readonly repository: string };

export type CredentialsFound = {
  readonly credentials: Credentials;
  /** What to tell somebody whose request was not authorized. */
  readonly explanation: string;
};

/** Whether this very file could not be found: a helper's program may be missing, too. */
function isMissing(file: string, error: unknown): boolean {
  const { code, path } = error as { readonly code?: unknown; readonly path?: unknown };
  return code === "ENOENT" && path === file;
}

/**
 * The credentials for an image: from the first of the login files that has some for it. Any failure means anonymous, said at debug
 * level: most registries want none.
 */
export async function findCredentials(image: Image, options: ArtifactOptions): Promise<CredentialsFound> {
  const env = environmentOf(options);
  // What the caller names is alone, unless it only repeats the other variable.
  const alone = options.dockerConfigDir !== undefined && options.dockerConfigDir !== env["DOCKER_CONFIG"];
  const given = env[AUTH_VARIABLE] && !alone ? [AUTH_VARIABLE] : [];
  const files = [...given, ...loginFiles(options)];
  const failures: string[] = [];
  for (const file of files) {
    try {
      const credentials = await lookUp(file, image, options);
      if (credentials.kind !== "anonymous") {
        return { credentials, explanation: `with the credentials for ${image.registry} in ${file}` };
      }
    } catch (error) {
      if (options.signal?.aborted) throw error;
      failures.push(isMissing(file, error) ? `${file} is not there` : messageOf(error));
      log(options, "debug", "Couldn't fetch credentials. Using anonymous instead", {
        server: image.registry,
        file,
        error: messageOf(error),
      });
    }
  }
  const explanation = failures.length === files.length
    ? `without credentials: ${failures.join("; ")}: log in with \`docker login ${image.registry}\``
    : `${files.join(", ")} ${files.length === 1 ? "has" : "have"} no credentials for ${image.registry}: ` +
      `log in with \`docker login ${image.registry}\`${
        failures.length === 0 ? "" : ` (${failures.join("; ")})`
      }`;
  return { credentials: ANONYMOUS, explanation };
}
