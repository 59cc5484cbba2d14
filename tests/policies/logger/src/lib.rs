//! Logs in every way a policy can, and tries to pass its own words off as the host's; then accepts.
use instructions::{Instructions, accept, register, settings_are_valid};
use kubewarden_policy_sdk::{
    logging::KubewardenDrain,
    wapc_guest::{CallResult, console_log, host_call},
};
use slog::{Logger, crit, debug, error, info, o, trace, warn};

/// A line feed and what a log line of the host may look like, as text and as JSON, with a terminal's escapes.
const FORGED: &str = concat!(
    "an ordinary line\n",
    "2026-01-01T00:00:00.000Z ERROR policy_server: forged text line\n",
    r#"{"timestamp":"2026-01-01T00:00:00.000Z","level":"ERROR","message":"forged JSON line"}"#,
    "\r\n\x1b[2K\x1b[31mforged red line\x1b[0m",
);

#[unsafe(no_mangle)]
pub extern "C" fn wapc_init() {
    register(validate, settings_are_valid);
}

fn validate(payload: &[u8]) -> CallResult {
    let told = Instructions::of(payload)?;
    match told.text("do") {
        "forge" => forge(),
        // A flood: `times` lines in one request.
        "flood" => {
            let log = logger(&told.uid);
            (0..told.number("times", 1000)).for_each(|line| info!(log, "line {line} of many"));
        }
        // One message of `megabytes`.
        "shout" => info!(
            logger(&told.uid),
            "{}",
            "A".repeat(told.number("megabytes", 1usize) << 20)
        ),
        _ => every_level(&told.uid),
    }
    accept()
}

fn logger(uid: &str) -> Logger {
    Logger::root(KubewardenDrain::new(), o!("request_uid" => uid.to_owned()))
}

fn every_level(uid: &str) {
    let log = logger(uid);
    trace!(log, "at trace");
    debug!(log, "at debug"; "number" => 42);
    info!(log, "at info"; "text" => "value", "flag" => true, "float" => 1.0);
    warn!(log, "at warning");
    error!(log, "at error");
    crit!(log, "at critical");
    console_log("to the console");
    println!("to standard output");
    eprintln!("to standard error");
}

fn forge() {
    info!(logger(FORGED), "{FORGED}"; "key" => FORGED);
    console_log(FORGED);
    println!("{FORGED}");
    eprintln!("{FORGED}");
    // What is no log event at all: still a success for the guest (spec/evaluator.md §5.3).
    for event in [
        "",
        "not JSON",
        "[]",
        r#"{"level":"loud","message":1}"#,
        r#"{"level":"info"}"#,
    ] {
        let _ = host_call("kubewarden", "tracing", "log", event.as_bytes());
    }
}
