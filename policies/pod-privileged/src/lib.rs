//! Rejects every object that would run a privileged container: pods, and what makes pods (Deployment, ReplicaSet,
//! StatefulSet, DaemonSet, ReplicationController, Job, CronJob).
use k8s_openapi::api::core::v1::{PodSpec, SecurityContext};
use kubewarden_policy_sdk::{
    Error, accept_request, protocol_version_guest, reject_request,
    request::ValidationRequest,
    settings::Validatable,
    validate_settings,
    wapc_guest::{CallResult, register_function},
};
use serde::Deserialize;

const REJECTION: &str = "Privileged container is not allowed";

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    skip_init_containers: bool,
    skip_ephemeral_containers: bool,
}

impl Validatable for Settings {
    fn validate(&self) -> Result<(), String> {
        Ok(())
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn wapc_init() {
    register_function("validate", validate);
    register_function("validate_settings", validate_settings::<Settings>);
    register_function("protocol_version", protocol_version_guest);
}

fn validate(payload: &[u8]) -> CallResult {
    let mut review: ValidationRequest<Settings> = ValidationRequest::new(payload)?;
    if review.request.object.is_null() {
        // Only a DELETE comes without an object, and it runs nothing.
        return accept_request();
    }
    if let Some(object) = review.request.object.as_object_mut() {
        // The SDK copies the object to read it; what says nothing about containers need not be in the copy.
        object.remove("metadata");
        object.remove("status");
    }
    match review.extract_pod_spec_from_object() {
        Ok(Some(pod)) if is_privileged(&pod, &review.settings) => {
            reject_request(Some(REJECTION.to_owned()), None, None, None)
        }
        Ok(_) => accept_request(),
        // A kind that runs no pods: the policy was given more than its rules name, and has nothing against it.
        Err(Error::Validation(_)) => accept_request(),
        Err(unreadable) => reject_request(
            Some(format!("Cannot read the pod specification: {unreadable}")),
            None,
            None,
            None,
        ),
    }
}

fn is_privileged(pod: &PodSpec, settings: &Settings) -> bool {
    pod.containers
        .iter()
        .any(|container| privileged(&container.security_context))
        || !settings.skip_init_containers
            && pod
                .init_containers
                .iter()
                .flatten()
                .any(|container| privileged(&container.security_context))
        || !settings.skip_ephemeral_containers
            && pod
                .ephemeral_containers
                .iter()
                .flatten()
                .any(|container| privileged(&container.security_context))
}

fn privileged(context: &Option<SecurityContext>) -> bool {
    context
        .as_ref()
        .and_then(|context| context.privileged)
        .unwrap_or(false)
}
