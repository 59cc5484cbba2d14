#!/usr/bin/env bash
# Moves an installation from three charts to one, or back. Policies, PolicyServers and CRDs stay the objects that they are and
# policies are enforced all the while: policy servers run on, only the controller is replaced.
# The three charts may be Kubewarden's of 1.36. Needs Helm 3.17 or later, and kubectl.
set -Eeuo pipefail

to=""
namespace="kubewarden"
one="admission-controller"
crds="kubewarden-crds"
controller="kubewarden-controller"
defaults="kubewarden-defaults"
charts="$(dirname "$0")/../helm"
timeout="5m"
dry_run=false
more=()

usage() {
  cat << TEXT
USAGE: $0 --to one|three [OPTIONS] [-- VALUES FOR HELM, e.g. --set image.runtime=bun]
  --namespace NAME    of the releases, before and after ($namespace).
  --one NAME          release of the one chart ($one).
  --crds NAME, --controller NAME, --defaults NAME
                      releases of the three charts ($crds, $controller, $defaults).
  --charts FOLDER     where portreeve, portreeve-crds, portreeve-controller, portreeve-defaults are ($charts).
  --timeout TIME      for each release ($timeout).
  --dry-run           checks everything and changes nothing.
  --help              this text.
The new releases get the values of the old ones, without nameOverride and fullnameOverride.
TEXT
}

fail() {
  echo "$1" >&2
  exit 1
}

while [ $# -gt 0 ]; do
  case "$1" in
    --to) to="${2:?"$1 needs one or three"}" && shift 2 ;;
    --namespace) namespace="${2:?"$1 needs a name"}" && shift 2 ;;
    --one) one="${2:?"$1 needs a name"}" && shift 2 ;;
    --crds) crds="${2:?"$1 needs a name"}" && shift 2 ;;
    --controller) controller="${2:?"$1 needs a name"}" && shift 2 ;;
    --defaults) defaults="${2:?"$1 needs a name"}" && shift 2 ;;
    --charts) charts="${2:?"$1 needs a folder"}" && shift 2 ;;
    --timeout) timeout="${2:?"$1 needs a time"}" && shift 2 ;;
    --dry-run) dry_run=true && shift ;;
    --) shift && more=("$@") && break ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && exit 1 ;;
  esac
done

case "$to" in
  one) old=("$crds" "$controller" "$defaults") new=("$one") chart=(portreeve) runs="$controller" ;;
  three)
    old=("$one") new=("$crds" "$controller" "$defaults") runs="$one"
    chart=(portreeve-crds portreeve-controller portreeve-defaults)
    ;;
  *) usage >&2 && exit 1 ;;
esac
kinds="policyservers,clusteradmissionpolicies,clusteradmissionpolicygroups,admissionpolicies,admissionpolicygroups"
leftovers="deployments,services,serviceaccounts,configmaps,secrets,roles,rolebindings,cronjobs"
in_namespace=(--namespace "$namespace")
part_of="app.kubernetes.io/part-of=kubewarden"

helm install --help | grep -q -- --take-ownership || fail "helm is too old: 3.17 or later is needed, for --take-ownership"
for release in "${old[@]}"; do
  helm status "$release" "${in_namespace[@]}" > /dev/null ||
    fail "release $release is not in namespace $namespace: name it with --one, --crds, --controller or --defaults"
  [ -n "$(kubectl get secret "${in_namespace[@]}" --selector "owner=helm,name=$release" --output name)" ] ||
    fail "release $release is not recorded in Secrets, as is Helm's default: this script can't move it"
done
for release in "${new[@]}"; do
  ! helm status "$release" "${in_namespace[@]}" > /dev/null 2>&1 ||
    fail "release $release is in namespace $namespace already: choose another name with --one, --crds, --controller or --defaults"
done

work="$(mktemp -d)"
values=()
for release in "${old[@]}"; do
  helm get values "$release" "${in_namespace[@]}" --output yaml > "$work/$release.yaml"
  values+=(--values "$work/$release.yaml")
done
# The old releases' objects are found by these names afterwards.
values+=(--set "nameOverride=,fullnameOverride=" ${more[@]+"${more[@]}"})

# The uid, kind and name of each policy and PolicyServer, and the policies in force.
policies() {
  kubectl get "$kinds" --all-namespaces --output \
    'jsonpath={range .items[*]}{.metadata.uid}{" "}{.kind}{" "}{.metadata.namespace}{"/"}{.metadata.name}{"\n"}{end}' | sort
}
active() {
  kubectl get "$kinds" --all-namespaces --output \
    'jsonpath={range .items[?(@.status.policyStatus=="active")]}{.kind}{" "}{.metadata.namespace}{"/"}{.metadata.name}{"\n"}{end}' |
    sort
}
policies > "$work/before"
active > "$work/active"

deployment="$(kubectl get deployments "${in_namespace[@]}" \
  --selector "$part_of,app.kubernetes.io/component=controller,app.kubernetes.io/instance=$runs" \
  --output 'jsonpath={.items[*].metadata.name}')"
replicas=1
if [ -n "$deployment" ]; then
  replicas="$(kubectl get deployment "$deployment" "${in_namespace[@]}" --output 'jsonpath={.spec.replicas}')"
fi

