//! Gives pods that name no seccomp profile the runtime's default one: `spec.securityContext.seccompProfile.type: RuntimeDefault`.
//!
//! The object is taken apart only along that path; everything beside it is passed on as the text that came in, so numbers keep
//! their form and fields that this policy has never heard of survive.
use kubewarden_policy_sdk::{
    accept_request, protocol_version_guest,
    settings::SettingsValidationResponse,
    wapc_guest::{CallResult, register_function},
};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use std::collections::BTreeMap;

/// There is nothing to set, and who thinks otherwise is told.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {}

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow)]
    request: Request<'a>,
}

#[derive(Deserialize)]
struct Request<'a> {
    kind: Kind,
    #[serde(borrow, default)]
    object: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Kind {
    kind: String,
}

/// A JSON object of which only single members are looked at.
type Members<'a> = BTreeMap<String, &'a RawValue>;

#[derive(Serialize)]
struct Mutation<'a> {
    accepted: bool,
    mutated_object: Members<'a>,
}

#[unsafe(no_mangle)]
pub extern "C" fn wapc_init() {
    register_function("validate", validate);
    register_function("validate_settings", validate_settings);
    register_function("protocol_version", protocol_version_guest);
}

fn validate(payload: &[u8]) -> CallResult {
    let Payload { request } = serde_json::from_slice(payload)?;
    let Some(object) = request.object else {
        // Only a DELETE comes without an object.
        return accept_request();
    };
    if request.kind.kind != "Pod" {
        return accept_request();
    }
    let mut pod: Members = serde_json::from_str(object.get())?;
    let mut spec = members(&pod, "spec")?;
    let mut context = members(&spec, "securityContext")?;
    if given(&context, "seccompProfile") || is_windows(&spec)? {
        return accept_request();
    }
    let profile = to_raw_value(&BTreeMap::from([("type", "RuntimeDefault")]))?;
    context.insert("seccompProfile".to_owned(), &profile);
    let context = to_raw_value(&context)?;
    spec.insert("securityContext".to_owned(), &context);
    let spec = to_raw_value(&spec)?;
    pod.insert("spec".to_owned(), &spec);
    Ok(serde_json::to_vec(&Mutation {
        accepted: true,
        mutated_object: pod,
    })?)
}

/// The members of the object at `name`; none when it is absent or null.
fn members<'a>(parent: &Members<'a>, name: &str) -> serde_json::Result<Members<'a>> {
    match parent.get(name) {
        Some(value) if given(parent, name) => serde_json::from_str(value.get()),
        _ => Ok(Members::new()),
    }
}

fn given(parent: &Members, name: &str) -> bool {
    parent.get(name).is_some_and(|value| value.get() != "null")
}

/// Kubernetes refuses seccomp profiles on pods that say they are for Windows.
fn is_windows(spec: &Members) -> serde_json::Result<bool> {
    let system = members(spec, "os")?;
    let name: Option<String> = system
        .get("name")
        .map(|name| serde_json::from_str(name.get()))
        .transpose()?;
    Ok(name.as_deref() == Some("windows"))
}

fn validate_settings(payload: &[u8]) -> CallResult {
    let message = serde_json::from_slice::<Settings>(payload)
        .err()
        .map(|error| error.to_string());
    Ok(serde_json::to_vec(&SettingsValidationResponse {
        valid: message.is_none(),
        message,
    })?)
}
