#!/usr/bin/env bats

# End-to-end suite of the policy, for `kwctl` or what answers to its name: `bats e2e.bats` in this folder.

@test "accept a complete Pod" {
  run kwctl run policy.wasm -r requests/complete.json --settings-json '{"probes": ["livenessProbe"], "limits": ["memory"]}'
  echo "output = ${output}"
  [ "$status" -eq 0 ]
  [ "$(expr "$output" : '.*"allowed":true')" -ne 0 ]
}

@test "reject a container without a probe" {
  run kwctl run policy.wasm -r requests/bare.json --settings-json '{"probes": ["livenessProbe"]}'
  echo "output = ${output}"
  [ "$status" -eq 0 ]
  [ "$(expr "$output" : '.*"allowed":false')" -ne 0 ]
  [ "$(expr "$output" : '.*container side lacks livenessProbe')" -ne 0 ]
}

@test "refuse settings that require nothing" {
  run kwctl run policy.wasm -r requests/bare.json --settings-json '{}'
  echo "output = ${output}"
  [ "$status" -eq 1 ]
  [ "$(expr "$output" : '.*nothing is required')" -ne 0 ]
}
