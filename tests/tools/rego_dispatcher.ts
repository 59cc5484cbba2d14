/**
 * Writes the policy that tests hold the builtins with: it calls, for each entry of `input.request.calls`, the builtin named
 * there, and answers with a list of `[index, type, value]`; calls that are undefined are left out.
 *
 * usage: rego_dispatcher.ts > tests/policies/rego-builtins/policy.rego
 *        rego_dispatcher.ts --old > tests/policies/rego-casts/policy.v0.rego
 */
import process from "node:process";

/** Builtins with the number of their operands; `#set` marks one whose first operand is to be a set. */
export const CALLS: Readonly<Record<string, number>> = {
  "base64url.encode_no_pad": 1,
  "crypto.hmac.equal": 2,
  "crypto.hmac.md5": 2,
  "crypto.hmac.sha1": 2,
  "crypto.hmac.sha256": 2,
  "crypto.hmac.sha512": 2,
  "crypto.md5": 1,
  "crypto.parse_private_keys": 1,
  "crypto.sha1": 1,
  "crypto.sha256": 1,
  "crypto.x509.parse_and_verify_certificates": 1,
  "crypto.x509.parse_and_verify_certificates_with_options": 2,
  "crypto.x509.parse_certificate_request": 1,
  "crypto.x509.parse_certificates": 1,
  "crypto.x509.parse_keypair": 2,
  "crypto.x509.parse_rsa_private_key": 1,
  "glob.quote_meta": 1,
  "graph.reachable_paths": 2,
  "hex.decode": 1,
  "hex.encode": 1,
  indexof_n: 2,
  "io.jwt.decode": 1,
  "io.jwt.decode_verify": 2,
  "io.jwt.encode_sign": 3,
  "io.jwt.encode_sign_raw": 3,
  "io.jwt.verify_eddsa": 2,
  "io.jwt.verify_es256": 2,
  "io.jwt.verify_es384": 2,
  "io.jwt.verify_es512": 2,
  "io.jwt.verify_hs256": 2,
  "io.jwt.verify_hs384": 2,
  "io.jwt.verify_hs512": 2,
  "io.jwt.verify_ps256": 2,
  "io.jwt.verify_ps384": 2,
  "io.jwt.verify_ps512": 2,
  "io.jwt.verify_rs256": 2,
  "io.jwt.verify_rs384": 2,
  "io.jwt.verify_rs512": 2,
  "json.marshal_with_options": 2,
  "json.match_schema": 2,
  "json.patch": 2,
  "json.verify_schema": 1,
  "net.cidr_contains_matches": 2,
  "net.cidr_contains_matches#set": 2,
  "net.cidr_expand": 1,
  "net.cidr_is_valid": 1,
  "net.cidr_merge": 1,
  "net.cidr_merge#set": 1,
  "net.lookup_ip_addr": 1,
  "numbers.range_step": 3,
  "object.subset": 2,
  "object.subset#set": 2,
  "providers.aws.sign_req": 3,
  "rand.intn": 2,
  "regex.find_n": 3,
  "regex.globs_match": 2,
  "regex.replace": 3,
  "regex.split": 2,
  "regex.template_match": 4,
  "semver.compare": 2,
  "semver.is_valid": 1,
  sprintf: 2,
  "strings.any_prefix_match": 2,
  "strings.any_suffix_match": 2,
  "strings.count": 2,
  "strings.render_template": 2,
  "strings.split_n": 3,
  "time.add_date": 4,
  "time.clock": 1,
  "time.date": 1,
  "time.diff": 2,
  "time.format": 1,
  "time.parse_duration_ns": 1,
  "time.parse_ns": 2,
  "time.parse_rfc3339_ns": 1,
  "time.weekday": 1,
  trace: 1,
  "units.parse": 1,
  "units.parse_bytes": 1,
  "uri.is_valid": 1,
  "uri.parse": 1,
  "urlquery.decode": 1,
  "urlquery.decode_object": 1,
  "urlquery.encode": 1,
  "urlquery.encode_object": 1,
  "uuid.parse": 1,
  "uuid.rfc4122": 1,
  "yaml.is_valid": 1,
  "yaml.marshal": 1,
  "yaml.marshal#set": 1,
  "yaml.unmarshal": 1,
};

/** Builtins that only the language's old version knows. */
export const OLD_CALLS: Readonly<Record<string, number>> = {
  cast_array: 1,
  "cast_array#set": 1,
  cast_boolean: 1,
  cast_null: 1,
  cast_object: 1,
  cast_set: 1,
  cast_string: 1,
};

/** The policy's text. */
export function dispatcher(calls: Readonly<Record<string, number>>, old = false): string {
  const clauses = Object.entries(calls).map(([key, count]) => {
    const [name, variant] = key.split("#");
    const operands = Array.from({ length: count }, (_, at) => `operands[${at}]`);
    const lines = [`answer("${key}", operands) := value${old ? "" : " if"} {`];
    if (variant === "set") {
      lines.push("\tfirst := {element | element := operands[0][_]}");
      operands[0] = "first";
    }
    lines.push(`\tvalue := ${name}(${operands.join(", ")})`, "}");
    return lines.join("\n");
  });
  return `# Written by tests/tools/rego_dispatcher.ts: calls the builtins that a request asks for.
package builtins

answers := [[index, type_name(value), value] |
	call := input.request.calls[index]
	value := answer(call.name, call.operands)
]

main := {"response": {"uid": "", "allowed": true, "warnings": [json.marshal(answers)]}}

${clauses.join("\n\n")}
`;
}

if (import.meta.main) {
  const old = process.argv.includes("--old");
  process.stdout.write(dispatcher(old ? OLD_CALLS : CALLS, old));
}
