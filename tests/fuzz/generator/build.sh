#!/bin/sh
# Builds the generator of WebAssembly modules (src/lib.rs) that `npm run fuzz -- modules` loads, into
# ${XDG_CACHE_HOME:-$HOME/.cache}/portreeve/fuzz/module_generator.wasm. Needs Rust; takes half a minute.
set -eu
cd "$(dirname "$0")"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/portreeve
rustup target add wasm32-unknown-unknown
CARGO_TARGET_DIR="$cache/fuzz-target" cargo build --quiet --locked --release --target wasm32-unknown-unknown
mkdir -p "$cache/fuzz"
cp "$cache/fuzz-target/wasm32-unknown-unknown/release/portreeve_module_generator.wasm" "$cache/fuzz/module_generator.wasm"