# Stops the controller of release $1, and leaves nothing by which another one would take policies for its own and delete them.
# Its own webhooks go too: without it they would refuse every change of a policy, and new ones are made with the next release.
detach() {
  local of="$part_of,app.kubernetes.io/component=controller,app.kubernetes.io/instance=$1" attempt found
  found="$(kubectl get deployments "${in_namespace[@]}" --selector "$of" --output name)"
  [ -z "$found" ] || kubectl scale "${in_namespace[@]}" --replicas=0 $found
  found="$(kubectl get pods "${in_namespace[@]}" --selector "$of" --output name)"
  [ -z "$found" ] || kubectl wait "${in_namespace[@]}" --for=delete --timeout="$timeout" $found
  kubectl delete validatingwebhookconfigurations,mutatingwebhookconfigurations --ignore-not-found \
    --selector "$part_of,app.kubernetes.io/component=controller"
  # The API server learns of it a moment later.
  for attempt in $(seq 30); do
    if kubectl label "$kinds" --all-namespaces --selector kubewarden.io/managed-by=kubewarden-controller-defaults \
      kubewarden.io/managed-by-; then break; fi
    [ "$attempt" -lt 30 ] || return 1
    sleep 1
  done
  kubectl delete configmap "${in_namespace[@]}" --ignore-not-found kubewarden-defaults kubewarden-controller-config
}

# Deletes what release $1 made and no other has taken over, and Helm's record of it. Uninstalling would delete the rest too.
forget() {
  kubectl delete secret "${in_namespace[@]}" --selector "owner=helm,name=$1"
  kubectl delete "$leftovers" "${in_namespace[@]}" --selector "$part_of,app.kubernetes.io/instance=$1"
}

authority="$(kubectl get secret kubewarden-ca "${in_namespace[@]}" --ignore-not-found --output 'jsonpath={.data}')"
undo() {
  trap - ERR
  set +e
  local undone=true revision
  echo "The move has failed. Policies are enforced; putting the releases ${old[*]} back as they were." >&2
  for release in "${new[@]}"; do detach "$release" >&2 || undone=false; done
  for release in "${old[@]}"; do
    revision="$(helm status "$release" "${in_namespace[@]}" | sed -n 's/^REVISION: //p')"
    helm rollback "$release" "$revision" "${in_namespace[@]}" --no-hooks --wait >&2 || undone=false
  done
  # The controller may have renewed its authority since the release was made.
  if [ -n "$authority" ]; then
    kubectl patch secret kubewarden-ca "${in_namespace[@]}" --type merge --patch "{\"data\": $authority}" >&2 || undone=false
  fi
  for release in "${new[@]}"; do forget "$release" >&2 || undone=false; done
  if [ -n "$deployment" ]; then
    kubectl scale deployment "$deployment" "${in_namespace[@]}" --replicas="$replicas" >&2 || undone=false
  fi
  [ "$undone" = true ] ||
    fail "Not everything could be put back, see above: helm rollback ${in_namespace[*]} for ${old[*]}. Backup: $work"
  fail "Nothing was moved. Mend what Helm says above and run this again. Backup of values and policies: $work"
}

kubectl get "$kinds" --all-namespaces --output yaml > "$work/policies.yaml"
for index in "${!new[@]}"; do
  # On the client: with the old controller there, the server would refuse a second one.
  helm template "${new[$index]}" "$charts/${chart[$index]}" "${in_namespace[@]}" "${values[@]}" > /dev/null
done
if [ "$dry_run" = true ]; then
  echo "Would make ${new[*]} of ${old[*]} in namespace $namespace, with the values in $work."
  exit 0
fi

trap undo ERR
echo "Stopping the controller; its policy servers run on."
for release in "${old[@]}"; do detach "$release" > /dev/null; done
for index in "${!new[@]}"; do
  echo "Installing ${new[$index]}."
  helm install "${new[$index]}" "$charts/${chart[$index]}" "${in_namespace[@]}" --take-ownership --wait --timeout "$timeout" \
    "${values[@]}" > /dev/null
done
trap - ERR

if [ "$to" = one ]; then
  # The controller takes the default resources over; what it has taken over carries its label.
  if [ -n "$(kubectl get configmap kubewarden-defaults "${in_namespace[@]}" --ignore-not-found --output name)" ]; then
    wanted="$(kubectl get configmap kubewarden-defaults "${in_namespace[@]}" --output 'go-template={{len .data}}')"
    for _ in $(seq 60); do
      found="$(kubectl get "$kinds" --all-namespaces --selector kubewarden.io/managed-by=kubewarden-controller-defaults \
        --output name | wc -l)"
      [ "$found" -lt "$wanted" ] || break
      sleep 1
    done
    [ "$found" -ge "$wanted" ] ||
      fail "the controller has taken over $found of $wanted default resources: see kubectl logs ${in_namespace[*]} deployment/$one"
  fi
fi
for release in "${old[@]}"; do
  echo "Forgetting $release."
  forget "$release" > /dev/null
done

policies > "$work/after"
lost="$(comm -23 "$work/before" "$work/after")"
[ -z "$lost" ] || fail "these are no longer what they were (backup: $work/policies.yaml):"$'\n'"$lost"
for _ in $(seq 60); do
  active > "$work/now"
  inactive="$(comm -23 "$work/active" "$work/now")"
  [ -n "$inactive" ] || break
  sleep 1
done
[ -z "$inactive" ] || fail "these policies were active and aren't any more: their status says why"$'\n'"$inactive"
echo "Done: ${new[*]}. Backup of values and policies: $work"
