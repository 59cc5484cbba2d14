#!/usr/bin/env bats

# End-to-end suite of the policy, for `kwctl` or what answers to its name: `bats e2e.bats` in this folder.

@test "reject an object without the labels, and warn of the recommended one" {
  run kwctl run policy.wasm -r requests/unlabelled.json \
    --settings-json '{"required": ["owner"], "recommended": ["app.kubernetes.io/part-of"]}'
  echo "output = ${output}"
  [ "$status" -eq 0 ]
  [ "$(expr "$output" : '.*"allowed":false')" -ne 0 ]
  [ "$(expr "$output" : '.*"code":422')" -ne 0 ]
  [ "$(expr "$output" : '.*label .*owner.* is required')" -ne 0 ]
  [ "$(expr "$output" : '.*"warnings":\[".*is recommended')" -ne 0 ]
}

@test "accept an object with the labels, settings from a file" {
  cat > "$BATS_TEST_TMPDIR/settings.yml" << EOF
required: [owner, app.kubernetes.io/name]
patterns:
  owner: team-[a-z]+
EOF
  run kwctl run policy.wasm -r requests/labelled.json -s "$BATS_TEST_TMPDIR/settings.yml"
  echo "output = ${output}"
  [ "$status" -eq 0 ]
  [ "$(expr "$output" : '.*"allowed":true')" -ne 0 ]
}

@test "read the request from standard input" {
  run bash -c "kwctl run policy.wasm -r - --settings-json '{\"required\": [\"owner\"]}' < requests/labelled.json"
  echo "output = ${output}"
  [ "$status" -eq 0 ]
  [ "$(expr "$output" : '.*"allowed":true')" -ne 0 ]
}

@test "a custom resource decides mode and message" {
  cat > "$BATS_TEST_TMPDIR/policy.yaml" << EOF
apiVersion: policies.kubewarden.io/v1
kind: ClusterAdmissionPolicy
metadata: {name: owners}
spec:
  module: file://$PWD/policy.wasm
  message: every object has an owner
  settings: {required: [owner]}
  rules: [{apiGroups: ["*"], apiVersions: ["*"], resources: ["*"], operations: [CREATE]}]
  mutating: false
---
apiVersion: policies.kubewarden.io/v1
kind: ClusterAdmissionPolicy
metadata: {name: owners-monitored}
spec:
  module: file://$PWD/policy.wasm
  mode: monitor
  settings: {required: [owner]}
  rules: [{apiGroups: ["*"], apiVersions: ["*"], resources: ["*"], operations: [CREATE]}]
  mutating: false
EOF
  run kwctl run "$BATS_TEST_TMPDIR/policy.yaml" -r requests/unlabelled.json
  echo "output = ${output}"
  [ "$status" -eq 0 ]
  [ "$(expr "$output" : '.*"allowed":false.*every object has an owner')" -ne 0 ]
  [ "$(expr "$output" : '.*"allowed":true')" -ne 0 ]
}

@test "refuse settings that check nothing" {
  run kwctl run policy.wasm -r requests/labelled.json
  echo "output = ${output}"
  [ "$status" -eq 1 ]
  [ "$(expr "$output" : '.*nothing to check')" -ne 0 ]
}
