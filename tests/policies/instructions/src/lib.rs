//! How a request tells a test policy what to do: by the annotations of its object (`metadata.annotations`), or, in a raw
//! request, by its own member `annotations`. Settings do it by a member `do`.
use kubewarden_policy_sdk::{
    accept_request, protocol_version_guest,
    response::ValidationResponse,
    settings::SettingsValidationResponse,
    wapc_guest::{CallResult, register_function},
};
use serde::Deserialize;
use std::{collections::BTreeMap, str::FromStr};

/// What one request tells the policy.
#[derive(Default)]
pub struct Instructions {
    pub uid: String,
    annotations: BTreeMap<String, String>,
}

impl Instructions {
    pub fn of(payload: &[u8]) -> Result<Self, serde_json::Error> {
        let Payload { request } = serde_json::from_slice(payload)?;
        let annotations = request.annotations.or(request
            .object
            .and_then(|object| object.metadata.annotations));
        Ok(Instructions {
            uid: request.uid,
            annotations: annotations.unwrap_or_default(),
        })
    }

    /// The annotation `name`, or an empty text.
    pub fn text(&self, name: &str) -> &str {
        self.annotations.get(name).map_or("", String::as_str)
    }

    /// The annotation `name` as a number, or `otherwise`.
    pub fn number<T: FromStr>(&self, name: &str, otherwise: T) -> T {
        self.text(name).parse().unwrap_or(otherwise)
    }
}

/// The setting `do`, or an empty text.
pub fn setting(settings: &[u8]) -> Result<String, serde_json::Error> {
    serde_json::from_slice(settings).map(|settings: Settings| settings.told)
}

/// Registers what every waPC policy has to answer; where `validate_settings` is not told anything else, all are valid.
pub fn register(validate: fn(&[u8]) -> CallResult, validate_settings: fn(&[u8]) -> CallResult) {
    register_function("validate", validate);
    register_function("validate_settings", validate_settings);
    register_function("protocol_version", protocol_version_guest);
}

pub fn settings_are_valid(_settings: &[u8]) -> CallResult {
    Ok(serde_json::to_vec(&SettingsValidationResponse {
        valid: true,
        message: None,
    })?)
}

pub fn accept() -> CallResult {
    accept_request()
}

/// A verdict with a message, which the host passes on even when the request is accepted.
pub fn answer(accepted: bool, message: String) -> CallResult {
    Ok(serde_json::to_vec(&ValidationResponse {
        accepted,
        message: Some(message),
        code: None,
        mutated_object: None,
        audit_annotations: None,
        warnings: None,
    })?)
}

#[derive(Deserialize)]
struct Payload {
    request: Request,
}

#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    uid: String,
    annotations: Option<BTreeMap<String, String>>,
    object: Option<Object>,
}

#[derive(Deserialize)]
struct Object {
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Deserialize, Default)]
struct Metadata {
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Settings {
    #[serde(default, rename = "do")]
    told: String,
}
