/** Which credentials a registry gets: Docker's `config.json` and its helpers (`spec/fetch-verify.md §5`). */
import { statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { homeFolder } from "../../program/apply/home.ts";
import { programFault, programInPath, runProgram } from "../../program/apply/run_program.ts";
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
import { readBounded } from "../../program/apply/bounded_file.ts";
import { log } from "./event.ts";
import { environmentOf } from "./settings.ts";

const HELPER_LIMITS = { timeoutMs: 30_000, maxBytes: 256 * 1024 };

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

/** What the helper of a file is asked with. */
type Asking = {
  /** The file or the variable that names it, for messages. */
  readonly origin: string;
  readonly env: Environment;
  readonly signal: AbortSignal | undefined;
};

/** Runs `docker-credential-<name> get` with the server on its standard input. */
async function runHelper(
  name: string,
  server: string,
  { origin, env, signal }: Asking,
): Promise<Credentials> {
  if (!/^[A-Za-z0-9._-]{1,64}$/.test(name)) {
    // A secret may have been put in the name's place: it is not quoted.
    throw new Error(`what ${origin} names is no helper's name: letters, digits, '.', '_' and '-'`);
  }
  const program = `docker-credential-${name}`;
  const missing = `${program}, which ${origin} names, is not in PATH: install it, or remove its name`;
  const file = await programInPath(program, env["PATH"]);
  if (file === undefined) throw new Error(missing);
  const end = await runProgram(file, {
    args: ["get"],
    env,
    input: server,
    ...HELPER_LIMITS,
    signal,
  });
  if (end.kind === "exited" && end.code === 0) return readHelperAnswer(end.output, program);
  // What it printed may hold a secret: it is never part of a message.
  throw new Error(
    end.kind === "not started" && end.code === "ENOENT"
      ? missing
      : `${program} ${programFault(end, HELPER_LIMITS)}`,
  );
}

function readHelperAnswer(output: Buffer, program: string): Credentials {
  let answer: unknown;
  try {
    answer = parseJson(output.toString("utf8"), "the answer");
  } catch {
    // Told below.
  }
  const { Username: username, Secret: secret } = (answer ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof username !== "string" || typeof secret !== "string") {
    throw new Error(`${program} did not answer with {"Username": …, "Secret": …}`);
  }
  // Some helpers answer so instead of failing where they have nothing.
  if (username === "" && secret === "") return ANONYMOUS;
  return username === "<token>"
    ? { kind: "identity_token", token: secret }
    : { kind: "basic", username, password: secret };
}

/** The servers that a helper is asked for: the keys that stand in the file, as `docker login` gave them to it, then the registry. */
function helperServers(keys: readonly string[], registry: string): readonly string[] {
  const own = registry === "docker.io" ? [DOCKER_HUB_SERVER, registry] : [registry];
  return [...new Set([...keys.slice(0, 4), ...own])];
}

async function askHelper(name: string, servers: readonly string[], asking: Asking) {
  let failure: unknown;
  for (const server of servers) {
    try {
      return await runHelper(name, server, asking);
    } catch (error) {
      failure ??= error;
    }
  }
  throw failure;
}

/** Docker's variable with the content of such a file, which comes before all files (docker/cli 28.3). */
const AUTH_VARIABLE = "DOCKER_AUTH_CONFIG";

/** Where logins may be: in a file, or in a variable itself. */
type LoginPlace = {
  /** For messages. */
  readonly origin: string;
  readonly read: () => Promise<string>;
};

/** All places that may hold logins, in the order in which they are asked; what the caller names is alone. */
function loginPlaces(options: ArtifactOptions): readonly LoginPlace[] {
  const content = options.dockerConfigDir ? undefined : environmentOf(options)[AUTH_VARIABLE];
  const variable = content
    ? [{ origin: `the variable ${AUTH_VARIABLE}`, read: () => Promise.resolve(content) }]
    : [];
  const files = loginFiles(options).map((file) => ({
    origin: file,
    read: async () => looseText(await readBounded(file)),
  }));
  return [...variable, ...files];
}

async function lookUp(
  { origin, read }: LoginPlace,
  image: Image,
  options: ArtifactOptions,
): Promise<Credentials> {
  const config = parseDockerConfig(await read(), origin);
  const asking = { origin, env: environmentOf(options), signal: options.signal };
  const entries = authsFor(config, image.registry, image.repository);
  const empty = entries.filter(({ auth }) => isEmpty(auth)).map(({ key }) => key);
  const servers = helperServers(empty, image.registry);
  const helper = helperFor(config, image.registry);
  if (helper !== undefined) return await askHelper(helper, servers, asking);
  const faults: unknown[] = [...config.faults];
  for (const { auth } of entries) {
    try {
      const found = credentialsOf(auth, origin);
      if (found !== undefined) return found;
    } catch (error) {
      // A bad entry spoils only itself: the next one may hold for the image, too.
      faults.push(error);
    }
  }
  if (config.credsStore !== undefined) {
    const found = await askHelper(config.credsStore, servers, asking);
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
  const places = loginPlaces(options);
  const failures: string[] = [];
  for (const place of places) {
    const { origin } = place;
    try {
      const credentials = await lookUp(place, image, options);
      if (credentials.kind !== "anonymous") {
        return { credentials, explanation: `with the credentials for ${image.registry} in ${origin}` };
      }
    } catch (error) {
      if (options.signal?.aborted) throw error;
      failures.push(isMissing(origin, error) ? `${origin} is not there` : messageOf(error));
      log(options, "debug", "Couldn't fetch credentials. Using anonymous instead", {
        server: image.registry,
        file: origin,
        error: messageOf(error),
      });
    }
  }
  const origins = places.map(({ origin }) => origin);
  const explanation = failures.length === places.length
    ? `without credentials: ${failures.join("; ")}: log in with \`docker login ${image.registry}\``
    : `${origins.join(", ")} ${
      origins.length === 1 ? "has" : "have"
    } no credentials for ${image.registry}: ` +
      `log in with \`docker login ${image.registry}\`${
        failures.length === 0 ? "" : ` (${failures.join("; ")})`
      }`;
  return { credentials: ANONYMOUS, explanation };
}
