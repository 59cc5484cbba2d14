#!/usr/bin/env bats

# End-to-end suite of the policy, for `kwctl` or what answers to its name: `bats e2e.bats` in this folder.

@test "accept images of the registry" {
  run kwctl run policy.wasm -r requests/trusted.json --settings-json '{"registries": ["registry.example.org"]}'
  echo "output = ${output}"
  [ "$status" -eq 0 ]
  [ "$(expr "$output" : '.*"allowed":true')" -ne 0 ]
}

@test "reject an image from elsewhere" {
  run kwctl run policy.wasm -r requests/untrusted.json --settings-json '{"registries": ["registry.example.org"]}'
  echo "output = ${output}"
  [ "$status" -eq 0 ]
  [ "$(expr "$output" : '.*"allowed":false')" -ne 0 ]
  [ "$(expr "$output" : '.*not from a trusted registry')" -ne 0 ]
}

@test "refuse settings without a registry" {
  run kwctl run policy.wasm -r requests/trusted.json --settings-json '{"registries": []}'
  echo "output = ${output}"
  [ "$status" -eq 1 ]
  [ "$(expr "$output" : '.*name at least one registry')" -ne 0 ]
}
