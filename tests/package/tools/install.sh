#!/usr/bin/env bash
# Installs the bundlers and frameworks that tests/package/ uses, in the versions of the lock file beside this one, outside of the
# checkout: they are heavier than all else that the tests need.
set -eu
from="$(cd "$(dirname "$0")" && pwd)"
to="${XDG_CACHE_HOME:-$HOME/.cache}/portreeve/package-tools"
if [ -d "$to/node_modules" ] && cmp -s "$from/package-lock.json" "$to/installed.json"; then exit 0; fi
mkdir -p "$to"
cp "$from/package.json" "$from/package-lock.json" "$to/"
cd "$to"
npm install --no-audit --no-fund --ignore-scripts --silent
cp "$from/package-lock.json" installed.json
