//! A Javy plug-in with the globals of Kubewarden's (`docs/spec/evaluator.md` §6.2), for whose package no registry is reached
//! from here: `policyAction()` and `__hostCall(binding, namespace, operation, payload)`, beside `TextEncoder`, `TextDecoder` and
//! `Javy.IO`.
use javy_plugin_api::{
    Config, import_namespace,
    javy::{
        Runtime,
        quickjs::{ArrayBuffer, Ctx, Exception, Result, prelude::Func},
    },
};

import_namespace!("portreeve-javy-plugin");

/// The import that bindings of the interface `host` in the WIT package `kubewarden:javy` have.
mod host {
    #[link(wasm_import_module = "kubewarden:javy/host")]
    unsafe extern "C" {
        /// 0 when the call succeeded; what was answered, or what went wrong, is on standard input then.
        pub fn call(
            binding: *const u8,
            binding_length: usize,
            namespace: *const u8,
            namespace_length: usize,
            operation: *const u8,
            operation_length: usize,
            payload: *const u8,
            payload_length: usize,
        ) -> i32;
    }
}

fn policy_action(context: Ctx<'_>) -> Result<String> {
    let mut arguments = std::env::args();
    match (arguments.next(), arguments.next(), arguments.next()) {
        (Some(_), Some(action), None) => Ok(action),
        _ => Err(Exception::throw_message(
            &context,
            "expected one argument: the action of the policy",
        )),
    }
}

fn host_call<'js>(
    context: Ctx<'js>,
    binding: String,
    namespace: String,
    operation: String,
    payload: ArrayBuffer<'js>,
) -> Result<bool> {
    let Some(payload) = payload.as_bytes() else {
        return Err(Exception::throw_type(
            &context,
            "the payload's ArrayBuffer is detached",
        ));
    };
    let status = unsafe {
        host::call(
            binding.as_ptr(),
            binding.len(),
            namespace.as_ptr(),
            namespace.len(),
            operation.as_ptr(),
            operation.len(),
            payload.as_ptr(),
            payload.len(),
        )
    };
    Ok(status == 0)
}

fn config() -> Config {
    let mut config = Config::default();
    config.text_encoding(true).javy_stream_io(true);
    config
}

fn with_globals(runtime: Runtime) -> Runtime {
    runtime.context().with(|context| {
        let globals = context.globals();
        globals.set("policyAction", Func::from(policy_action)).unwrap();
        globals.set("__hostCall", Func::from(host_call)).unwrap();
    });
    runtime
}

#[unsafe(export_name = "initialize-runtime")]
extern "C" fn initialize_runtime() {
    javy_plugin_api::initialize_runtime(config, with_globals).unwrap();
}
