//! Takes its time before it accepts: `ms` milliseconds, spent as `do` says.
use instructions::{Instructions, answer, register, settings_are_valid};
use kubewarden_policy_sdk::wapc_guest::CallResult;
use std::time::{Duration, Instant};

#[unsafe(no_mangle)]
pub extern "C" fn wapc_init() {
    register(validate, settings_are_valid);
}

fn validate(payload: &[u8]) -> CallResult {
    let told = Instructions::of(payload)?;
    let wanted = Duration::from_millis(told.number("ms", 0));
    let start = Instant::now();
    match told.text("do") {
        // Asleep inside one WASI call (poll_oneoff), where no guest instruction runs that could be stopped.
        "sleep" => std::thread::sleep(wanted),
        // Busy: guest instructions and short calls for the time, all along.
        _ => while start.elapsed() < wanted {},
    }
    answer(true, format!("took {} ms", start.elapsed().as_millis()))
}
