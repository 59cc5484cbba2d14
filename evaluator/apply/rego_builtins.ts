/** Every builtin that Rego modules may leave to the host, by name. */
import { ENCODING_BUILTINS } from "../render/rego_builtins/encoding.ts";
import { NET_BUILTINS } from "../render/rego_builtins/net.ts";
import { NUMBER_BUILTINS } from "../render/rego_builtins/numbers.ts";
import { OBJECT_BUILTINS } from "../render/rego_builtins/object.ts";
import { REGEX_BUILTINS } from "../render/rego_builtins/regex.ts";
import { SCHEMA_BUILTINS } from "../render/rego_builtins/schema.ts";
import { STRING_BUILTINS } from "../render/rego_builtins/strings.ts";
import { TIME_BUILTINS } from "../render/rego_builtins/time.ts";
import { X509_BUILTINS } from "../render/rego_builtins/x509.ts";
import { YAML_BUILTINS } from "../render/rego_builtins/yaml.ts";
import type { RegoBuiltins } from "../types/rego.ts";
import { AWS_BUILTINS } from "./rego_aws.ts";
import { HASH_BUILTINS } from "./rego_hashes.ts";
import { TOKEN_BUILTINS } from "./rego_tokens.ts";

export const REGO_IMPLEMENTATIONS: RegoBuiltins = {
  ...AWS_BUILTINS,
  ...ENCODING_BUILTINS,
  ...HASH_BUILTINS,
  ...NET_BUILTINS,
  ...NUMBER_BUILTINS,
  ...OBJECT_BUILTINS,
  ...REGEX_BUILTINS,
  ...SCHEMA_BUILTINS,
  ...STRING_BUILTINS,
  ...TIME_BUILTINS,
  ...TOKEN_BUILTINS,
  ...X509_BUILTINS,
  ...YAML_BUILTINS,
};
