#!/bin/sh
# Builds Helm, which the charts' tests render, lint and install with, into ${XDG_CACHE_HOME:-$HOME/.cache}/portreeve/bin.
# Needs Go; takes about two minutes on two cores.
set -eu
version=v3.22.0
cache=${XDG_CACHE_HOME:-$HOME/.cache}/portreeve
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$cache/bin"
cd "$work"
go mod init example.org/helm-build >/dev/null 2>&1
go get "helm.sh/helm/v3/cmd/helm@$version"
# `helm lint` and `.Capabilities` take the Kubernetes version to assume from these variables; a plain build says v1.20.
kubernetes=$(go list -m -f '{{.Version}}' k8s.io/client-go | sed 's/^v0\.\([0-9]*\)\..*/\1/')
set_version() { printf -- '-X helm.sh/helm/v3/pkg/%s=%s ' "$1" "$2"; }
go build -trimpath -buildvcs=false -o "$cache/bin/helm" -ldflags "-s -w \
$(set_version lint/rules.k8sVersionMajor 1) $(set_version lint/rules.k8sVersionMinor "$kubernetes") \
$(set_version chartutil.k8sVersionMajor 1) $(set_version chartutil.k8sVersionMinor "$kubernetes")" helm.sh/helm/v3/cmd/helm
"$cache/bin/helm" version --short
