//! Fails in the way it is told to, each of which the host must turn into an answer; accepts everything else.
use instructions::{Instructions, accept, register, setting, settings_are_valid};
use kubewarden_policy_sdk::wapc_guest::CallResult;
use std::hint::black_box;

#[link(wasm_import_module = "wapc")]
unsafe extern "C" {
    fn __guest_error(text: *const u8, length: usize);
}

#[unsafe(no_mangle)]
pub extern "C" fn wapc_init() {
    register(validate, validate_settings);
}

fn validate(payload: &[u8]) -> CallResult {
    let told = Instructions::of(payload)?;
    fail(told.text("do"), told.number("status", 0))?;
    accept()
}

fn validate_settings(settings: &[u8]) -> CallResult {
    fail(&setting(settings)?, 0)?;
    settings_are_valid(settings)
}

/// Returns only when `way` names no way to fail, or when what it names is an error.
fn fail(way: &str, status: i32) -> Result<(), String> {
    match way {
        "unreachable" => core::arch::wasm32::unreachable(),
        "panic" => panic!("told to panic"),
        // A call through the table with another signature than the function has.
        "signature" => unsafe {
            let function: fn(u64) -> u64 = std::mem::transmute(black_box(takes_nothing as fn()));
            black_box(function(1));
        },
        // SAFETY: deliberately none; the last bytes of a 4 GiB address space are never there.
        "out-of-bounds" => unsafe {
            black_box((black_box(0xffff_fff0u32) as *const u64).read_volatile());
        },
        "exit" => std::process::exit(status),
        "abort" => std::process::abort(),
        "error" => return Err("told to fail".to_owned()),
        "empty-error" => return Err(String::new()),
        // A trap after an error was set: what the trap says must not be lost, nor this leak into a later call.
        "error-then-trap" => unsafe {
            let text = "set before the trap";
            __guest_error(text.as_ptr(), text.len());
            core::arch::wasm32::unreachable()
        },
        // Not UTF-8: the host refuses to take it (spec/evaluator.md §2.1).
        "binary-error" => unsafe {
            let text = [0xff, 0xfe, 0x00];
            __guest_error(text.as_ptr(), text.len());
        },
        _ => {}
    }
    Ok(())
}

fn takes_nothing() {}
