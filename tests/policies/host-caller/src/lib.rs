//! Makes the host call that the request tells it to: `{"binding", "namespace", "operation", "payload"}`, found at
//! `request.options.hostCall`, at `request.hostCall` (raw), or as JSON text in the object's annotation `host-call`.
//! `payload` is any JSON and is passed on byte for byte; `payloadText` is sent as it is instead, be it JSON or not.
//! Answers `accepted` = the call succeeded, `message` = the response or the error's text; with `count`, `message` is how many
//! items the list has that came. Without a call it accepts.
use instructions::{Instructions, accept, answer, register, settings_are_valid};
use kubewarden_policy_sdk::wapc_guest::{CallResult, host_call};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Payload {
    request: Request,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    host_call: Option<HostCall>,
    options: Option<Options>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Options {
    host_call: Option<HostCall>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HostCall {
    #[serde(default = "kubewarden")]
    binding: String,
    namespace: String,
    operation: String,
    payload: Option<Box<RawValue>>,
    payload_text: Option<String>,
    #[serde(default)]
    count: bool,
}

#[derive(Deserialize)]
struct List {
    items: Vec<IgnoredAny>,
}

fn kubewarden() -> String {
    "kubewarden".to_owned()
}

#[unsafe(no_mangle)]
pub extern "C" fn wapc_init() {
    register(validate, settings_are_valid);
}

fn validate(payload: &[u8]) -> CallResult {
    let Payload { request } = serde_json::from_slice(payload)?;
    let told = request
        .host_call
        .or(request.options.and_then(|options| options.host_call));
    let call = match told {
        Some(call) => call,
        None => match Instructions::of(payload)?.text("host-call") {
            "" => return accept(),
            text => serde_json::from_str(text)?,
        },
    };
    let sent = match (&call.payload_text, &call.payload) {
        (Some(text), _) => text.as_str(),
        (None, Some(json)) => json.get(),
        (None, None) => "",
    };
    match host_call(
        &call.binding,
        &call.namespace,
        &call.operation,
        sent.as_bytes(),
    ) {
        Ok(response) if call.count => {
            let List { items } = serde_json::from_slice(&response)?;
            answer(true, format!("{} items", items.len()))
        }
        Ok(response) => answer(true, String::from_utf8_lossy(&response).into_owned()),
        // The host's own words, without what the guest library puts before them.
        Err(error) => answer(
            false,
            error
                .to_string()
                .trim_start_matches("Host error: ")
                .to_owned(),
        ),
    }
}
