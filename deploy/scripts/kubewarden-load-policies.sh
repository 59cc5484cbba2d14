#!/usr/bin/env bash
# Unpacks an archive of policies and pushes those of a list to a registry, where no network leads to their own.
# KWCTL_CMD names the binary that does it (default: kwctl, else reeve).
set -u

list="kubewarden-policies.txt"
archive="kubewarden-policies.tar.gz"
registry=""
sources=()

usage() {
  cat << EOF
USAGE: $0 [--policies-list $list] [--policies $archive] --registry my.registry.com:5000
  [-l|--policies-list path] text file with the policies, one URI a line.
  [-p|--policies path] tar.gz that the policies were saved to.
  [-r|--registry registry:port] registry that the policies are pushed to.
  [-s|--sources-path path] sources.yaml that says how the registry is spoken to.
  [-h|--help] this text.
EOF
}

fail() {
  echo "$1" >&2
  exit 1
}

while [ $# -gt 0 ]; do
  case "$1" in
    -l | --policies-list) list="${2:?"$1 needs a path"}" && shift 2 ;;
    -p | --policies) archive="${2:?"$1 needs a path"}" && shift 2 ;;
    -r | --registry) registry="${2:?"$1 needs a registry"}" && shift 2 ;;
    -s | --sources-path) sources=(--sources-path "${2:?"$1 needs a path"}") && shift 2 ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && exit 1 ;;
  esac
done

[ -n "$registry" ] || { usage >&2 && exit 1; }
kwctl="${KWCTL_CMD:-$(command -v kwctl || command -v reeve || echo kwctl)}"
[ -r "$list" ] || fail "cannot read $list: give the list of policies with --policies-list"

"$kwctl" load --input "$archive" || exit 1

failed=0
while IFS= read -r policy || [ -n "$policy" ]; do
  policy="${policy//[[:space:]]/}"
  [ -z "$policy" ] && continue
  case "$policy" in
    *://*) uri="$policy" ;;
    *) uri="registry://$policy" ;;
  esac
  # registry://HOST/a/b:tag and https://HOST/a/b both become registry://NEW/a/b….
  rest="${uri#*://}"
  target="registry://$registry/${rest#*/}"
  if "$kwctl" push ${sources[@]+"${sources[@]}"} "$uri" "$target" < /dev/null; then
    echo "Policy push success: $target"
  else
    echo "Policy push failed: $uri"
    failed=1
  fi
done < "$list"
exit "$failed"
