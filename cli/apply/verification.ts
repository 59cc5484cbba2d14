/** Who must have signed, from the signature flags and files (`spec/cli.md §3.2`). */
import { lstatSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import {
  type Annotations,
  type ArtifactOptions,
  githubNameFault,
  loadTrustRoot,
  publicKeyFault,
  publicKeyWarnings,
  readVerificationConfig,
  type Signature,
  type TrustRoot,
  type VerificationConfig,
} from "../../artifact/mod.ts";
import { looseText } from "../../program/types/decoded_text.ts";
import { osErrorText } from "../../program/render/os_error.ts";
import { type Arguments, CliError, type Context } from "../types/command.ts";
import { UsageError } from "../types/usage_error.ts";
import { pathsOf } from "./paths.ts";

const KEY_FLAGS = ["cert-email", "cert-oidc-issuer", "github-owner", "github-repo", "verification-key"];

/** The key and the value of a flag's `KEY=VALUE`. 1.36 takes the last of several values for one key; it is said here. */
export function pairOf(
  { log }: Context,
  flag: string,
  pair: string,
  usage: string,
  before: ReadonlyMap<string, unknown>,
): readonly [key: string, value: string] {
  const at = pair.indexOf("=");
  if (at <= 0) {
    const missing = at < 0 ? "'='" : "key";
    throw new UsageError(
      `invalid value '${pair}' for '--${flag} <KEY=VALUE>...': it has no ${missing}`,
      usage,
    );
  }
  const key = pair.slice(0, at);
  if (before.has(key)) {
    log(
      "WARN",
      `--${flag} gives the key ${JSON.stringify(key)} twice: the last one counts, remove one of them`,
    );
  }
  return [key, pair.slice(at + 1)];
}

function annotationsOf(context: Context, given: readonly string[]): Annotations | undefined {
  if (given.length === 0) return undefined;
  const annotations = new Map<string, string>();
  for (const pair of given) {
    // The original drops those without a key, and with the last of them the whole verification (spec/cli.md, sharp edge 12).
    const usage = `${context.program} <COMMAND> --verification-annotation <KEY=VALUE>...`;
    annotations.set(...pairOf(context, "verification-annotation", pair, usage, annotations));
  }
  return annotations;
}

async function fromFlags(context: Context, args: Arguments): Promise<VerificationConfig | undefined> {
  const annotations = annotationsOf(context, args.values("verification-annotation"));
  const [email, issuer, owner, repo] = ["cert-email", "cert-oidc-issuer", "github-owner", "github-repo"].map(
    (flag) => args.value(flag),
  );
  const keys = args.values("verification-key");
  if (annotations === undefined && !KEY_FLAGS.some((flag) => args.has(flag))) return undefined;
  if (args.has("verification-config-path")) {
    throw new CliError(
      "verification-config-path cannot be used in conjunction with other verification flags",
    );
  }
  if (annotations !== undefined && !KEY_FLAGS.some((flag) => flag !== "github-repo" && args.has(flag))) {
    throw new CliError(
      "Intending to verify annotations, but no verification keys, OIDC issuer or GitHub owner were passed",
    );
  }
  if (repo !== undefined && owner === undefined) {
    throw new CliError(
      "Intending to verify GitHub actions signature, but the repository owner is missing.",
    );
  }
  if ((email === undefined) !== (issuer === undefined)) {
    throw new CliError(
      "Intending to verify OIDC issuer, but no email or issuer were provided. You must pass the email and OIDC " +
        "issuer to be validated together ",
    );
  }
  for (const flag of KEY_FLAGS) {
    if (args.values(flag).includes("") || args.value(flag) === "") throw new CliError(`--${flag} is empty`);
  }
  for (const [flag, name] of [["github-owner", owner], ["github-repo", repo]] as const) {
    const fault = name === undefined ? undefined : githubNameFault(name);
    if (fault !== undefined) throw new CliError(`--${flag} ${JSON.stringify(name)} ${fault}`);
  }
  const allOf: Signature[] = [];
  if (email !== undefined && issuer !== undefined) {
    allOf.push({ kind: "genericIssuer", issuer, subject: { kind: "equal", value: email }, annotations });
  }
  if (owner !== undefined) allOf.push({ kind: "githubAction", owner, repo, annotations });
  for (const path of keys) {
    let key: string;
    try {
      key = looseText(await readFile(resolve(context.cwd, path)));
    } catch (error) {
      // A key of a service, or an address, as cosign's flag takes them.
      const instead = /^\w+:\/\//.test(path) ? `: ${publicKeyFault(path)}` : "";
      throw new CliError(`could not read file ${path}: ${osErrorText(error)}${instead}`);
    }
    const fault = publicKeyFault(key);
    if (fault !== undefined) throw new CliError(`${path}: ${fault}`);
    for (const warning of publicKeyWarnings(key, "give a --verification-key for each")) {
      context.log("WARN", `${path} ${warning}`);
    }
    allOf.push({ kind: "pubKey", owner: undefined, key, annotations });
  }
  return { allOf, anyOf: undefined };
}

/**
 * Whether somebody put a file there. What can't be looked at, or is a link to nothing, is there: who meant signatures to be
 * checked must not go without because of it.
 */
function isThere(path: string): boolean {
  try {
    lstatSync(path);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return false;
    throw new CliError(`cannot look for the default verification config ${path}: ${osErrorText(error)}`);
  }
}

/** Who must have signed; undefined: nobody has to. Throws {@link CliError}. */
export async function verificationConfig(
  context: Context,
  args: Arguments,
  options: ArtifactOptions,
): Promise<VerificationConfig | undefined> {
  const flags = await fromFlags(context, args);
  if (flags !== undefined) return flags;
  const given = args.value("verification-config-path");
  const fallback = pathsOf(context.env).defaultVerification;
  if (given === undefined && !isThere(fallback)) return undefined;
  if (given === undefined) context.log("INFO", "Default verification config present, using it");
  try {
    return await readVerificationConfig(
      given === undefined ? fallback : resolve(context.cwd, given),
      options,
    );
  } catch (error) {
    throw new CliError((error as Error).message);
  }
}

/** Gets the trust root when it is first needed, and once. */
export interface TrustRootOf {
  /** For verifying what the user asked to have verified: undefined where keys are all that counts and no file was named. */
  readonly forConfig: (config: VerificationConfig) => Promise<TrustRoot | undefined>;
  /** For what policies ask; undefined, with a warning, where there is none. */
  readonly ifAny: () => Promise<TrustRoot | undefined>;
}

export function trustRoot(context: Context, args: Arguments, options: ArtifactOptions): TrustRootOf {
  const path = args.value("sigstore-trust-config");
  const source = path === undefined
    ? { kind: "tuf", cacheDir: pathsOf(context.env).sigstore } as const
    : { kind: "file", path: resolve(context.cwd, path) } as const;
  let loading: Promise<TrustRoot> | undefined;
  const load = () => loading ??= loadTrustRoot(source, options);
  let warned = false;
  return {
    async forConfig({ allOf = [], anyOf }) {
      // Signatures by key need no trust root, and nothing goes over the network for one that isn't needed.
      const byKeys = [...allOf, ...anyOf?.signatures ?? []].every(({ kind }) => kind === "pubKey");
      if (byKeys && path === undefined) return undefined;
      try {
        return await load();
      } catch (error) {
        throw new CliError(
          path === undefined
            ? `Error building Sigstore trust root: ${
              (error as Error).message
            }. Note that verification options were ` +
              "provided, so a Sigstore trust root is required."
            : (error as Error).message,
        );
      }
    },
    async ifAny() {
      try {
        return await load();
      } catch (error) {
        if (!warned) {
          warned = true;
          context.log(
            "WARN",
            "Cannot create Sigstore trust root, verification relying on Rekor and Fulcio will fail",
            { error: JSON.stringify((error as Error).message) },
          );
        }
        return undefined;
      }
    },
  };
}
