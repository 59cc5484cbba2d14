//! Keeps what it saw, and tells it to the next request if the host lets it: in memory, and in the state of its WASI descriptors.
//! The message is `nothing is left` or a list of what was left. engine_state.wat does the same with what lies outside memory.
use instructions::{Instructions, answer, register, settings_are_valid};
use kubewarden_policy_sdk::wapc_guest::CallResult;
use std::sync::Mutex;

#[derive(Default)]
struct Seen {
    calls: u32,
    uid: String,
    settings: String,
}

static SEEN: Mutex<Seen> = Mutex::new(Seen {
    calls: 0,
    uid: String::new(),
    settings: String::new(),
});

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn fd_fdstat_get(descriptor: i32, status: *mut [u64; 3]) -> i32;
    fn fd_close(descriptor: i32) -> i32;
}

const STANDARD_ERROR: i32 = 2;

#[unsafe(no_mangle)]
pub extern "C" fn wapc_init() {
    register(validate, validate_settings);
}

fn validate(payload: &[u8]) -> CallResult {
    let uid = Instructions::of(payload)?.uid;
    let mut seen = SEEN.lock().unwrap();
    let mut left = Vec::new();
    if seen.calls > 0 {
        left.push(format!("calls before this one: {}", seen.calls));
    }
    if !seen.uid.is_empty() {
        left.push(format!("previous uid: {}", seen.uid));
    }
    if !seen.settings.is_empty() {
        left.push(format!("validated settings: {}", seen.settings));
    }
    // SAFETY: the status is 24 bytes, aligned to 8; both calls only touch it and the descriptor table.
    if unsafe { fd_fdstat_get(STANDARD_ERROR, &mut [0; 3]) } != 0 {
        left.push("standard error is closed".to_owned());
    }
    seen.calls += 1;
    seen.uid = uid;
    unsafe { fd_close(STANDARD_ERROR) };
    answer(
        true,
        if left.is_empty() {
            "nothing is left".to_owned()
        } else {
            left.join("; ")
        },
    )
}

fn validate_settings(settings: &[u8]) -> CallResult {
    SEEN.lock().unwrap().settings = String::from_utf8_lossy(settings).into_owned();
    settings_are_valid(settings)
}
