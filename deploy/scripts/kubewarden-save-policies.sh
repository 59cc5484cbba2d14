#!/usr/bin/env bash
# Pulls every policy of a list and packs those that could be pulled into one archive, to be carried to where no network is.
# KWCTL_CMD names the binary that does it (default: kwctl, else reeve).
set -u

list="kubewarden-policies.txt"
archive="kubewarden-policies.tar.gz"

usage() {
  cat << EOF
USAGE: $0 [--policies-list $list] [--policies $archive]
  [-l|--policies-list path] text file with the policies, one URI a line.
  [-p|--policies path] tar.gz that the policies are saved to.
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
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && exit 1 ;;
  esac
done

kwctl="${KWCTL_CMD:-$(command -v kwctl || command -v reeve || echo kwctl)}"
[ -r "$list" ] || fail "cannot read $list: give the list of policies with --policies-list"

pulled=()
while IFS= read -r policy || [ -n "$policy" ]; do
  policy="${policy//[[:space:]]/}"
  [ -z "$policy" ] && continue
  # Its standard input is the list, which the binary must not eat.
  if "$kwctl" pull "$policy" < /dev/null > /dev/null; then
    echo "Policy pull success: $policy"
    pulled+=("$policy")
  else
    echo "Policy pull failed: $policy"
  fi
done < "$list"

[ "${#pulled[@]}" -gt 0 ] || fail "none of the policies in $list could be pulled: there is nothing to save"
echo "Creating $archive with ${#pulled[@]} policies"
"$kwctl" save --output "$archive" "${pulled[@]}"
