//go:build tools

// Package tools pins the API server that the charts are tried on (see ../build.ts).
package tools

import _ "k8s.io/kubernetes/cmd/kube-apiserver"
