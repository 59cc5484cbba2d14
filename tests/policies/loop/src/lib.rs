//! Never answers when told so, in each way a guest can hang; accepts everything else.
use instructions::{Instructions, accept, register, setting, settings_are_valid};
use kubewarden_policy_sdk::wapc_guest::{CallResult, console_log, host_call};
use std::hint::black_box;

#[unsafe(no_mangle)]
pub extern "C" fn wapc_init() {
    register(validate, validate_settings);
}

fn validate(payload: &[u8]) -> CallResult {
    hang(Instructions::of(payload)?.text("do"));
    accept()
}

fn validate_settings(settings: &[u8]) -> CallResult {
    hang(&setting(settings)?);
    settings_are_valid(settings)
}

/// Returns only when `way` names no way to hang.
#[expect(clippy::empty_loop)]
fn hang(way: &str) {
    match way {
        // A loop that neither calls nor reads anything: no place but the loop's head to stop it at.
        "tight" => loop {},
        // A loop that works: its functions are entered over and over.
        "busy" => loop {
            black_box(mix(black_box(7)));
        },
        // Ends by itself, as the stack does: the host must turn the trap into an answer.
        "recurse" => {
            black_box(recurse(black_box(0)));
        }
        // Instructions that take long each: 16 MiB filled by one.
        "fill" => {
            let mut block = vec![0u8; 16 << 20];
            loop {
                block.fill(black_box(1));
                black_box(&mut block);
            }
        }
        // The time passes in the host, a little with each call.
        "host-calls" => loop {
            let _ = host_call(
                "kubewarden",
                "tracing",
                "log",
                br#"{"level":"debug","message":"still here"}"#,
            );
        },
        "console" => loop {
            console_log("still here");
        },
        "print" => loop {
            println!("still here");
        },
        _ => {}
    }
}

#[inline(never)]
fn mix(value: u64) -> u64 {
    value.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31)
}

#[inline(never)]
#[expect(unconditional_recursion)]
fn recurse(depth: u64) -> u64 {
    // The buffer and the sum keep this from becoming a loop.
    let frame = black_box([depth; 4]);
    recurse(depth + 1) + frame[0]
}
