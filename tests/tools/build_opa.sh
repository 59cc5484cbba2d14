#!/bin/sh
# Builds the Open Policy Agent's command-line tool, which the Rego policies are compiled with and the Rego builtins are held
# against, into ${XDG_CACHE_HOME:-$HOME/.cache}/portreeve/bin. Needs Go; takes about two minutes on two cores.
set -eu
version=v1.22.2
cache=${XDG_CACHE_HOME:-$HOME/.cache}/portreeve
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$cache/bin"
cd "$work"
go mod init example.org/opa-build >/dev/null 2>&1
go get "github.com/open-policy-agent/opa@$version"
go build -trimpath -buildvcs=false -o "$cache/bin/opa" github.com/open-policy-agent/opa
"$cache/bin/opa" version
