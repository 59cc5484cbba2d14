#!/bin/sh
# Builds `oras`, which the registry tests push, pull and attach with, from its Go module, into the cache folder
# ${XDG_CACHE_HOME:-$HOME/.cache}/portreeve/bin. A version that is already there is kept.
#
# usage: tests/tools/build_oras.sh      needs: go; half a minute of one core, with a cold Go build cache
set -eu
version=v1.3.6
cache=${XDG_CACHE_HOME:-$HOME/.cache}/portreeve
binary=$cache/bin/oras-$version

if [ ! -x "$binary" ]; then
  command -v go >/dev/null || {
    echo "build_oras.sh: 'go' is not on the PATH: install Go (https://go.dev/dl), then run this again" >&2
    exit 1
  }
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  mkdir -p "$cache/bin"
  cd "$work"
  go mod init example.org/oras-build >/dev/null 2>&1
  go get "oras.land/oras/cmd/oras@$version"
  go build -trimpath -buildvcs=false -ldflags="-s -w" -o "$binary.part" oras.land/oras/cmd/oras
  mv "$binary.part" "$binary"
fi
ln -sf "oras-$version" "$cache/bin/oras"
"$cache/bin/oras" version | head -n 1
