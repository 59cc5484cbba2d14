//! A WASI program that does, step by step, what the request's or the settings' member `do` tells it, and so can misbehave in
//! every way that WASI allows. Unless a step ended it or wrote to standard output, it answers `accepted`, `valid`, and as its
//! message what the steps found out, separated by ` | `.
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use std::{
    io::{Read, Write},
    time::Duration,
};

mod wasi {
    #[link(wasm_import_module = "wasi_snapshot_preview1")]
    unsafe extern "C" {
        pub fn args_get(pointers: u32, bytes: u32) -> u32;
        pub fn environ_sizes_get(count: u32, size: u32) -> u32;
        pub fn clock_time_get(clock: u32, precision: u64, at: u32) -> u32;
        pub fn fd_close(fd: u32) -> u32;
        pub fn fd_fdstat_get(fd: u32, at: u32) -> u32;
        pub fn fd_filestat_get(fd: u32, at: u32) -> u32;
        pub fn fd_prestat_get(fd: u32, at: u32) -> u32;
        pub fn fd_pread(fd: u32, list: u32, count: u32, offset: u64, read: u32) -> u32;
        pub fn fd_read(fd: u32, list: u32, count: u32, read: u32) -> u32;
        pub fn fd_seek(fd: u32, offset: i64, whence: u32, at: u32) -> u32;
        pub fn fd_tell(fd: u32, at: u32) -> u32;
        pub fn fd_write(fd: u32, list: u32, count: u32, written: u32) -> u32;
        pub fn path_open(
            fd: u32,
            lookup: u32,
            path: u32,
            length: u32,
            open: u32,
            rights: u64,
            inheriting: u64,
            flags: u32,
            at: u32,
        ) -> u32;
        pub fn path_unlink_file(fd: u32, path: u32, length: u32) -> u32;
        pub fn poll_oneoff(subscriptions: u32, events: u32, count: u32, at: u32) -> u32;
        pub fn random_get(at: u32, length: u32) -> u32;
        pub fn sock_accept(fd: u32, flags: u32, at: u32) -> u32;
    }
}

#[link(wasm_import_module = "host")]
unsafe extern "C" {
    #[link_name = "call"]
    fn host_call(
        binding: *const u8,
        binding_length: usize,
        namespace: *const u8,
        namespace_length: usize,
        operation: *const u8,
        operation_length: usize,
        payload: *const u8,
        payload_length: usize,
    ) -> u32;
}

