/**
 * Every builtin that Rego modules may leave to the host. A thread loads what its modules ask for: few need tokens or
 * certificates, whose code is large.
 */
import { own, setOwn } from "../../program/types/own.ts";
import { ENCODING_BUILTINS } from "../render/rego_builtins/encoding.ts";
import { NET_BUILTINS } from "../render/rego_builtins/net.ts";
import { NUMBER_BUILTINS } from "../render/rego_builtins/numbers.ts";
import { OBJECT_BUILTINS } from "../render/rego_builtins/object.ts";
import { REGEX_BUILTINS } from "../render/rego_builtins/regex.ts";
import { STRING_BUILTINS } from "../render/rego_builtins/strings.ts";
import { TIME_BUILTINS } from "../render/rego_builtins/time.ts";
import { checkOperands } from "../render/rego_size.ts";
import { halt, metered } from "../render/work.ts";
import type { RegoBuiltin, RegoBuiltins } from "../types/rego.ts";
import { REGO_LIMITS } from "../types/rego_limits.ts";
import { HASH_BUILTINS } from "./rego_hashes.ts";

const ALWAYS: RegoBuiltins = {
  ...ENCODING_BUILTINS,
  ...HASH_BUILTINS,
  ...NET_BUILTINS,
  ...NUMBER_BUILTINS,
  ...OBJECT_BUILTINS,
  ...REGEX_BUILTINS,
  ...STRING_BUILTINS,
  ...TIME_BUILTINS,
};

/** Builtins that are loaded when one is asked for whose name begins like this. */
const ON_DEMAND: readonly (readonly [prefix: string, load: () => Promise<RegoBuiltins>])[] = [
  ["crypto.parse_private_keys", async () => (await import("./rego_keys.ts")).KEY_BUILTINS],
  ["crypto.x509.parse_and_verify", async () => (await import("./rego_chains.ts")).CHAIN_BUILTINS],
  [
    "crypto.x509.parse_certificate",
    async () => (await import("../render/rego_builtins/x509.ts")).X509_BUILTINS,
  ],
  ["crypto.x509.parse_keypair", async () => (await import("./rego_keys.ts")).KEY_BUILTINS],
  ["crypto.x509.parse_rsa", async () => (await import("./rego_keys.ts")).KEY_BUILTINS],
  ["io.jwt.", async () => (await import("./rego_tokens.ts")).TOKEN_BUILTINS],
  ["json.match_schema", async () => (await import("../render/rego_builtins/schema.ts")).SCHEMA_BUILTINS],
  ["json.verify_schema", async () => (await import("../render/rego_builtins/schema.ts")).SCHEMA_BUILTINS],
  ["opa.runtime", async () => (await import("./rego_aws.ts")).AWS_BUILTINS],
  ["providers.aws.", async () => (await import("./rego_aws.ts")).AWS_BUILTINS],
  [
    "strings.render_template",
    async () => (await import("../render/rego_builtins/template.ts")).TEMPLATE_BUILTINS,
  ],
  ["yaml.", async () => (await import("../render/rego_builtins/yaml.ts")).YAML_BUILTINS],
];

/** A builtin that pays from the evaluation's time and refuses operands beyond its limits. Throws BuiltinHalt for both. */
function bounded(name: string, run: RegoBuiltin): RegoBuiltin {
  const limit = REGO_LIMITS.get(name);
  if (!limit) throw new Error(`the builtin ${name} has no limits`);
  return (operands, context) =>
    metered(context.check, () => {
      try {
        checkOperands(name, operands, limit);
        return run(operands, context);
      } catch (error) {
        // The runtime's own limits: the call stack, the length of a string, the size of a list or of an integer.
        if (error instanceof RangeError) halt(`${name}: too large or too deeply nested (${error.message})`);
        throw error;
      }
    });
}

/** Those of the named builtins that there are, by name; the object has no prototype. */
export async function loadBuiltins(names: readonly string[]): Promise<RegoBuiltins> {
  const wanted = ON_DEMAND.filter(([prefix]) => names.some((name) => name.startsWith(prefix)));
  const loaded: RegoBuiltins = Object.assign(
    {},
    ALWAYS,
    ...await Promise.all(wanted.map(([, load]) => load())),
  );
  const found: Record<string, RegoBuiltin> = Object.create(null);
  for (const name of names) {
    const builtin = own(loaded, name);
    if (builtin) setOwn(found, name, bounded(name, builtin));
  }
  return found;
}
