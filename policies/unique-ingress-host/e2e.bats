#!/usr/bin/env bats

# End-to-end suite of the policy, for `kwctl` or what answers to its name: `bats e2e.bats` in this folder.

@test "accept an Ingress without a host" {
  run kwctl run policy.wasm -r requests/without-host.json
  echo "output = ${output}"
  [ "$status" -eq 0 ]
  [ "$(expr "$output" : '.*"allowed":true')" -ne 0 ]
}

@test "refuse a misspelt setting" {
  run kwctl run policy.wasm -r requests/new-host.json --settings-json '{"share": []}'
  echo "output = ${output}"
  [ "$status" -eq 1 ]
  [ "$(expr "$output" : '.*share')" -ne 0 ]
}
