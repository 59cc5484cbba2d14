//! Takes as much memory as it is told to, or as it can get; accepts everything else.
use instructions::{Instructions, accept, answer, register, settings_are_valid};
use kubewarden_policy_sdk::wapc_guest::CallResult;
use std::{
    hint::black_box,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

const PAGE: usize = 64 << 10;
const MEBIBYTE: usize = 1 << 20;

/// How many there are when the initialisation ends.
static PAGES_AT_FIRST: AtomicUsize = AtomicUsize::new(0);

#[unsafe(no_mangle)]
pub extern "C" fn wapc_init() {
    register(validate, settings_are_valid);
    PAGES_AT_FIRST.store(core::arch::wasm32::memory_size(0), Relaxed);
}

fn validate(payload: &[u8]) -> CallResult {
    let told = Instructions::of(payload)?;
    match told.text("do") {
        // Grows until the host says no, writes to every page, and answers how much it was.
        "answer" => {
            let pages = grow(usize::MAX);
            answer(true, format!("grew by {pages} pages"))
        }
        // The same, but then it traps.
        "trap" => {
            black_box(grow(usize::MAX));
            core::arch::wasm32::unreachable()
        }
        // Grows by `megabytes` and keeps them: an instance that is used again must not stay that big.
        "grow" => {
            let pages = grow(told.number("megabytes", 1) * MEBIBYTE / PAGE);
            answer(true, format!("grew by {pages} pages"))
        }
        // As an innocent program does it: allocates until the allocator aborts.
        "allocate" => {
            let mut blocks = Vec::new();
            loop {
                blocks.push(black_box(vec![1u8; MEBIBYTE]));
            }
        }
        "size" => {
            let more = core::arch::wasm32::memory_size(0) - PAGES_AT_FIRST.load(Relaxed);
            answer(true, format!("{more} pages more than at first"))
        }
        _ => accept(),
    }
}

/// Grows by up to `wanted` pages, first in big steps, and writes to each page so that the host has to provide it.
fn grow(wanted: usize) -> usize {
    let mut grown = 0;
    for step in [256, 16, 1] {
        while wanted - grown >= step {
            let first = core::arch::wasm32::memory_grow(0, step);
            if first == usize::MAX {
                break;
            }
            for page in first..first + step {
                // SAFETY: the host has just granted these pages, and the allocator knows nothing of them.
                unsafe { ((page * PAGE) as *mut u8).write_volatile(1) };
            }
            grown += step;
        }
    }
    grown
}
