/** A new policy in Rust: Kubewarden's SDK, a waPC module. */
import { type NewPolicy, type PolicyLanguage, text } from "./common.ts";

const CARGO = ({ name }: NewPolicy) =>
  `[package]
name = "${name}"
version = "0.1.0"
edition = "2024"

[lib]
name = "policy"
crate-type = ["cdylib"]

[dependencies]
kubewarden-policy-sdk = { version = "0.17", default-features = false }
serde = { version = "1", features = ["derive"] }
serde_json = "1"

[profile.release]
opt-level = "s"
lto = "fat"
codegen-units = 1
panic = "abort"
strip = true
`;

const POLICY = text(
  "//! Requires a label, except in some namespaces.",
  "use kubewarden_policy_sdk::{",
  "    accept_request, protocol_version_guest, reject_request,",
  "    request::ValidationRequest,",
  "    settings::SettingsValidationResponse,",
  "    wapc_guest::{CallResult, register_function},",
  "};",
  "use serde::Deserialize;",
  "",
  "#[derive(Deserialize, Default)]",
  "#[serde(deny_unknown_fields)]",
  "struct Settings {",
  "    label: String,",
  "    #[serde(default)]",
  "    except: Vec<String>,",
  "}",
  "",
  "#[unsafe(no_mangle)]",
  'pub extern "C" fn wapc_init() {',
  '    register_function("validate", validate);',
  '    register_function("validate_settings", validate_settings);',
  '    register_function("protocol_version", protocol_version_guest);',
  "}",
  "",
  "fn validate(payload: &[u8]) -> CallResult {",
  "    let asked: ValidationRequest<Settings> = ValidationRequest::new(payload)?;",
  "    let Settings { label, except } = &asked.settings;",
  '    let found = asked.request.object["metadata"]["labels"][label].is_string();',
  "    if found || except.contains(&asked.request.namespace) {",
  "        return accept_request();",
  "    }",
  '    let message = format!("the label \\"{label}\\" is missing");',
  "    reject_request(Some(message), None, None, None)",
  "}",
  "",
  "fn validate_settings(payload: &[u8]) -> CallResult {",
  "    let message = match serde_json::from_slice::<Settings>(payload) {",
  "        Ok(_) => None,",
  "        Err(error) => Some(error.to_string()),",
  "    };",
  "    let answer = SettingsValidationResponse { valid: message.is_none(), message };",
  "    Ok(serde_json::to_vec(&answer)?)",
  "}",
);

export const RUST: PolicyLanguage = {
  ignored: ["target", "*.wasm"],
  typo: '"unknown field `lable`"',
  sources: (policy) => ({ "Cargo.toml": CARGO(policy), "src/lib.rs": POLICY }),
  commands: [
    "cargo build --release --target wasm32-wasip1",
    "cp target/wasm32-wasip1/release/policy.wasm .",
  ],
  refusal: (name) => /^[0-9]/.test(name) ? "the name of a Rust package begins with a letter" : undefined,
};
