#!/bin/sh
# Builds the real `cosign` that the signature tests sign with, in the two major versions that the field has, from its Go modules, into
# the cache folder ${XDG_CACHE_HOME:-$HOME/.cache}/portreeve/bin (never into the checkout): `cosign` is version 3, `cosign2` version 2.
# A version that is already there is kept.
#
# usage: tests/tools/build_cosign.sh      needs: go; about 8 minutes for both on two cores with a cold Go build cache
set -eu

cache="${XDG_CACHE_HOME:-$HOME/.cache}/portreeve"

# build MAJOR VERSION LINK
build() {
  binary="$cache/bin/cosign-$2"
  if [ ! -x "$binary" ]; then
    command -v go >/dev/null || {
      echo "build_cosign.sh: 'go' is not on the PATH: install Go (https://go.dev/dl), then run this again" >&2
      exit 1
    }
    work="$cache/build/cosign-$2"
    mkdir -p "$work" "$cache/bin"
    cd "$work"
    cat >go.mod <<MOD
module portreeve.test/cosign

go 1.25.0

require github.com/sigstore/cosign/v$1 $2
MOD
    cat >tools.go <<GO
//go:build tools

package tools

import _ "github.com/sigstore/cosign/v$1/cmd/cosign"
GO
    go mod tidy
    go build -trimpath -ldflags="-s -w" -o "$binary.part" "github.com/sigstore/cosign/v$1/cmd/cosign"
    mv "$binary.part" "$binary"
  fi
  ln -sf "cosign-$2" "$cache/bin/$3"
  echo "$binary"
}

build 3 v3.1.3 cosign
build 2 v2.6.5 cosign2