/// The same function under the name by which modules built with Javy 7 and later import it.
mod javy {
    #[link(wasm_import_module = "kubewarden:javy/host")]
    unsafe extern "C" {
        #[link_name = "call"]
        pub fn host_call(
            binding: *const u8,
            binding_length: usize,
            namespace: *const u8,
            namespace_length: usize,
            operation: *const u8,
            operation_length: usize,
            payload: *const u8,
            payload_length: usize,
        ) -> u32;
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Step {
    Stdout(String),
    StdoutBytes(Vec<u8>),
    /// So many bytes, in writes of 64 KiB.
    StdoutLength(usize),
    Stderr(String),
    StderrBytes(Vec<u8>),
    StderrLength(usize),
    Exit(i32),
    Trap,
    Spin,
    SleepMs(u64),
    /// Sleeps of a millisecond, for ever.
    Doze,
    /// Random bytes by the mebibyte, for ever.
    Roll,
    /// A megabyte to standard error, for ever.
    Chatter,
    /// Allocates so many bytes and counts in a static, both of which a later run must not find.
    Remember(usize),
    HostCall(HostCall),
    /// Host calls whose answers are not read, until the host has enough.
    Flood(HostCall),
    /// A name that is not UTF-8.
    BadName,
    /// A function of WASI with its arguments; tells the error number.
    Wasi(String, Vec<u64>),
    /// `fd_write` of ranges of memory; tells the error number and how much was written.
    Write {
        fd: u32,
        ranges: Vec<(u32, u32)>,
    },
    /// The program's arguments.
    Args,
    Accept(Value),
}

#[derive(Deserialize)]
struct HostCall {
    #[serde(default = "kubewarden")]
    binding: String,
    namespace: String,
    operation: String,
    payload: Option<Box<RawValue>>,
    #[serde(default)]
    javy: bool,
}

fn kubewarden() -> String {
    "kubewarden".to_owned()
}

#[derive(Deserialize)]
struct Told {
    #[serde(rename = "do", default)]
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Payload {
    request: Told,
}

static mut REMEMBERED: u32 = 0;

/// Reads as programs built with Javy do: in pieces of 1,024 bytes, until a read gives nothing.
fn read_input() -> Vec<u8> {
    let mut input = Vec::new();
    let mut piece = [0; 1024];
    loop {
        match std::io::stdin()
            .lock()
            .read(&mut piece)
            .expect("cannot read standard input")
        {
            0 => return input,
            read => input.extend_from_slice(&piece[..read]),
        }
    }
}

fn main() {
    let command = std::env::args().nth(1).unwrap_or_default();
    let input = read_input();
    let settings = command == "validate-settings";
    let told: Told = if settings {
        serde_json::from_slice(&input).expect("cannot read the settings")
    } else {
        serde_json::from_slice::<Payload>(&input)
            .expect("cannot read the request")
            .request
    };
    let mut found = Vec::new();
    let mut answered = false;
    for step in &told.steps {
        answered |= matches!(
            step,
            Step::Stdout(_) | Step::StdoutBytes(_) | Step::StdoutLength(_)
        );
        if let Step::Accept(object) = step {
            answered = true;
            println!("{}", json!({ "accepted": true, "mutated_object": object }));
        }
        found.extend(take(step));
    }
    if answered {
        return;
    }
    let verdict = if settings { "valid" } else { "accepted" };
    let mut answer = json!({ verdict: true });
    if !found.is_empty() {
        answer["message"] = json!(found.join(" | "));
    }
    println!("{answer}");
}

fn take(step: &Step) -> Option<String> {
    match step {
        Step::Stdout(text) => write(std::io::stdout(), text.as_bytes()),
        Step::StdoutBytes(bytes) => write(std::io::stdout(), bytes),
        Step::StdoutLength(length) => write(std::io::stdout(), &vec![b' '; *length]),
        Step::Stderr(text) => write(std::io::stderr(), text.as_bytes()),
        Step::StderrBytes(bytes) => write(std::io::stderr(), bytes),
        Step::StderrLength(length) => write(std::io::stderr(), &vec![b'x'; *length]),
        Step::Exit(code) => {
            let _ = std::io::stdout().flush();
            std::process::exit(*code)
        }
        Step::Trap => core::arch::wasm32::unreachable(),
        Step::Spin => loop {
            core::hint::black_box(());
        },
        Step::SleepMs(milliseconds) => {
            std::thread::sleep(Duration::from_millis(*milliseconds));
            Some(format!("slept {milliseconds} ms"))
        }
        Step::Doze => loop {
            std::thread::sleep(Duration::from_millis(1));
        },
        Step::Roll => {
            let mut bytes = vec![0u8; 1 << 20];
            loop {
                unsafe { wasi::random_get(bytes.as_mut_ptr() as u32, bytes.len() as u32) };
            }
        }
        Step::Chatter => {
            let bytes = vec![b'x'; 1 << 20];
            loop {
                let _ = std::io::stderr().write_all(&bytes);
            }
        }
        Step::Remember(length) => unsafe {
            REMEMBERED += 1;
            core::hint::black_box(Vec::<u8>::leak(vec![7; *length]));
            let pages = core::arch::wasm32::memory_size(0);
            Some(format!(
                "run {} with {pages} pages",
                *(&raw const REMEMBERED)
            ))
        },
        Step::HostCall(call) => Some(make(call)),
        Step::Flood(call) => loop {
            ask(call);
        },
        Step::BadName => {
            let bad = [0xffu8];
            let ok = b"x";
            unsafe {
                host_call(
                    bad.as_ptr(),
                    1,
                    ok.as_ptr(),
                    1,
                    ok.as_ptr(),
                    1,
                    ok.as_ptr(),
                    1,
                );
            }
            None
        }
        Step::Wasi(name, arguments) => Some(format!("{name} {}", call_wasi(name, arguments))),
        Step::Write { fd, ranges } => {
            let mut written = 0u32;
            let at = &raw mut written;
            let error = unsafe {
                wasi::fd_write(*fd, ranges.as_ptr() as u32, ranges.len() as u32, at as u32)
            };
            Some(format!("error {error}, {} written", unsafe {
                at.read_volatile()
            }))
        }
        Step::Args => Some(std::env::args().collect::<Vec<_>>().join(" ")),
        Step::Accept(_) => None,
    }
}

fn write(mut to: impl Write, bytes: &[u8]) -> Option<String> {
    to.write_all(bytes)
        .and_then(|()| to.flush())
        .err()
        .map(|error| error.to_string())
}

fn ask(call: &HostCall) -> u32 {
    let payload = call.payload.as_ref().map_or("", |payload| payload.get());
    let function = if call.javy {
        javy::host_call
    } else {
        host_call
    };
    unsafe {
        function(
            call.binding.as_ptr(),
            call.binding.len(),
            call.namespace.as_ptr(),
            call.namespace.len(),
            call.operation.as_ptr(),
            call.operation.len(),
            payload.as_ptr(),
            payload.len(),
        )
    }
}

/// The status and the answer; of a long answer its length and a checksum.
fn make(call: &HostCall) -> String {
    let status = ask(call);
    let answer = read_input();
    if answer.len() > 1000 {
        let sum = answer.iter().fold(0u32, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(u32::from(*byte))
        });
        return format!("{status} {} bytes, checksum {sum}", answer.len());
    }
    format!("{status} {}", String::from_utf8_lossy(&answer))
}

fn call_wasi(name: &str, arguments: &[u64]) -> u32 {
    let long = |index: usize| arguments.get(index).copied().unwrap_or(0);
    let int = |index: usize| long(index) as u32;
    unsafe {
        match name {
            "args_get" => wasi::args_get(int(0), int(1)),
            "environ_sizes_get" => wasi::environ_sizes_get(int(0), int(1)),
            "clock_time_get" => wasi::clock_time_get(int(0), long(1), int(2)),
            "fd_close" => wasi::fd_close(int(0)),
            "fd_fdstat_get" => wasi::fd_fdstat_get(int(0), int(1)),
            "fd_filestat_get" => wasi::fd_filestat_get(int(0), int(1)),
            "fd_prestat_get" => wasi::fd_prestat_get(int(0), int(1)),
            "fd_pread" => wasi::fd_pread(int(0), int(1), int(2), long(3), int(4)),
            "fd_read" => wasi::fd_read(int(0), int(1), int(2), int(3)),
            "fd_seek" => wasi::fd_seek(int(0), long(1) as i64, int(2), int(3)),
            "fd_tell" => wasi::fd_tell(int(0), int(1)),
            "fd_write" => wasi::fd_write(int(0), int(1), int(2), int(3)),
            "path_open" => wasi::path_open(
                int(0),
                int(1),
                int(2),
                int(3),
                int(4),
                long(5),
                long(6),
                int(7),
                int(8),
            ),
            "path_unlink_file" => wasi::path_unlink_file(int(0), int(1), int(2)),
            "poll_oneoff" => wasi::poll_oneoff(int(0), int(1), int(2), int(3)),
            "random_get" => wasi::random_get(int(0), int(1)),
            "sock_accept" => wasi::sock_accept(int(0), int(1), int(2)),
            other => panic!("no step for {other}"),
        }
    }
}
