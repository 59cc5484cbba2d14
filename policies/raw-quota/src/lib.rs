//! A policy for something other than Kubernetes (`policyType: raw`): whether a tenant may have as much of a resource as it asks for.
//!
//! The request is `{"uid": …, "tenant": "…", "resource": "…", "amount": N, …}`. What else it holds is passed on untouched.
use kubewarden_policy_sdk::{
    accept_request, protocol_version_guest, reject_request,
    settings::SettingsValidationResponse,
    wapc_guest::{CallResult, register_function},
};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use std::collections::BTreeMap;

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// Tenant → resource → the largest amount it may ask for.
    quotas: BTreeMap<String, BTreeMap<String, u64>>,
    on_excess: OnExcess,
    /// What a request that names no amount gets; without it such a request is rejected.
    default_amount: Option<u64>,
}

#[derive(Deserialize, Default, PartialEq)]
#[serde(rename_all = "lowercase")]
enum OnExcess {
    #[default]
    Reject,
    /// Lower the amount to what is allowed.
    Cap,
}

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow)]
    request: BTreeMap<String, &'a RawValue>,
    #[serde(default)]
    settings: Settings,
}

#[derive(Serialize)]
struct Mutation<'a> {
    accepted: bool,
    mutated_object: BTreeMap<String, &'a RawValue>,
}

#[unsafe(no_mangle)]
pub extern "C" fn wapc_init() {
    register_function("validate", validate);
    register_function("validate_settings", validate_settings);
    register_function("protocol_version", protocol_version_guest);
}

fn validate(payload: &[u8]) -> CallResult {
    let Payload { request, settings } = serde_json::from_slice(payload)?;
    let (Some(tenant), Some(resource)) = (text(&request, "tenant"), text(&request, "resource")) else {
        return reject("tenant and resource have to be given as texts".to_owned(), 400);
    };
    let asked = match request.get("amount") {
        None => None,
        Some(amount) => match serde_json::from_str::<u64>(amount.get()) {
            Ok(amount) => Some(amount),
            Err(_) => {
                return reject(
                    format!("amount has to be a whole number, not {}", amount.get()),
                    400,
                );
            }
        },
    };
    let Some(amount) = asked.or(settings.default_amount) else {
        return reject("amount has to be given".to_owned(), 400);
    };
    let allowed = settings
        .quotas
        .get(&tenant)
        .and_then(|quota| quota.get(&resource))
        .copied()
        .unwrap_or(0);
    if amount > allowed && (settings.on_excess == OnExcess::Reject || allowed == 0) {
        return reject(
            format!("{tenant} may have {allowed} of {resource}, not {amount}"),
            403,
        );
    }
    let granted = amount.min(allowed);
    if asked == Some(granted) {
        return accept_request();
    }
    let granted = to_raw_value(&granted)?;
    let mut mutated_object = request;
    mutated_object.insert("amount".to_owned(), &granted);
    Ok(serde_json::to_vec(&Mutation {
        accepted: true,
        mutated_object,
    })?)
}

fn text(request: &BTreeMap<String, &RawValue>, name: &str) -> Option<String> {
    serde_json::from_str(request.get(name)?.get()).ok()
}

fn reject(message: String, code: u16) -> CallResult {
    reject_request(Some(message), Some(code), None, None)
}

fn validate_settings(payload: &[u8]) -> CallResult {
    let message = match serde_json::from_slice::<Settings>(payload) {
        Ok(settings) if settings.quotas.is_empty() => Some("quotas: nobody may have anything".to_owned()),
        Ok(_) => None,
        Err(error) => Some(error.to_string()),
    };
    Ok(serde_json::to_vec(&SettingsValidationResponse {
        valid: message.is_none(),
        message,
    })?)
}
