//go:build tools

// Package tools pins the etcd that the tests run (see ../build.ts).
package tools

import _ "go.etcd.io/etcd/server/v3"
