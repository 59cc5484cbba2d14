/** The builtin `providers.aws.sign_req`: signs requests for AWS with keys that the policy has (Signature Version 4). */
import { createHash, createHmac } from "node:crypto";
import { BuiltinError, type RegoBuiltins, RegoObject, type RegoValue } from "../types/rego.ts";
import { civil, UTC } from "../render/civil_time.ts";
import { formatTime } from "../render/go_time_layout.ts";
import { escapedPath, parseUrl, UrlError } from "../render/go_url.ts";
import { bigintAt, fail, objectAt } from "../render/rego_operands.ts";
import { jsonText, jsonTree } from "../render/rego_text.ts";
import { compareStrings, member, objectOf } from "../render/rego_value.ts";

const REQUIRED = ["aws_service", "aws_access_key", "aws_secret_access_key", "aws_region"] as const;
/** What a request for `http.send` may say. */
const REQUEST_KEYS = new Set([
  ...[
    "method",
    "url",
    "body",
    "enable_redirect",
    "force_json_decode",
    "force_yaml_decode",
    "headers",
    "raw_body",
  ],
  ...[
    "tls_use_system_certs",
    "tls_ca_cert",
    "tls_ca_cert_file",
    "tls_ca_cert_env_variable",
    "tls_client_cert",
  ],
  ...["tls_client_cert_file", "tls_client_cert_env_variable", "tls_client_key", "tls_client_key_file"],
  ...["tls_client_key_env_variable", "tls_insecure_skip_verify", "tls_server_name", "timeout", "cache"],
  ...["force_cache", "force_cache_duration_seconds", "raise_error", "caching_mode", "max_retry_attempts"],
  ...["cache_ignored_headers"],
]);
const IGNORED_HEADERS = ["authorization", "user-agent", "x-amzn-trace-id"];

const mac = (key: string | Uint8Array, text: string) => createHmac("sha256", key).update(text).digest();
const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

function bodyOf(request: RegoObject): string {
  const raw = member(request, "raw_body");
  if (raw !== undefined) return typeof raw === "string" ? raw : "";
  const body = member(request, "body");
  return body === undefined ? "" : jsonText(jsonTree(body));
}

function urlOf(text: string) {
  try {
    return parseUrl(text);
  } catch (error) {
    if (error instanceof UrlError) throw new BuiltinError(error.message);
    throw error;
  }
}

function signed(operands: readonly RegoValue[]): RegoValue {
  const [request, config] = [objectAt(operands, 0), objectAt(operands, 1)];
  const setting = (name: string): string => {
    const value = member(config, name);
    return typeof value === "string" ? value : fail(`missing or invalid AWS config parameter: ${name}`);
  };
  const [service = "", accessKey = "", secretKey = "", region = ""] = REQUIRED.map(setting);
  const time = bigintAt(operands, 2);
  const unknown = request.entries.filter(([key]) => typeof key !== "string" || !REQUEST_KEYS.has(key));
  if (unknown.length > 0) fail("invalid request parameters");
  const [method, address] = [member(request, "method"), member(request, "url")];
  if (typeof method !== "string" || typeof address !== "string") {
    fail("missing or invalid request parameters: method, url");
  }
  const given = member(request, "headers") ?? new RegoObject([]);
  if (!(given instanceof RegoObject)) return fail("headers must be an object");
  const unsigned = member(config, "disable_payload_signing") ?? false;
  if (typeof unsigned !== "boolean") return fail("invalid value for 'disable_payload_signing' in AWS config");

  const url = urlOf(address as string);
  const at = civil(time, UTC);
  const date = formatTime(at, "20060102");
  const stamp = formatTime(at, "20060102T150405Z");
  const content = unsigned ? "UNSIGNED-PAYLOAD" : sha256(bodyOf(request));
  const text = (value: RegoValue) => typeof value === "string" ? value : "";
  const own = new Map([["host", url.host], ["x-amz-date", stamp]]);
  if (service === "s3" || service === "glacier") own.set("x-amz-content-sha256", content);
  const session = member(config, "aws_session_token");
  if (session !== undefined && text(session) !== "") own.set("x-amz-security-token", text(session));
  const toSign = new Map(own);
  const headers = given.entries.map(([key, value]) => [text(key), text(value)] as const);
  for (const [name, value] of headers) {
    if (!IGNORED_HEADERS.includes(name.toLowerCase())) toSign.set(name.toLowerCase(), value);
  }
  const ordered = [...toSign].sort(([a], [b]) => compareStrings(a, b));
  const names = ordered.map(([name]) => name).join(";");
  const canonical = [
    method,
    escapedPath(url),
    url.rawQuery,
    ...ordered.map(([name, value]) => `${name}:${value}`),
    "",
    names,
    content,
  ].join("\n");
  const scope = `${date}/${region}/${service}/aws4_request`;
  const key = mac(mac(mac(mac(`AWS4${secretKey}`, date), region), service), "aws4_request");
  const signature = mac(key, `AWS4-HMAC-SHA256\n${stamp}\n${scope}\n${sha256(canonical)}`).toString("hex");
  const authorization =
    `AWS4-HMAC-SHA256 Credential=${accessKey}/${scope},SignedHeaders=${names},Signature=${signature}`;
  return objectOf([
    ...request.entries,
    ["headers", objectOf([...headers, ["Authorization", authorization], ...own])],
  ]);
}

export const AWS_BUILTINS: RegoBuiltins = {
  "providers.aws.sign_req": signed,
  // Policies learn nothing of the host's environment; OPA's own Wasm hosts answer the same.
  "opa.runtime": () => new RegoObject([]),
};
