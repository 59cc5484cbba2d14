#!/usr/bin/env bats

# End-to-end suite of the policy, for `kwctl` or what answers to its name: `bats e2e.bats` in this folder.

setup_file() {
  kwctl annotate policy.wasm -m metadata.yml -u README.md -o "$BATS_FILE_TMPDIR/annotated-policy.wasm"
  export POLICY="$BATS_FILE_TMPDIR/annotated-policy.wasm"
}

@test "reject a privileged container" {
  run kwctl run "$POLICY" -r requests/privileged.json

  # this prints the output when one of the checks below fails
  echo "output = ${output}"

  # a rejected request is no failure of the tool
  [ "$status" -eq 0 ]
  [ "$(expr "$output" : '.*"allowed":false')" -ne 0 ]
  [ "$(expr "$output" : ".*Privileged container is not allowed.*")" -ne 0 ]
}

@test "accept a pod without privileged containers" {
  run kwctl run "$POLICY" --request-path requests/unprivileged-3500-bytes.json
  echo "output = ${output}"
  [ "$status" -eq 0 ]
  [ "$(expr "$output" : '.*"allowed":true')" -ne 0 ]
}

@test "accept a privileged init container when those are skipped" {
  run kwctl run --settings-json '{"skip_init_containers": true}' -r requests/privileged-init-container.json "$POLICY"
  echo "output = ${output}"
  [ "$status" -eq 0 ]
  [ "$(expr "$output" : '.*"allowed":true')" -ne 0 ]
}

@test "refuse a misspelt setting" {
  run kwctl run "$POLICY" -r requests/privileged.json --settings-json '{"skip_init_container": true}'
  echo "output = ${output}"
  [ "$status" -eq 1 ]
  [ "$(expr "$output" : '.*Provided settings are not valid.*unknown field')" -ne 0 ]
}

@test "inspect the annotated policy" {
  run kwctl inspect "$POLICY"
  echo "output = ${output}"
  [ "$status" -eq 0 ]
  [ "$(expr "$output" : '.*title: *pod-privileged')" -ne 0 ]
  [ "$(expr "$output" : '.*execution mode: *kubewarden-wapc')" -ne 0 ]
  [ "$(expr "$output" : '.*skip_ephemeral_containers')" -ne 0 ]
}
