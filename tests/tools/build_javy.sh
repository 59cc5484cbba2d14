#!/bin/sh
# Builds what policies in JavaScript are made with, into ${XDG_CACHE_HOME:-$HOME/.cache}/portreeve: `bin/portreeve-javy`, which
# does what Javy's command-line tool does (that one is published as a binary alone, its crates are not), and `javy/plugin.wasm`,
# the JavaScript engine of a policy. Needs Rust and `npm ci`; installs Debian's Clang for QuickJS, which is C.
# Takes six minutes of one core, and none while its sources are those that were built last.
#
# usage: build_javy.sh [SDK]
#
# With SDK, Kubewarden's package as npm takes it (kubewarden-policy-sdk, a tarball, a folder), it also builds
# tests/policies/wasi-javascript with that package and its plug-in: `javy/official.wasm`, which tests/evaluator/javy_test.ts runs
# beside the committed module.
set -eu
cd "$(dirname "$0")/javy"
modules=$(cd ../../../node_modules && pwd)
export PATH="$modules/.bin:$PATH" WASM_OPT="$modules/.bin/wasm-opt"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/portreeve
made=$(cat ../build_javy.sh Cargo.toml Cargo.lock */Cargo.toml */src/*.rs | sha256sum | cut -d ' ' -f 1)
mkdir -p "$cache/bin" "$cache/javy"

build() {
  missing=
  for package in clang-19 libclang1-19 wasi-libc; do
    dpkg -s "$package" >/dev/null 2>&1 || missing="$missing $package"
  done
  # shellcheck disable=SC2086 # names, one a word
  [ -z "$missing" ] || { apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing; }
  rustup target add wasm32-wasip1
  export CARGO_TARGET_DIR="$cache/javy-target"
  cargo fetch --quiet --locked
  cargo build --quiet --locked --profile generator --package portreeve-javy
  # QuickJS is C: compiled with the headers of Debian's WASI, linked with the library that comes with Rust.
  clang="--target=wasm32-wasi -nostdlibinc -isystem /usr/include/wasm32-wasi"
  registries=${CARGO_HOME:-$HOME/.cargo}/registry/src
  # A module must not tell where it was built.
  flags=
  for folder in "$registries"/*; do flags="$flags --remap-path-prefix=$folder=/cargo"; done
  RQUICKJS_SYS_NO_WASI_SDK=1 CC_wasm32_wasip1=clang-19 \
    CFLAGS_wasm32_wasip1="$clang -Oz" BINDGEN_EXTRA_CLANG_ARGS_wasm32_wasip1="$clang" \
    CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS="$flags --remap-path-prefix=$PWD=/portreeve" \
    cargo build --quiet --locked --release --package portreeve-javy-plugin --target wasm32-wasip1
  cp "$CARGO_TARGET_DIR/generator/portreeve-javy" "$cache/bin/portreeve-javy"
  "$cache/bin/portreeve-javy" init-plugin \
    "$CARGO_TARGET_DIR/wasm32-wasip1/release/portreeve_javy_plugin.wasm" "$cache/javy/plugin.wasm"
  echo "$made" >"$cache/javy/made"
}
[ "$(cat "$cache/javy/made" 2>/dev/null)" = "$made" ] || build
[ $# -gt 0 ] || exit 0

# With Kubewarden's own package.
sdk=$cache/javy/sdk
rm -rf "$sdk"
mkdir -p "$sdk"
npm install --silent --no-audit --no-fund --prefix "$sdk" "$1"
name=$(node -p 'Object.keys(require(process.argv[1]).dependencies)[0]' "$sdk/package.json")
policy=../../policies/wasi-javascript
esbuild "$policy/policy.js" --bundle --format=esm --log-level=warning \
  "--alias:kubewarden-policy-sdk=$sdk/node_modules/$name" "--outfile=$sdk/policy.js"
"$cache/bin/portreeve-javy" build "$sdk/node_modules/$name/plugin/javy-plugin-kubewarden.wasm" "$sdk/policy.js" "$sdk/policy.wasm"
node ../../../cli/main.ts annotate -m "$policy/metadata.yml" -o "$cache/javy/official.wasm" "$sdk/policy.wasm"
