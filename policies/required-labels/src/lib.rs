//! Rejects objects whose labels are missing or have a value that their pattern does not allow, and warns where a
//! recommended one is missing.
use kubewarden_policy_sdk::{
    accept_request, protocol_version_guest,
    request::ValidationRequest,
    response::ValidationResponse,
    settings::SettingsValidationResponse,
    wapc_guest::{CallResult, register_function},
};
use regex_lite::Regex;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    required: BTreeSet<String>,
    recommended: BTreeSet<String>,
    /// Label → regular expression that the whole value has to match. A label that the object does not have matches.
    patterns: BTreeMap<String, String>,
}

#[unsafe(no_mangle)]
pub extern "C" fn wapc_init() {
    register_function("validate", validate);
    register_function("validate_settings", validate_settings);
    register_function("protocol_version", protocol_version_guest);
}

fn validate(payload: &[u8]) -> CallResult {
    let review: ValidationRequest<Settings> = ValidationRequest::new(payload)?;
    let settings = &review.settings;
    if review.request.object.is_null() {
        // Only a DELETE comes without an object, and what goes away needs no labels.
        return accept_request();
    }
    let labels = &review.request.object["metadata"]["labels"];
    let value = |label: &str| labels[label].as_str();

    let mut wrong: Vec<String> = settings
        .required
        .iter()
        .filter(|label| value(label).is_none())
        .map(|label| format!("label \"{label}\" is required"))
        .collect();
    for (label, pattern) in &settings.patterns {
        let Some(found) = value(label) else { continue };
        if !whole_value(pattern)?.is_match(found) {
            wrong.push(format!(
                "label \"{label}\" is \"{found}\", which does not match \"{pattern}\""
            ));
        }
    }
    let warnings: Vec<String> = settings
        .recommended
        .iter()
        .filter(|label| value(label).is_none())
        .map(|label| format!("label \"{label}\" is recommended"))
        .collect();
    Ok(serde_json::to_vec(&ValidationResponse {
        accepted: wrong.is_empty(),
        message: (!wrong.is_empty()).then(|| wrong.join("; ")),
        code: (!wrong.is_empty()).then_some(422),
        mutated_object: None,
        audit_annotations: None,
        warnings: (!warnings.is_empty()).then_some(warnings),
    })?)
}

fn whole_value(pattern: &str) -> Result<Regex, regex_lite::Error> {
    // Checked on its own first, so that no bracket of it can close the group.
    Regex::new(pattern)?;
    Regex::new(&format!("^(?:{pattern})$"))
}

fn validate_settings(payload: &[u8]) -> CallResult {
    let problems = match serde_json::from_slice::<Settings>(payload) {
        Ok(settings) => problems(&settings),
        Err(error) => vec![error.to_string()],
    };
    Ok(serde_json::to_vec(&SettingsValidationResponse {
        valid: problems.is_empty(),
        message: (!problems.is_empty()).then(|| problems.join("; ")),
    })?)
}

fn problems(settings: &Settings) -> Vec<String> {
    let Settings {
        required,
        recommended,
        patterns,
    } = settings;
    let mut problems = Vec::new();
    if required.is_empty() && recommended.is_empty() && patterns.is_empty() {
        problems.push("nothing to check: give required, recommended or patterns".to_owned());
    }
    for (setting, label) in [("required", required), ("recommended", recommended)]
        .into_iter()
        .flat_map(|(setting, labels)| labels.iter().map(move |label| (setting, label)))
        .chain(patterns.keys().map(|label| ("patterns", label)))
    {
        if !is_label_name(label) {
            problems.push(format!("{setting}: \"{label}\" cannot be the name of a label"));
        }
    }
    for label in required.intersection(recommended) {
        problems.push(format!("recommended: \"{label}\" is required already"));
    }
    for (label, pattern) in patterns {
        if let Err(error) = Regex::new(pattern) {
            problems.push(format!(
                "patterns: \"{pattern}\" of \"{label}\" is not a regular expression: {error}"
            ));
        }
    }
    problems
}

/// Syntax of label names as Kubernetes has it: an optional DNS subdomain and `/`, then up to 63 letters, digits, `-`, `_`, `.`
/// that begin and end with a letter or digit.
fn is_label_name(label: &str) -> bool {
    let (prefix, name) = label
        .split_once('/')
        .map_or((None, label), |(prefix, name)| (Some(prefix), name));
    let delimited = |text: &str, inner: &str, allowed: fn(&u8) -> bool| {
        let bytes = text.as_bytes();
        bytes.first().is_some_and(allowed)
            && bytes.last().is_some_and(allowed)
            && bytes
                .iter()
                .all(|byte| allowed(byte) || inner.as_bytes().contains(byte))
    };
    let lower_or_digit = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= 63
        && delimited(name, "-_.", u8::is_ascii_alphanumeric)
        && prefix.is_none_or(|prefix| {
            prefix.len() <= 253 && prefix.split('.').all(|part| delimited(part, "-", lower_or_digit))
        })
}
