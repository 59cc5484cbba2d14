#!/bin/sh
# Builds the registry that Docker Hub, GitLab and Harbor are made from (`distribution`, version 3), which the registry tests push to,
# from its Go module, into the cache folder ${XDG_CACHE_HOME:-$HOME/.cache}/portreeve/bin. A version that is already there is kept.
#
# usage: tests/tools/build_distribution.sh      needs: go; a minute and a half of one core, with a cold Go build cache
set -eu
version=v3.1.2
cache=${XDG_CACHE_HOME:-$HOME/.cache}/portreeve
binary=$cache/bin/distribution-$version

if [ ! -x "$binary" ]; then
  command -v go >/dev/null || {
    echo "build_distribution.sh: 'go' is not on the PATH: install Go (https://go.dev/dl), then run this again" >&2
    exit 1
  }
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  mkdir -p "$cache/bin"
  cd "$work"
  go mod init example.org/distribution-build >/dev/null 2>&1
  go get "github.com/distribution/distribution/v3/cmd/registry@$version"
  go build -trimpath -buildvcs=false -ldflags="-s -w" -o "$binary.part" github.com/distribution/distribution/v3/cmd/registry
  mv "$binary.part" "$binary"
fi
ln -sf "distribution-$version" "$cache/bin/distribution"
"$cache/bin/distribution" --version
