#!/usr/bin/env bats

# End-to-end suite of the policy, for `kwctl` or what answers to its name: `bats e2e.bats` in this folder.

# The patch of an answer, decoded.
patch_of() {
  sed -n 's/.*"patch":"\([^"]*\)".*/\1/p' <<< "$1" | base64 -d
}

@test "give a pod the runtime's profile" {
  run kwctl run policy.wasm -r requests/no-context.json
  echo "output = ${output}"
  [ "$status" -eq 0 ]
  [ "$(expr "$output" : '.*"allowed":true')" -ne 0 ]
  [ "$(expr "$output" : '.*"patchType":"JSONPatch"')" -ne 0 ]
  patch="$(patch_of "$output")"
  echo "patch = ${patch}"
  [ "$(expr "$patch" : '.*"/spec/securityContext".*RuntimeDefault')" -ne 0 ]
}

@test "leave a pod with a profile of its own alone" {
  run kwctl run policy.wasm -r requests/own-profile.json
  echo "output = ${output}"
  [ "$status" -eq 0 ]
  [ "$(expr "$output" : '.*"allowed":true')" -ne 0 ]
  [ "$(expr "$output" : '.*JSONPatch')" -eq 0 ]
}

@test "no mutation where the custom resource does not allow it" {
  kwctl scaffold manifest -t ClusterAdmissionPolicy policy.wasm |
    sed 's/^  mutating: true/  mutating: false/' > "$BATS_TEST_TMPDIR/policy.yaml"
  run kwctl run "$BATS_TEST_TMPDIR/policy.yaml" -r requests/no-context.json
  echo "output = ${output}"
  [ "$status" -eq 0 ]
  [ "$(expr "$output" : '.*"allowed":false.*not allow mutations')" -ne 0 ]
}
