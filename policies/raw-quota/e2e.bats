#!/usr/bin/env bats

# End-to-end suite of the policy, for `kwctl` or what answers to its name: `bats e2e.bats` in this folder.

setup() {
  settings='{"quotas": {"team-shop": {"gpu-hours": 10}}'
}

@test "accept what is within the quota" {
  run kwctl run policy.wasm -r "$(request within.json)" --settings-json "$settings}"
  echo "output = ${output}"
  [ "$status" -eq 0 ]
  [ "$(expr "$output" : '.*"uid":"order-1","allowed":true')" -ne 0 ]
}

@test "reject what is beyond, the flag --raw given though metadata say it" {
  run kwctl run --raw policy.wasm -r "$(request beyond.json)" --settings-json "$settings}"
  echo "output = ${output}"
  [ "$status" -eq 0 ]
  [ "$(expr "$output" : '.*"allowed":false.*"code":403')" -ne 0 ]
}

@test "or lower it" {
  run kwctl run policy.wasm -r "$(request beyond.json)" --settings-json "$settings, \"on_excess\": \"cap\"}"
  echo "output = ${output}"
  [ "$status" -eq 0 ]
  [ "$(expr "$output" : '.*"patchType":"JSONPatch"')" -ne 0 ]
}

# A request file holds a review of which the tool hands on raw requests whole: the policy is given what is in it.
request() {
  local file="$BATS_TEST_TMPDIR/$1"
  tr -d '\n' < "requests/$1" | sed 's/^ *{ *"request": *//; s/ *} *$//' > "$file"
  echo "$file"
}
