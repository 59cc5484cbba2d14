#!/bin/sh
# Builds registries that have the referrers API, from the Go modules that `referrers_registry/go.mod` pins, into the cache folder
# ${XDG_CACHE_HOME:-$HOME/.cache}/portreeve/bin.
#
# usage: tests/tools/build_referrers_registry.sh      needs: go; half a minute of one core, with a cold Go build cache
set -eu
cd "$(dirname "$0")/referrers_registry"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/portreeve
command -v go >/dev/null || {
  echo "build_referrers_registry.sh: 'go' is not on the PATH: install Go (https://go.dev/dl), then run this again" >&2
  exit 1
}
mkdir -p "$cache/bin"
go build -trimpath -buildvcs=false -ldflags="-s -w" -o "$cache/bin/referrers_registry" .
echo "$cache/bin/referrers_registry"
