/**
 * Where a server gets its policies' modules: file system, file servers, registries; and, where a verification configuration is
 * given, only what its signers vouch for (`spec/policy-server.md §3.3`). The bytes that were checked are the bytes that run.
 */
import { readFile, stat } from "node:fs/promises";
import {
  ArtifactError,
  type ArtifactEvent,
  type ArtifactOptions,
  fetchPolicy,
  fetchVerifiedPolicy,
  quotedUri,
  readModule,
  readSources,
  readVerificationConfig,
} from "../../artifact/mod.ts";
import type { ServerOptions } from "../types/options.ts";
import type { Log } from "./log.ts";
import { osErrorText } from "../../program/render/os_error.ts";
import { type TrustRootGetter, trustRootSource } from "./trust_root.ts";

/** Gets the bytes of the module at `url` for the policy called `name`. Throws an Error with the whole text for the user. */
export type LoadModule = (url: string, name: string) => Promise<Uint8Array>;

/** No policy comes near; a module is held in memory twice while it is prepared. */
const MAX_MODULE_BYTES = 256 * 1024 * 1024;

type SourceOptions = Pick<
  ServerOptions,
  | "policiesDownloadDir"
  | "sourcesPath"
  | "verificationPath"
  | "dockerConfigJsonPath"
>;

/** Where modules come from, and images whose signatures policies ask for. */
export interface ModuleSources {
  readonly artifact: ArtifactOptions;
  readonly trustRoot: TrustRootGetter;
  readonly loadModule: LoadModule;
  /** Milliseconds of the process at which a part of a module arrived last. */
  readonly arrivedAt: () => number;
}

/** Reads the configuration files that the flags name. Throws an Error with the text for the user. */
export async function moduleSources(options: ServerOptions, log: Log): Promise<ModuleSources> {
  let arrivedAt = -Infinity;
  const artifact = await artifactOptions(options, log, () => arrivedAt = performance.now());
  const trustRoot = trustRootSource(options, artifact, log);
  const loadModule = await moduleLoader(options, artifact, trustRoot, log);
  return { artifact, trustRoot, loadModule, arrivedAt: () => arrivedAt };
}

/** Settings of the artifact room that the server's flags give; also what host capabilities work with. `arrived` is called while modules come in. */
async function artifactOptions(
  options: SourceOptions,
  log: Log,
  arrived: () => void,
): Promise<ArtifactOptions> {
  const { sourcesPath, dockerConfigJsonPath } = options;
  const onEvent = (event: ArtifactEvent) => {
    if (event.kind === "progress") arrived();
    else if (event.kind === "log") {
      log[event.level](event.message, event.fields, { target: "policy_fetcher" });
    }
  };
  return {
    ...(sourcesPath !== null && { sources: await readSources(sourcesPath, { onEvent }) }),
    ...(dockerConfigJsonPath !== null && { dockerConfigDir: dockerConfigJsonPath }),
    limits: { moduleBytes: MAX_MODULE_BYTES },
    onEvent,
  };
}

/** Modules from where the flags say, verified where they say how. */
async function moduleLoader(
  options: SourceOptions,
  artifact: ArtifactOptions,
  trustRoot: TrustRootGetter,
  log: Log,
): Promise<LoadModule> {
  const store = { kind: "store", root: options.policiesDownloadDir } as const;
  if (options.verificationPath === null) {
    return async (url, name) => {
      try {
        const policy = await fetchPolicy(url, store, artifact);
        return await readChecked(policy.path, policy.sha256);
      } catch (error) {
        throw new Error(
          `Error while downloading policy '${name}' from ${quotedUri(url)}: ${(error as Error).message}`,
          {
            cause: error,
          },
        );
      }
    };
  }
  const config = await readVerificationConfig(options.verificationPath, artifact);
  // Without one, signatures that need it don't count; what that means is up to the configuration.
  const root = await trustRoot();
  return async (url, name) => {
    log.info("verifying policy authenticity and integrity using sigstore", { policy: name });
    try {
      const { path, sha256, digest } = await fetchVerifiedPolicy(url, config, root, store, artifact);
      log.info("policy download", { name, status: "verified-signatures", digest });
      const bytes = await readModule(path, sha256);
      log.info("policy download", { name, status: "verified-local-checksum", sha256sum: sha256 });
      return bytes;
    } catch (error) {
      const reason = (error as Error).message;
      log.error("policy cannot be verified", { policy: name, error: reason });
      const text = error instanceof ArtifactError && error.code === "digest"
        ? `Verification of policy ${name} failed: ${reason}`
        : `Policy '${name}' cannot be verified: ${reason}`;
      throw new Error(text, { cause: error });
    }
  };
}

async function readChecked(path: string, sha256: string | undefined): Promise<Uint8Array> {
  if (sha256 !== undefined) return await readModule(path, sha256);
  try {
    const { size } = await stat(path);
    if (size > MAX_MODULE_BYTES) {
      throw new Error(`the module has ${size} bytes, the limit is ${MAX_MODULE_BYTES}`);
    }
    return new Uint8Array(await readFile(path));
  } catch (error) {
    throw new Error(osErrorText(error), { cause: error });
  }
}
