//! Makes valid WebAssembly modules from bytes, with the crate that wasmtime is fuzzed with. It imports nothing and runs
//! inside of the fuzzer's own process on Node and Bun: `input(n)` gives the place for n bytes of randomness, `generate(n, …)`
//! makes a module of them and returns its length (0: these bytes make none), `output()` says where it stands.
//!
//! A module has what real guests are compiled to (bulk memory, reference types, SIMD, several results, tail calls,
//! exceptions) and no more than the product takes: one memory, no shared memory, no garbage-collected types.

use arbitrary::Unstructured;
use std::cell::RefCell;
use wasm_smith::{Config, Module};

/// Pages of 64 KiB, and elements: the limits that the fuzzer gives the product too, so that growing ends at the same place.
const MAX_PAGES: u64 = 8;
const MAX_ELEMENTS: u64 = 1_000;

thread_local! {
    static INPUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static OUTPUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Makes room for `length` bytes of randomness and returns where they are to be written.
#[no_mangle]
pub extern "C" fn input(length: usize) -> *mut u8 {
    INPUT.with_borrow_mut(|input| {
        input.clear();
        input.resize(length, 0);
        input.as_mut_ptr()
    })
}

/// Where the module stands that `generate` made.
#[no_mangle]
pub extern "C" fn output() -> *const u8 {
    OUTPUT.with_borrow(|output| output.as_ptr())
}

fn config(imports: bool, disallow_traps: bool) -> Config {
    let mut config = Config::default();
    config.min_funcs = 1;
    config.max_funcs = 12;
    config.max_types = 12;
    config.max_imports = if imports { 6 } else { 0 };
    config.max_globals = 8;
    config.max_tables = 4;
    config.max_elements = 20;
    config.max_element_segments = 6;
    config.max_data_segments = 6;
    config.max_instructions = 200;
    config.min_memories = 0;
    config.max_memories = 1;
    config.max_memory32_bytes = MAX_PAGES * 65536;
    config.memory_max_size_required = true;
    config.max_table_elements = MAX_ELEMENTS;
    config.table_max_size_required = true;
    config.export_everything = true;
    config.allow_start_export = true;
    // A NaN's bits are the engine's choice; without this, two right answers could differ.
    config.canonicalize_nans = true;
    config.bulk_memory_enabled = true;
    config.reference_types_enabled = true;
    config.multi_value_enabled = true;
    config.simd_enabled = true;
    config.saturating_float_to_int_enabled = true;
    config.sign_extension_ops_enabled = true;
    config.tail_call_enabled = true;
    config.exceptions_enabled = true;
    config.extended_const_enabled = true;
    config.compact_imports_enabled = false;
    config.relaxed_simd_enabled = false;
    config.gc_enabled = false;
    config.memory64_enabled = false;
    config.threads_enabled = false;
    config.shared_everything_threads_enabled = false;
    config.custom_page_sizes_enabled = false;
    config.wide_arithmetic_enabled = false;
    config.disallow_traps = disallow_traps;
    config
}

/// Makes a module from the first `length` bytes of the input. With `fuel` above 0 the module counts its own steps, so that
/// all it exports ends. With `imports`, it may import functions, globals, tables, a memory and tags of any names and types. With
/// `disallow_traps` operands are kept where instructions don't trap, so that more of the code is run.
#[no_mangle]
pub extern "C" fn generate(length: usize, fuel: u32, imports: u32, disallow_traps: u32) -> usize {
    let bytes = INPUT.with_borrow(|input| {
        let mut random = Unstructured::new(&input[..length.min(input.len())]);
        let mut module =
            Module::new(config(imports != 0, disallow_traps != 0), &mut random).ok()?;
        if fuel > 0 {
            module.ensure_termination(fuel).ok()?;
        }
        Some(module.to_bytes())
    });
    OUTPUT.with_borrow_mut(|output| {
        *output = bytes.unwrap_or_default();
        output.len()
    })
}
