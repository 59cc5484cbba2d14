//! An Extism plug-in written with the official Rust kit: images may come from the granted registries only. Where the settings
//! say so, an image without a digest gets the one that the host looks up.
use extism_pdk::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Payload {
    request: Request,
    settings: Settings,
}

#[derive(Deserialize)]
struct Request {
    object: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Settings {
    #[serde(default)]
    allowed_registries: Vec<String>,
    #[serde(default)]
    pin_digests: bool,
}

/// What `host_call` takes: the capability and its input, both as waPC policies give them.
#[derive(Serialize, ToBytes)]
#[encoding(Json)]
struct HostCall {
    namespace: &'static str,
    operation: &'static str,
    payload: Value,
}

/// What `host_call` answers.
#[derive(Deserialize, FromBytes)]
#[encoding(Json)]
struct HostAnswer {
    ok: bool,
    payload: Option<Value>,
    error: Option<String>,
}

#[host_fn]
extern "ExtismHost" {
    fn host_call(call: HostCall) -> HostAnswer;
}

fn digest_of(image: &str) -> Result<String, Error> {
    let answer = unsafe {
        host_call(HostCall {
            namespace: "oci",
            operation: "v1/manifest_digest",
            payload: json!(image),
        })?
    };
    if !answer.ok {
        return Err(Error::msg(answer.error.unwrap_or_default()));
    }
    let payload = answer.payload.unwrap_or_default();
    Ok(payload["digest"].as_str().unwrap_or_default().to_owned())
}

#[plugin_fn]
pub fn validate(Json(Payload { request, settings }): Json<Payload>) -> FnResult<Json<Value>> {
    let Some(object) = request.object else {
        return Ok(Json(json!({ "accepted": true })));
    };
    let mut changed = object.clone();
    let containers = changed
        .pointer_mut("/spec/containers")
        .and_then(Value::as_array_mut);
    for container in containers.into_iter().flatten() {
        let image = container["image"].as_str().unwrap_or_default().to_owned();
        let granted = settings
            .allowed_registries
            .iter()
            .any(|registry| image.starts_with(&format!("{registry}/")));
        if !granted {
            info!("rejected {image}");
            let message = format!("the image {image} comes from a registry that is not allowed");
            return Ok(Json(
                json!({ "accepted": false, "message": message, "code": 403 }),
            ));
        }
        if settings.pin_digests && !image.contains('@') {
            container["image"] = json!(format!("{image}@{}", digest_of(&image)?));
        }
    }
    if changed == object {
        return Ok(Json(json!({ "accepted": true })));
    }
    Ok(Json(json!({ "accepted": true, "mutated_object": changed })))
}

#[plugin_fn]
pub fn validate_settings(settings: String) -> FnResult<Json<Value>> {
    let answer = match serde_json::from_str::<Settings>(&settings) {
        Err(error) => json!({ "valid": false, "message": error.to_string() }),
        Ok(settings) if settings.allowed_registries.is_empty() => {
            json!({ "valid": false, "message": "allowedRegistries must name at least one registry" })
        }
        Ok(_) => json!({ "valid": true }),
    };
    Ok(Json(answer))
}

#[plugin_fn]
pub fn protocol_version(_: ()) -> FnResult<Json<&'static str>> {
    Ok(Json("v1"))
}
