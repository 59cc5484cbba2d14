#!/bin/sh
# Builds the real `cosign` that the signature tests sign with, from its Go module, into the cache folder
# ${XDG_CACHE_HOME:-$HOME/.cache}/portreeve/bin (never into the checkout). A version that is already there is kept.
#
# usage: tests/tools/build_cosign.sh      needs: go; about 5 minutes on two cores with a cold Go build cache
set -eu

version=v3.1.3
cache="${XDG_CACHE_HOME:-$HOME/.cache}/portreeve"
binary="$cache/bin/cosign-$version"

if [ ! -x "$binary" ]; then
  command -v go >/dev/null || {
    echo "build_cosign.sh: 'go' is not on the PATH: install Go (https://go.dev/dl), then run this again" >&2
    exit 1
  }
  work="$cache/build/cosign-$version"
  mkdir -p "$work" "$cache/bin"
  cd "$work"
  cat >go.mod <<MOD
module portreeve.test/cosign

go 1.25.0

require github.com/sigstore/cosign/v3 $version
MOD
  cat >tools.go <<'GO'
//go:build tools

package tools

import _ "github.com/sigstore/cosign/v3/cmd/cosign"
GO
  go mod tidy
  go build -trimpath -ldflags="-s -w" -o "$binary.part" github.com/sigstore/cosign/v3/cmd/cosign
  mv "$binary.part" "$binary"
fi
ln -sf "cosign-$version" "$cache/bin/cosign"
echo "$binary"
