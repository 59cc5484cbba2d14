#!/bin/sh
# Builds Helm, which the charts' tests lint, render and install with, from its Go module, into the cache folder
# ${XDG_CACHE_HOME:-$HOME/.cache}/portreeve/bin. A version that is already there is kept.
#
# usage: tests/tools/build_helm.sh      needs: go; two minutes on two cores with a cold Go build cache
set -eu
version=v3.22.0
cache=${XDG_CACHE_HOME:-$HOME/.cache}/portreeve
binary=$cache/bin/helm-$version

if [ ! -x "$binary" ]; then
  command -v go >/dev/null || {
    echo "build_helm.sh: 'go' is not on the PATH: install Go (https://go.dev/dl), then run this again" >&2
    exit 1
  }
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  mkdir -p "$cache/bin"
  cd "$work"
  go mod init example.org/helm-build >/dev/null 2>&1
  go get "helm.sh/helm/v3/cmd/helm@$version" 2>/dev/null
  # The Kubernetes version that `helm lint` and `helm template` assume comes from the linker; a plain build says v1.20.
  minor=$(go list -m -f '{{.Version}}' k8s.io/client-go | sed 's/^v0\.\([0-9]*\)\..*/\1/')
  package=helm.sh/helm/v3/pkg
  go build -trimpath -buildvcs=false -o "$binary" -ldflags "-s -w \
    -X $package/lint/rules.k8sVersionMajor=1 -X $package/lint/rules.k8sVersionMinor=$minor \
    -X $package/chartutil.k8sVersionMajor=1 -X $package/chartutil.k8sVersionMinor=$minor \
    -X helm.sh/helm/v3/internal/version.version=$version" helm.sh/helm/v3/cmd/helm
fi
ln -sf "helm-$version" "$cache/bin/helm"
"$cache/bin/helm" version --short
